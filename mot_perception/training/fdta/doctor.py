"""Checks data for FDTA's training completely, and says what is wrong and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.bags.motchallenge import is_motchallenge
from mot_perception.training.fdta.doctor_findings import Chart
from mot_perception.training.fdta.doctor_sequence import examine_sequence
from mot_perception.training.fdta.doctor_stills import examine_stills
from mot_perception.training.fdta.open_footages import is_bag, named_in, seqmap_of, sequences_in
from mot_perception.training.fdta.still_footage import is_crowdhuman

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mot_perception.training.fdta.doctor_findings import Demands, Follow


def examine(paths: Iterable[Path], demands: Demands, follow: Follow) -> Iterator[Chart]:
    """Yield what is found of each sequence, recording, or folder of stills.

    Args:
        paths: As `open_footages` takes them.
        demands: Of the training.
        follow: Passes files or frames on, given a name and their number; shows progress.

    Raises:
        UserError: A path is nothing that can be learned from.
    """
    for path in paths:
        if is_bag(path):
            from mot_perception.training.fdta.doctor_bag import examine_bag  # rosbags is slow

            yield examine_bag(path, demands, follow)
        elif is_crowdhuman(path):
            yield examine_stills(path, demands, follow)
        else:
            yield from _examine_set(path, demands, follow)


def _examine_set(path: Path, demands: Demands, follow: Follow) -> Iterator[Chart]:
    """Yield the sequences of a folder, after what is wrong with its seqmap if anything is."""
    folders = sequences_in(path)
    seqmap = seqmap_of(path)
    if seqmap is not None and folders != [path]:
        names = named_in(seqmap)
        chart = _examine_seqmap(seqmap, path, names, folders)
        if chart.findings:
            yield chart
        folders = [folder for folder in folders if folder.name in names]
    for folder in folders:
        yield examine_sequence(folder, demands, follow)


def _examine_seqmap(seqmap: Path, path: Path, names: list[str], folders: list[Path]) -> Chart:
    chart = Chart(seqmap.name, seqmap)
    absent = [name for name in names if not is_motchallenge(path / name)]
    chart.error(f'no such sequence in {path}; complete it or delete the line', absent)
    unnamed = [folder.name for folder in folders if folder.name not in names]
    chart.warn('not named; it is left out', unnamed)
    if not names:
        chart.error('names no sequences; write one a line, or delete it', [seqmap.name])
    return chart
