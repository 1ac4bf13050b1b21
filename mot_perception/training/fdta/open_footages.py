"""One door for all that FDTA learns from: what it is, is seen from the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.bags.motchallenge import is_motchallenge
from mot_perception.bags.source import BAGS
from mot_perception.errors import UserError
from mot_perception.training.fdta.mot_footage import open_mot_footage
from mot_perception.training.fdta.still_footage import is_crowdhuman, open_stills

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.training.fdta.clip import Footage

KINDS = (
    'a MOTChallenge sequence or a folder of them, a rosbag2 bag with ground truth, or a folder '
    'with images/ and gts/ (CrowdHuman)'
)
SEQMAP = '_seqmap.txt'
"""`<split>_seqmap.txt` beside the folder of a split names the sequences that belong to it."""
HEADER = 'name'
QUERIES = 300


def open_footages(
    paths: Iterable[Path],
    orientation: Orientation | None,
    *,
    most: int = QUERIES,
    labels: Path | None = None,
) -> list[Footage]:
    """Open data sets, sequences and recordings, in the order of their names.

    Args:
        paths: Of any kind.
        orientation: What labels of depth shall say; None: depth is not learned, nor needed.
        most: Objects in a frame that can be learned from.
        labels: Where `label-depth --out` wrote; `<name>/depth/` of it is taken before what is
            beside images or in a recording.

    Raises:
        UserError: What is wrong, where, and what to do.
    """
    footages: list[Footage] = []
    for path in paths:
        footages += _open(path, orientation, most, labels)
    return sorted(footages, key=lambda footage: footage.name)


def _open(
    path: Path, orientation: Orientation | None, most: int, labels: Path | None
) -> list[Footage]:
    if is_bag(path):
        from mot_perception.training.fdta.bag_footage import open_bag_footage  # rosbags is slow

        return [open_bag_footage(path, orientation, most, labels)]
    if is_crowdhuman(path):
        return [*open_stills(path, orientation, most, labels)]
    return [open_mot_footage(it, orientation, most, labels) for it in sequences_of(path)]


def is_bag(path: Path) -> bool:
    """Tell whether a path is a rosbag2 bag."""
    if path.is_dir():
        return any(it.name == 'metadata.yaml' or it.suffix in BAGS for it in path.iterdir())
    return path.exists() and path.suffix.lower() in BAGS


def sequences_of(path: Path) -> list[Path]:
    """Return the folders of the sequences that a path stands for.

    Args:
        path: A sequence, or a folder of them; of those, if `<folder>_seqmap.txt` lies beside it,
            the ones that it names.

    Raises:
        UserError: There is nothing of that kind, or a sequence that is named is not there.
    """
    found = sequences_in(path)
    seqmap = seqmap_of(path)
    if seqmap is None or found == [path]:
        return found
    folders = [path / name for name in named_in(seqmap)]
    for folder in folders:
        if not is_motchallenge(folder):
            raise UserError(
                f'{folder}: {seqmap.name} names it, but it is no sequence; complete it'
            )
    if not folders:
        raise UserError(f'{seqmap}: names no sequences; write one a line, or delete it')
    return folders


def sequences_in(path: Path) -> list[Path]:
    """Return a path that is a sequence, or all sequences in a folder.

    Raises:
        UserError: There are none.
    """
    if not path.exists():
        raise UserError(f'{path}: does not exist; give {KINDS}')
    if is_motchallenge(path):
        return [path]
    members = sorted(it for it in path.iterdir() if it.is_dir()) if path.is_dir() else []
    found = [member for member in members if is_motchallenge(member)]
    if not found:
        splits = [it.name for it in members if any(map(is_motchallenge, it.iterdir()))]
        advice = f'one of its folders: {", ".join(splits)}' if splits else KINDS
        raise UserError(f'{path}: not data that can be learned from; give {advice}')
    return found


def seqmap_of(path: Path) -> Path | None:
    """Return the file that says which sequences in a folder belong to it, if there is one."""
    file = path.resolve().with_name(f'{path.resolve().name}{SEQMAP}')
    return file if file.is_file() else None


def named_in(seqmap: Path) -> list[str]:
    """Return the names in a seqmap: one a line, after the line `name`.

    Raises:
        UserError: It is no text.
    """
    try:
        lines = seqmap.read_text(encoding='utf-8-sig').split()
    except ValueError as error:
        raise UserError(f'{seqmap}: not a text file; write one sequence a line') from error
    return [line for line in lines if line != HEADER]
