"""Ground truth and tracks from disk, brought together by the names of their sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mot_perception.bags.mot import read_mot
from mot_perception.bags.motchallenge import is_motchallenge
from mot_perception.bags.rows import MotRows
from mot_perception.bags.sequence import Sequence
from mot_perception.bags.source import open_source
from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.track_files import read_tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mot_perception.evaluation.scores import Scores


def evaluate_folders(
    gt: Path | str,
    tracks: Path | str,
    *,
    allow_missing: bool = False,
    process: Callable[[MotRows], MotRows] | None = None,
) -> Scores:
    """Score tracks on disk against ground truth on disk.

    Args:
        gt: A `gt.txt`, a MOTChallenge sequence, a folder of sequences, or a bag.
        tracks: The folder that a run wrote, a text file, or a bag.
        allow_missing: Count sequences without tracks as missed altogether, not as an error.
        process: Applied to the tracks before they are scored, as `interpolate`.

    Raises:
        UserError: What is missing, malformed, or does not belong together.
    """
    return evaluate(folder_pairs(gt, tracks, allow_missing=allow_missing, process=process))


def folder_pairs(
    gt: Path | str,
    tracks: Path | str,
    *,
    allow_missing: bool = False,
    process: Callable[[MotRows], MotRows] | None = None,
) -> Iterator[SequencePair]:
    """Yield what `evaluate_folders` scores, one sequence at a time; the same arguments."""
    sequences = _ground_truth(Path(gt))
    tracks = Path(tracks)
    if tracks.is_file() and len(sequences) > 1:
        raise UserError(
            f'{tracks}: one file for {len(sequences)} sequences in {gt};'
            ' give the folder that holds <sequence>.txt'
        )
    for sequence in sequences:
        truth = sequence.ground_truth
        if truth is None:
            raise UserError(f'{gt}: {sequence.name} has no ground truth; take it out, or add it')
        rows = read_tracks(tracks, sequence)
        if rows is None and not allow_missing:
            raise UserError(_missing(tracks, sequence, sequences))
        rows = MotRows.of([], [], []) if rows is None else rows
        yield SequencePair(
            sequence.name, truth, process(rows) if process else rows, sequence.length
        )


def _ground_truth(path: Path) -> list[Sequence]:
    if not path.is_file() or path.suffix != '.txt':
        return open_source(path)
    folder = path.resolve().parent.parent
    if path.resolve().parent.name == 'gt' and is_motchallenge(folder):
        return [replace(it, read_ground_truth=_reader(path)) for it in open_source(folder)]
    return [_lone(path)]


def _lone(path: Path) -> Sequence:
    """Return a gt.txt without a sequence around it as one without frames."""
    return Sequence(
        path.stem, None, 0, 0, None, False, False, [path], lambda: iter(()), _reader(path)
    )


def _reader(path: Path) -> Callable[[], MotRows]:
    return lambda: read_mot(path, kind='gt')


def _missing(tracks: Path, sequence: Sequence, sequences: list[Sequence]) -> str:
    there = {file.stem for file in tracks.glob('*.txt')}
    known = {it.name for it in sequences}
    strange = sorted(there - known)
    hint = f' (it has {strange[0]}.txt)' if strange else ''
    return (
        f'{tracks}: no tracks of {sequence.name}{hint};'
        f' add {sequence.name}.txt, or count missing sequences as missed with --allow-missing'
    )
