"""KITTI tracking 0017 in memory: people with real masks, and a depth map from their 3D labels.

Everything but the masks is simple geometry: a person is as deep as its 3D label's z, all over its
mask, so that depth tells people apart but has no relief; where nobody is, there is the ground as a
level camera 1.65 m above it sees it, and above the horizon nothing is known. Cyclists have labels
but no masks, they are ground; masks without a label, 12 of 778, are left out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from mot_perception.boxes import iou
from mot_perception.perception.grid import GRID, sample
from mot_perception.perception.protocols import ObjectMasks
from mot_perception.types import NANOSECONDS, Detections, Frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH, WIDTH, HEIGHT = 145, 1224, 370
FPS = 10
CAMERA_HEIGHT = 1.65
FARTHEST = 80.0
"""Metres; the ground beyond is as far."""
PERSON = 2
"""Class number of people in KITTI MOTS; a mask's id is 1000 times it plus the track's."""
SAME = 0.5
"""IoU above which a detection may be the person of a label."""


@dataclass(frozen=True)
class Labelled:
    """One frame.

    Attributes:
        frame: With depth on the grid of the masks.
        ids: Of the N people, ascending.
        boxes: N×4, pixels.
        masks: bool N×h×w, the real masks under the cells' centres.
        z: N, metres.
    """

    frame: Frame
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    masks: NDArray[np.bool_]
    z: NDArray[np.float64]


def read_kitti(
    folder: Path, last: int = LENGTH, grid: tuple[int, int] = GRID, scale: float = 1.0
) -> list[Labelled]:
    """Return the sequence.

    Args:
        folder: With `label_02.txt`, `mots_instances.txt` and `calib.txt`.
        last: How many frames.
        grid: Rows and columns of depth and masks.
        scale: Factor of all depths: their unit.
    """
    labels, masks = _labels(folder), _masks(folder)
    ground = _ground(folder, grid)
    frames = []
    for index in range(last):
        ids = np.array(sorted(labels[index].keys() & masks[index].keys()), np.int64)
        rows = np.array([labels[index][k] for k in ids]).reshape(-1, 5)
        outlines = np.array([sample(masks[index][k], grid) for k in ids], bool)
        outlines = outlines.reshape(-1, *grid)
        depth = _painted(ground, outlines, rows[:, 4]) * np.float32(scale)
        frame = Frame(index * NANOSECONDS // FPS, index, WIDTH, HEIGHT, depth=depth)
        frames.append(Labelled(frame, ids, rows[:, :4], outlines, rows[:, 4]))
    return frames


def crowded(boxes: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return which of N boxes overlap another one by more than an IoU."""
    overlap = iou(boxes, boxes)
    np.fill_diagonal(overlap, 0)
    return np.asarray(overlap.max(1, initial=0) > threshold)


def jittered(each: Labelled, rng: np.random.Generator, share: float) -> Detections:
    """Return a frame's boxes in a random order, each side moved by a share of the box's size."""
    order = rng.permutation(len(each.ids))
    boxes = each.boxes[order]
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return Detections.of(boxes + share * size * rng.standard_normal(boxes.shape))


class RealMasks:
    """A `MaskPropagator` that knows the truth: whose box it is, and that person's real masks.

    One step back it gives the same person's mask of then: no network could do better. Boxes that
    are nobody's, and people who were not there, have empty masks.
    """

    name = 'real masks'

    def __init__(self, frames: Sequence[Labelled]) -> None:
        self._frames = {each.frame.index: each for each in frames}

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks of the N people whose boxes at t are `xyxy`."""
        owners = self._owners(current, xyxy)
        before = self._of(previous, owners)
        return ObjectMasks(self._of(current, owners), before, before.any((1, 2)))

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks of the N people with these boxes in one frame."""
        return self._of(frame, self._owners(frame, xyxy))

    def gpu_bytes(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""

    def _owners(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return whose the boxes are, −1 where nobody's."""
        each = self._frames[frame.index]
        overlap = iou(xyxy, each.boxes)
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        owners = np.full(len(xyxy), -1)
        sure = overlap[rows, columns] > SAME
        owners[rows[sure]] = each.ids[columns[sure]]
        return owners

    def _of(self, frame: Frame, owners: NDArray[np.int64]) -> NDArray[np.bool_]:
        each = self._frames[frame.index]
        assert frame.depth is not None
        nobody = np.zeros(frame.depth.shape, bool)
        known = dict(zip(each.ids.tolist(), each.masks, strict=True))
        masks = np.array([known.get(owner, nobody) for owner in owners.tolist()], bool)
        return masks.reshape(-1, *nobody.shape)


def _labels(folder: Path) -> defaultdict[int, dict[int, list[float]]]:
    """Return of each frame's people by identity: left, top, right, bottom, z."""
    found: defaultdict[int, dict[int, list[float]]] = defaultdict(dict)
    for line in (folder / 'label_02.txt').read_text().splitlines():
        cells = line.split()
        if cells[2] == 'Pedestrian':
            values = [float(cells[column]) for column in (6, 7, 8, 9, 15)]
            found[int(cells[0])][int(cells[1])] = values
    return found


def _masks(folder: Path) -> defaultdict[int, dict[int, NDArray[np.bool_]]]:
    """Return of each frame's people by identity: HEIGHT×WIDTH masks."""
    found: defaultdict[int, dict[int, NDArray[np.bool_]]] = defaultdict(dict)
    for line in (folder / 'mots_instances.txt').read_text().splitlines():
        index, identity, kind, height, width, counts = line.split()
        if int(kind) == PERSON:
            runs = {'size': [int(height), int(width)], 'counts': counts.encode()}
            found[int(index)][int(identity) % 1000] = coco.decode(runs).astype(bool)
    return found


def _ground(folder: Path, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return the depth of the ground, 0 above the horizon."""
    (line,) = (it for it in (folder / 'calib.txt').read_text().splitlines() if it[:3] == 'P2:')
    camera = np.array(line.split()[1:], float).reshape(3, 4)
    rows = (np.arange(grid[0]) + 0.5) * (HEIGHT / grid[0])
    below = rows - camera[1, 2]
    depth = np.where(below > 0, camera[0, 0] * CAMERA_HEIGHT / np.maximum(below, 1e-9), 0)
    return np.repeat(np.minimum(depth, FARTHEST).astype(np.float32)[:, None], grid[1], 1)


def _painted(
    ground: NDArray[np.float32], masks: NDArray[np.bool_], z: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the depth with everybody in it, the nearest in front."""
    depth = ground.copy()
    for row in np.argsort(-z):
        depth[masks[row]] = z[row]
    return depth
