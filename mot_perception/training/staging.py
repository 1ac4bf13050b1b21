"""Rendered scenes to learn from: the seed alone says who moves how in which room."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from mot_perception.errors import UserError
from mot_perception.scenes.motions import Motion
from mot_perception.scenes.scene import make_scene, scene_from_boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.bags.sequence import Sequence
    from mot_perception.scenes.scene import Scene

TRAINING_SCENES, HELD_OUT_SCENES, SCENES = 10_000, 20_000, 10_000
"""First seeds of the scenes that are learned from and of those that are not; how many of each."""
FRAMES, FPS = 240, 12.0
SIZES = (640, 360), (640, 360), (640, 360), (640, 480), (480, 360)
MOST_PEOPLE = 18
LEAST_VISIBLE = 0.2
"""Share of a person that must be seen, for the box to be asked for."""


def stage(
    seed: int,
    *,
    size: tuple[int, int] | None = None,
    frames: int = FRAMES,
    fps: float = FPS,
) -> Scene:
    """Return the scene of a seed: which motion, how many people, of which size is its chance.

    Args:
        seed: Of everything in it.
        size: Width and height in pixels, instead of those by chance.
        frames: How long it is.
        fps: Frames per second.

    Raises:
        UserError: A number is out of range.
    """
    random = np.random.default_rng([seed, 0xDE7EC7])
    width, height = SIZES[random.integers(len(SIZES))]
    if size is not None:
        width, height = size
    people = int(random.integers(1, MOST_PEOPLE + 1))
    alike = bool(random.random() < 0.5)
    if random.random() < 0.2:
        times = np.arange(frames, dtype=np.float64) * (FPS / fps)
        return _wandering(random, people, (width, height), times, fps, seed, alike)
    motions: tuple[Motion, ...] = get_args(Motion)
    return make_scene(
        motion=motions[random.integers(len(motions))],
        figures=people,
        frames=frames,
        width=width,
        height=height,
        fps=fps,
        seed=seed,
        same_clothing=alike,
        camera_motion=bool(random.random() < 0.15),
        depth_noise=False,
    )


def _wandering(
    random: np.random.Generator,
    people: int,
    size: tuple[int, int],
    times: NDArray[np.float64],
    fps: float,
    seed: int,
    alike: bool,
) -> Scene:
    """Return people who fill boxes of any height that wander about; times are in 1 / `FPS`."""
    width, height = size
    frames = len(times)
    drift = np.cumsum(random.normal(0, 0.012 * (FPS / fps) ** 0.5, (frames, people)), 0)
    tall = height * random.uniform(0.1, 0.75, people) * np.exp(0.5 * drift)
    wide = tall * random.uniform(0.25, 0.65, people)
    turns = random.uniform(0.5, 4, people) * times[:, None] / FRAMES + random.random(people)
    u = width * (0.5 + 0.5 * np.sin(2 * np.pi * turns))
    v = height * (0.3 + 0.2 * random.uniform(-1, 1, people)) + 0.55 * tall
    boxes = np.stack([u - wide / 2, v - tall / 2, u + wide / 2, v + tall / 2], -1)
    return scene_from_boxes(
        np.repeat(np.arange(1, frames + 1), people),
        np.tile(np.arange(1, people + 1), frames),
        boxes.reshape(-1, 4),
        width=width,
        height=height,
        fps=fps,
        seed=seed,
        same_clothing=alike,
        depth_noise=False,
    )


def refill(
    sequence: Sequence,
    *,
    height: int,
    seed: int,
    alike: bool,
    frames: int | None = None,
    depth_noise: bool = True,
) -> Scene:
    """Return a scene in which rendered people move as those of a ground truth.

    Args:
        sequence: Whose ground truth; images are not needed.
        height: Of the rendered images, pixels.
        seed: Of clothing and sensor.
        alike: Similar clothing, or different.
        frames: The first so many; None: all.
        depth_noise: Read the depth by a sensor; else it is true.

    Raises:
        UserError: It has no ground truth, or nobody says how large its images are.
    """
    length = length_of(sequence, frames)
    people = people_of(sequence)
    people = people.select(people.frame <= length)
    return scene_from_boxes(
        people.frame,
        people.id,
        people.xyxy,
        width=sequence.width,
        height=sequence.height,
        fps=sequence.fps or 30.0,
        frames=length,
        scale=height / sequence.height,
        seed=seed,
        same_clothing=alike,
        depth_noise=depth_noise,
    )


def length_of(sequence: Sequence, frames: int | None = None) -> int:
    """Return how many frames a refilled sequence has, the first `frames` at most."""
    length = sequence.length or people_of(sequence).last_frame
    return length if frames is None else min(length, frames)


def people_of(sequence: Sequence) -> MotRows:
    """Return the people of a ground truth whom a benchmark counts.

    Raises:
        UserError: It has no ground truth, or nobody says how large its images are.
    """
    truth = sequence.ground_truth
    if truth is None or not sequence.height:
        raise UserError(f'{sequence.name}: needs gt/gt.txt, and the image size in seqinfo.ini')
    return truth.select(truth.consider & (truth.label <= 1))
