"""What FDTA learns from and is tried on: data sets, recordings, or rendered scenes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mot_perception.training.fdta.open_footages import open_footages, sequences_of
from mot_perception.training.fdta.sampler import fitting
from mot_perception.training.fdta.scene_footage import refilled_footages, staged_footages

if TYPE_CHECKING:
    from mot_perception.training.fdta.clip import Footage
    from mot_perception.training.fdta.scene_footage import SceneFootage
    from mot_perception.training.fdta.settings import FdtaTraining

SCENES = 120
"""Rendered scenes that are learned from; another seed takes others."""
HELD_OUT, FRAMES = 3, 150
"""Rendered scenes that are held out, and their frames."""
HELD_OUT_CLOTHES = 1000
"""Seed of the clothes of real motion that is held out: an even one, so all are dressed alike."""


@dataclass(frozen=True)
class Sources:
    """What a user names.

    Attributes:
        data: Data sets and recordings.
        boxes: MOTChallenge sequences and sets, by whose ground truth people are rendered.
        held_out: As data, to be tracked only.
        held_out_boxes: As boxes, to be tracked only.
        frames: Of each rendered scene that is held out; None: all, of staged ones `FRAMES`.
        labels: Of depth, of data: `<name>/depth/` in this folder is taken first.
    """

    data: Collection[Path] = ()
    boxes: Collection[Path] = ()
    held_out: Collection[Path] = ()
    held_out_boxes: Collection[Path] = ()
    frames: int | None = None
    labels: Path | None = None


def footages(sources: Sources, settings: FdtaTraining) -> tuple[list[Footage], list[Footage]]:
    """Return what is learned from, and what is tracked; without data rendered scenes.

    Args:
        sources: What the user names.
        settings: Of the training; images are rendered as large as the network sees them.

    Raises:
        UserError: What is wrong with the data.
    """
    network = settings.network
    asked = None if network.spatial.order == 'self-vision' else network.spatial.orientation
    most = network.detector.queries
    learned: list[Footage] = [
        *open_footages(sources.data, asked, most=most, labels=sources.labels)
    ]
    learned += _refilled(sources.boxes, settings, settings.seed)
    tried: list[Footage] = [*open_footages(sources.held_out, None, most=most)]
    tried += [
        replace(footage, peopled=footage.peopled[: sources.frames])
        for footage in _refilled(sources.held_out_boxes, settings, HELD_OUT_CLOTHES)
    ]
    first = settings.seed * SCENES
    learned = learned or [*_staged(range(first, first + SCENES), settings)]
    if not (sources.data or sources.boxes or tried):
        frames = sources.frames or FRAMES
        tried = [*_staged(range(HELD_OUT), settings, held_out=True, frames=frames)]
    kept, notes = fitting(learned, settings.length)
    for note in notes:
        Console(stderr=True).print(f'note: {note}', highlight=False)
    return kept, tried


def _refilled(paths: Collection[Path], settings: FdtaTraining, seed: int) -> list[SceneFootage]:
    network = settings.network
    folders = [folder for path in paths for folder in sequences_of(path)]
    orientation = network.spatial.orientation
    return refilled_footages(folders, height=network.shorter, orientation=orientation, seed=seed)


def _staged(numbers: range, settings: FdtaTraining, **more: Any) -> list[SceneFootage]:
    network = settings.network
    size = min(network.longer, round(network.shorter * 16 / 9)), network.shorter
    orientation = network.spatial.orientation
    return staged_footages(numbers, size=size, orientation=orientation, **more)
