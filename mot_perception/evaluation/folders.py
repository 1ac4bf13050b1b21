"""Ground truth and tracks from disk, brought together by the names of their sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mot_perception.bags.image_files import image_item
from mot_perception.bags.mot import read_mot
from mot_perception.bags.motchallenge import SEQINFO, TRUTH, is_motchallenge
from mot_perception.bags.rows import MotRows
from mot_perception.bags.seqinfo import SeqInfo, frame_rate, read_seqinfo
from mot_perception.bags.sequence import Sequence
from mot_perception.bags.source import open_source
from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.track_files import is_bag, read_tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mot_perception.bags.sequence import Item
    from mot_perception.evaluation.scores import Scores

_KINDS = 'a gt.txt, a MOTChallenge sequence, a folder of such sequences, or a bag'


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
    """Open the annotation alone: neither images nor detections of a folder are looked at."""
    if not path.exists():
        raise UserError(f'{path}: does not exist; give {_KINDS}')
    if is_bag(path):
        return open_source(path)
    if path.is_file():
        of_sequence = path.resolve().parent.name == 'gt'
        return [_annotated(path.resolve().parent.parent if of_sequence else path, path)]
    if is_motchallenge(path):
        return [_annotated(path, path / TRUTH)]
    members = [it for it in sorted(path.iterdir()) if it.is_dir() and is_motchallenge(it)]
    if not members:
        raise UserError(f'{path}: holds no ground truth; give {_KINDS}')
    return [_annotated(member, member / TRUTH) for member in members]


def _annotated(folder: Path, truth: Path) -> Sequence:
    """Return a sequence of empty frames with the stamps that a replay gives them."""
    info = read_seqinfo(folder / SEQINFO) if folder.is_dir() else SeqInfo()
    count = info.length or 0

    def frames() -> Iterator[Item]:
        rate = frame_rate(info.fps, folder)
        return (image_item(index, rate, (info.width, info.height), None) for index in range(count))

    return Sequence(
        name=folder.resolve().name if folder.is_dir() else truth.stem,
        fps=info.fps,
        width=info.width,
        height=info.height,
        length=info.length,
        has_images=False,
        has_detections=False,
        input_files=[truth],
        frames=frames,
        read_ground_truth=lambda: read_mot(truth, kind='gt') if truth.exists() else None,
    )


def _missing(tracks: Path, sequence: Sequence, sequences: list[Sequence]) -> str:
    there = {file.stem for file in tracks.glob('*.txt')}
    known = {it.name for it in sequences}
    strange = sorted(there - known)
    hint = f' (it has {strange[0]}.txt)' if strange else ''
    return (
        f'{tracks}: no tracks of {sequence.name}{hint};'
        f' add {sequence.name}.txt, or count missing sequences as missed with --allow-missing'
    )
