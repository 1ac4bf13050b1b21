"""Rendered scenes as footage: staged ones without end, and real motion filled with people."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mot_perception.bags.depth_labels import values_of_metres
from mot_perception.bags.motchallenge import open_motchallenge
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.metric_depth import LOOKS, depth_range
from mot_perception.training.staging import (
    FPS,
    FRAMES,
    HELD_OUT_SCENES,
    LEAST_VISIBLE,
    SCENES,
    TRAINING_SCENES,
    length_of,
    people_of,
    refill,
    stage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.scenes.scene import Scene


OPEN_AT_ONCE = 128
"""Scenes that a process keeps open: to paint a room takes as long as to render 20 frames, and it
holds 2 MB at 640×360."""


class Recipe(Protocol):
    """How a scene is made; a value that can be hashed and sent to another process."""

    def __hash__(self) -> int:
        """Return the same for the same scene."""

    def make(self) -> Scene:
        """Return the scene, always the same."""


@dataclass(frozen=True)
class Staged:
    """A scene of `stage`."""

    seed: int
    size: tuple[int, int]
    frames: int
    fps: float

    def make(self) -> Scene:
        """Return the scene."""
        return stage(self.seed, size=self.size, frames=self.frames, fps=self.fps)


@dataclass(frozen=True)
class Refilled:
    """People rendered into the boxes of a MOTChallenge sequence."""

    folder: Path
    seed: int
    height: int

    def make(self) -> Scene:
        """Return the scene; every other seed dresses all alike."""
        sequence = open_motchallenge(self.folder)
        alike = self.seed % 2 == 0
        return refill(sequence, height=self.height, seed=self.seed, alike=alike, depth_noise=False)


@dataclass(frozen=True)
class SceneFootage:
    """A scene, rendered when it is looked at, with true depth.

    Attributes:
        name: Of the scene.
        period: Seconds from frame to frame.
        recipe: How it is made.
        peopled: bool, which frames have somebody.
        orientation: Of the labels of depth.
    """

    name: str
    period: float
    recipe: Recipe
    peopled: NDArray[np.bool_] = field(repr=False, compare=False)
    orientation: Orientation

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.peopled)

    def legal(self) -> NDArray[np.bool_]:
        """Return which frames can be learned from."""
        return self.peopled

    def view(self, number: int) -> View:
        """Render frame `number`, from 0; who is hardly seen is not in it."""
        scene, nearest, farthest = _opened(self.recipe)
        seen = scene[number]
        assert seen.frame.image is not None
        assert seen.frame.depth is not None
        clear = seen.visibility >= LEAST_VISIBLE
        return View(
            image=seen.frame.image,
            xyxy=seen.boxes[clear],
            ids=seen.ids[clear],
            labels=np.zeros(clear.sum(), np.int64),
            depth=values_of_metres(seen.frame.depth, self.orientation, nearest, farthest),
        )


@lru_cache(OPEN_AT_ONCE)
def _opened(recipe: Recipe) -> tuple[Scene, float, float]:
    """Return a scene, and the nearest and farthest depth in it, metres."""
    scene = recipe.make()
    numbers = np.linspace(0, len(scene) - 1, LOOKS).astype(int).tolist()
    depths = (scene[number].frame.depth for number in numbers)
    return scene, *depth_range(depth for depth in depths if depth is not None)


def staged_footages(
    numbers: Iterable[int],
    *,
    size: tuple[int, int],
    orientation: Orientation,
    held_out: bool = False,
    frames: int = FRAMES,
    fps: float = FPS,
) -> list[SceneFootage]:
    """Return staged scenes; in all of them somebody is in view all the time.

    Args:
        numbers: Which ones, from 0; after `SCENES` they repeat.
        size: Width and height, pixels.
        orientation: Of the labels of depth.
        held_out: Those that are never learned from.
        frames: Length of each.
        fps: Frames per second.
    """
    first = HELD_OUT_SCENES if held_out else TRAINING_SCENES
    seeds = [first + number % SCENES for number in numbers]
    return [
        SceneFootage(
            f'scene-{seed}',
            1 / fps,
            Staged(seed, size, frames, fps),
            np.ones(frames, np.bool_),
            orientation,
        )
        for seed in seeds
    ]


def refilled_footages(
    folders: Sequence[Path], *, height: int, orientation: Orientation, seed: int = 0
) -> list[SceneFootage]:
    """Return scenes in which people move as in ground truths.

    Args:
        folders: MOTChallenge sequences with `gt/gt.txt` and the image size in `seqinfo.ini`;
            images are not needed.
        height: Of the rendered images, pixels; their width follows from the sequence.
        orientation: Of the labels of depth.
        seed: Of clothing: the same motion in other clothes.

    Raises:
        UserError: A ground truth is missing or malformed: where.
    """
    return [_refilled(folder, height, orientation, seed) for folder in folders]


def _refilled(folder: Path, height: int, orientation: Orientation, seed: int) -> SceneFootage:
    sequence = open_motchallenge(folder)
    people = people_of(sequence)
    peopled = np.zeros(length_of(sequence), np.bool_)
    peopled[people.frame - 1] = True
    period = 1 / (sequence.fps or FPS)
    recipe = Refilled(folder, seed, height)
    return SceneFootage(f'{sequence.name}-{seed}', period, recipe, peopled, orientation)
