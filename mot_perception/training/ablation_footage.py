"""What an ablation tracks: recordings, real motion filled with rendered people, staged scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, get_args

from mot_perception.bags.sequence import GroundTruth, Item
from mot_perception.errors import UserError
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.motions import Motion
from mot_perception.scenes.scene import make_scene
from mot_perception.training.scene_masks import SceneMasks
from mot_perception.training.staging import refill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mot_perception.bags.rows import MotRows
    from mot_perception.bags.sequence import Sequence
    from mot_perception.scenes.scene import Scene

MOTIONS: tuple[Motion, ...] = get_args(Motion)
LEAST_VISIBLE = 0.1
"""Whoever is hidden more than this leaves is not in the ground truth of rendered scenes."""
HEIGHT = 360
"""Of rendered images, pixels."""


@dataclass(frozen=True)
class Footage:
    """Frames with detections, and who truly is where.

    Attributes:
        name: One of its own.
        seeds: Of what is random in it; of a recording nothing is, and all seeds are in one
            footage, for rows in which something is.
        frames: How many there are, or None where unknown.
        detected: Whether detections come with it.
        items: Reads it from the start.
        truth: Of all frames; None where each item has its own.
        masks: Knows those of the frames that were read last; None: they are looked for.
    """

    name: str
    seeds: tuple[int, ...]
    frames: int | None
    detected: bool
    items: Callable[[], Iterator[Item]] = field(repr=False)
    truth: MotRows | None = field(default=None, repr=False)
    masks: SceneMasks | None = field(default=None, repr=False)


def recorded(sequence: Sequence, seeds: tuple[int, ...], frames: int | None) -> Footage:
    """Return a recording with ground truth.

    Args:
        sequence: With or without detections.
        seeds: Of untrained encoders.
        frames: The first so many; None: all.

    Raises:
        UserError: It has no ground truth.
    """
    truth = sequence.ground_truth
    if truth is None or not len(truth):
        raise UserError(f'{sequence.name}: has no ground truth; an ablation needs it')
    length = sequence.length
    if frames is not None:
        length = frames if length is None else min(length, frames)
    return Footage(
        sequence.name,
        seeds,
        length,
        sequence.has_detections,
        lambda: islice(iter(sequence), frames),
        truth,
    )


def boxed(
    sequence: Sequence, seed: int, frames: int | None, *, alike: bool, modelled: bool = False
) -> Footage:
    """Return a rendered scene in which people move as in a ground truth.

    Args:
        sequence: Whose ground truth.
        seed: Of clothing, sensor and detections.
        frames: The first so many; None: all.
        alike: Similar clothing, or different.
        modelled: Masks are those of the mask model; else they are looked for.

    Raises:
        UserError: It has no ground truth, or nobody says how large its images are.
    """
    scene = refill(sequence, height=HEIGHT, seed=seed, alike=alike, frames=frames)
    return _rendered(sequence.name, scene, seed, modelled)


def staged(
    number: int, seed: int, frames: int, *, people: int, alike: bool, modelled: bool = False
) -> Footage:
    """Return a synthetic scene; one after the other walks, dances, plays.

    Args:
        number: Which one, from 0.
        seed: Of everything in it.
        frames: How long it is.
        people: How many.
        alike: Similar clothing, or different.
        modelled: Masks are those of the mask model; else they are looked for.

    Raises:
        UserError: A number is out of range.
    """
    motion = MOTIONS[number % len(MOTIONS)]
    scene = make_scene(
        motion=motion,
        figures=people,
        frames=frames,
        width=HEIGHT * 16 // 9,
        height=HEIGHT,
        seed=seed + 1000 * (number // len(MOTIONS)),
        same_clothing=alike,
    )
    return _rendered(f'{motion}-{number + 1}', scene, seed, modelled)


def _rendered(name: str, scene: Scene, seed: int, modelled: bool) -> Footage:
    masks = SceneMasks() if modelled else None

    def items() -> Iterator[Item]:
        detector = DetectorModel(seed)
        if masks is not None:
            masks.begin(seed)
        for shot in scene:
            if masks is not None:
                masks.see(shot)
            size = shot.frame.width, shot.frame.height
            found = detector(shot.boxes, shot.visibility, *size, ids=shot.ids)
            seen = shot.visibility >= LEAST_VISIBLE
            yield Item(shot.frame, found, GroundTruth(shot.ids[seen], shot.boxes[seen]))

    return Footage(f'{name} seed {seed}', (seed,), len(scene), True, items, masks=masks)
