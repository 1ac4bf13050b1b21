"""Images with boxes to train a detector on: rendered scenes, or a user's own recordings."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from mot_perception.bags.image_files import list_images, read_image
from mot_perception.bags.mot import PEDESTRIAN, read_mot
from mot_perception.bags.motchallenge import TRUTH
from mot_perception.bags.seqinfo import read_seqinfo
from mot_perception.errors import UserError
from mot_perception.training.staging import (
    HELD_OUT_SCENES,
    LEAST_VISIBLE,
    SCENES,
    TRAINING_SCENES,
    stage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.scenes.scene import Scene

    Array = NDArray[np.float64]

AT_ONCE = 48
"""Scenes that are open; each step, images come out of these."""
APART = 500
"""From the first scene of a training to that of the training with the next seed."""
HELD_OUT_SHARE = 10
"""Of a recording every tenth part, the last one, is not learned from."""


class Labelled(NamedTuple):
    """An image and who is in it.

    Attributes:
        image: uint8 H×W×3 BGR.
        xyxy: float64 G×4, people, pixels.
        ignored: float64 K×4, boxes that need not be found and may be.
    """

    image: NDArray[np.uint8]
    xyxy: Array
    ignored: Array


class Images(Protocol):
    """Where images come from; the same step and chance give the same bytes."""

    def draw(self, random: np.random.Generator, step: int) -> Labelled:
        """Return an image to learn from in a step."""

    def held_out(self, count: int) -> Sequence[Labelled]:
        """Return up to `count` images that are never learned from, always the same."""


class SceneImages:
    """Rendered people who walk, dance, do sport or follow random boxes.

    Rendering a frame is cheap, painting a room is not: `AT_ONCE` scenes are open at a time, and
    now and then one of them is replaced by another.

    Args:
        per_scene: Images that are taken of a scene, on average.
        batch: Images per step.
        seed: Of the training; that with seed 1 begins with the first scene.
    """

    def __init__(self, per_scene: int, batch: int, seed: int) -> None:
        self._rate = batch / per_scene
        self._first = APART * (seed - 1)
        self._scene = lru_cache(AT_ONCE + 1)(stage)

    def draw(self, random: np.random.Generator, step: int) -> Labelled:
        """Return some frame of one of the scenes that are open in this step."""
        number = self._first + int(step * self._rate) + int(random.integers(AT_ONCE))
        scene = self._scene(TRAINING_SCENES + number % SCENES)
        return labelled(scene, int(random.integers(len(scene))))

    def held_out(self, count: int) -> Sequence[Labelled]:
        """Return four frames each of scenes that are never learned from."""
        return held_out_frames(HELD_OUT_SCENES, count, per_scene=4)


def held_out_frames(first: int, count: int, per_scene: int) -> list[Labelled]:
    """Return `count` frames, evenly spaced in time, of the scenes with seeds from `first`."""
    images: list[Labelled] = []
    for seed in range(first, first + -(-count // per_scene)):
        scene = stage(seed)
        numbers = np.linspace(0, len(scene) - 1, per_scene).astype(int)
        images += [labelled(scene, number) for number in numbers.tolist()]
    return images[:count]


def labelled(scene: Scene, number: int) -> Labelled:
    """Return a frame with the people who are seen, and those who hardly are as ignored."""
    seen = scene[number]
    assert seen.frame.image is not None
    clear = seen.visibility >= LEAST_VISIBLE
    return Labelled(seen.frame.image, seen.boxes[clear], seen.boxes[~clear])


class FolderImages:
    """Sequences in MOTChallenge's layout, with images and `gt/gt.txt`.

    Boxes of pedestrians that the benchmark counts are learned; all others (distractors, people
    in vehicles, reflections) are ignored. The last tenth of each sequence is held out.

    Args:
        folders: The sequences.

    Raises:
        UserError: One has no images, no ground truth, or both are not of the same length.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._learned: list[tuple[Path, MotRows]] = []
        self._held_out: list[tuple[Path, MotRows]] = []
        for folder in folders:
            frames = _frames(folder)
            last = len(frames) - max(len(frames) // HELD_OUT_SHARE, 1)
            self._learned += frames[:last]
            self._held_out += frames[last:]
        if not self._learned:
            raise UserError('the folders hold fewer than two images each; give longer sequences')

    def draw(self, random: np.random.Generator, step: int) -> Labelled:
        """Return any image that is learned from."""
        del step
        return _opened(*self._learned[random.integers(len(self._learned))])

    def held_out(self, count: int) -> Sequence[Labelled]:
        """Return images from the ends of the sequences, evenly spaced."""
        count = min(count, len(self._held_out))
        numbers = np.linspace(0, len(self._held_out) - 1, count).astype(int)
        return [_opened(*self._held_out[number]) for number in numbers]


def _frames(folder: Path) -> list[tuple[Path, MotRows]]:
    """Return the image files of a sequence with the rows of its ground truth."""
    truth = read_mot(folder / TRUTH, kind='gt')
    images = list_images(folder / read_seqinfo(folder / 'seqinfo.ini').image_folder)
    if truth.last_frame > len(images):
        raise UserError(
            f'{folder}: {len(images)} images, but boxes up to frame {truth.last_frame}; complete '
            'the images'
        )
    return list(zip(images, truth.by_frame(len(images)), strict=True))


def _opened(file: Path, rows: MotRows) -> Labelled:
    counted = rows.consider & (rows.label == PEDESTRIAN)
    return Labelled(read_image(file), rows.xyxy[counted], rows.xyxy[~counted])
