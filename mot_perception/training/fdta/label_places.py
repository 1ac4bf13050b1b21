"""Where labels of depth lie, for those who write them and those who read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LABELS = 'depth'
"""Folder of the labels of a sequence."""


def own_labels(name: str, labels: Path | None) -> Path | None:
    """Return `labels/<name>/depth`, what `label-depth --out` writes, if there is such a folder.

    Args:
        name: Of the sequence, recording or folder of stills, without what it is in.
        labels: Folder of the labels of several; None: there is none.
    """
    folder = None if labels is None else labels / name / LABELS
    return folder if folder is not None and folder.is_dir() else None


def numbered(number: int) -> str:
    """Return the name of the label of frame `number`, from 0, where frames are no files."""
    return f'{number + 1:08}'
