"""Recordings with ground truth as footage; depth is that of an RGB-D camera, or of labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.bag_frames import BagFrames
from mot_perception.bags.depth_labels import DepthLabels, values_of_metres
from mot_perception.boxes import clip
from mot_perception.errors import UserError
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.label_places import LABELS, numbered
from mot_perception.training.fdta.metric_depth import LOOKS, depth_range
from mot_perception.training.fdta.mot_footage import LEAST_SIDE, USUAL_FPS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.bags.sequence import GroundTruth

    Depth = NDArray[np.float32]


@dataclass(frozen=True)
class BagFootage:
    """Images, depth and ground truth of one bag.

    Attributes:
        name: Of the bag.
        period: Mean seconds from frame to frame.
        frames: The bag.
        most: Objects in a frame that can be learned from.
        orientation: What labels of depth shall say; None: depth is not read.
        reach: Nearest and farthest depth, metres.
        labels: Of depth, in place of the recorded one.
    """

    name: str
    period: float
    frames: BagFrames = field(repr=False)
    most: int
    orientation: Orientation | None
    reach: tuple[float, float]
    labels: DepthLabels | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def legal(self) -> NDArray[np.bool_]:
        """Return which frames have sound objects, and not more than can be learned from."""
        truths = self.frames.truths
        return np.array([
            truth is not None and 0 < len(truth.ids) <= self.most and is_sound(truth)
            for truth in truths
        ])  # fmt: skip

    def view(self, number: int) -> View:
        """Read frame `number`, from 0.

        Raises:
            UserError: A message or label is damaged, or depth is not of the image's size.
        """
        item = self.frames[number]
        frame, truth = item.frame, item.ground_truth
        assert frame.image is not None
        height, width = frame.image.shape[:2]
        xyxy = clip(truth.xyxy if truth else np.empty((0, 4)), width, height)
        inside = (xyxy[:, 2:] - xyxy[:, :2] >= LEAST_SIDE).all(1)
        ids = truth.ids[inside] if truth else np.empty(0, np.int64)
        return View(
            frame.image,
            xyxy[inside],
            ids,
            np.zeros(len(ids), np.int64),
            self._depth(frame.depth, (height, width), number),
        )

    def _depth(self, depth: Depth | None, size: tuple[int, int], number: int) -> Depth | None:
        """Return what is learned of depth; nothing is known where the camera gave none."""
        if self.orientation is None:
            return None
        if self.labels is not None:
            return self.labels.read(numbered(number), *size, self.orientation)
        if 'depth' not in self.frames.roles:
            return None
        if depth is None:
            return np.full(size, np.nan, np.float32)
        if depth.shape != size:
            raise UserError(
                f'{self.frames.path}: depth of frame {number} has {depth.shape[1]}×'
                f'{depth.shape[0]} pixels, its image {size[1]}×{size[0]}; record depth that is '
                'registered to the image'
            )
        return values_of_metres(depth, self.orientation, *self.reach)


def is_sound(truth: GroundTruth) -> bool:
    """Tell whether each id is there once, and all boxes are finite and upright."""
    upright = (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all()
    finite = np.isfinite(truth.xyxy).all()
    return bool(finite and upright and len(set(truth.ids.tolist())) == len(truth.ids))


def open_bag_footage(
    path: Path, orientation: Orientation | None, most: int, labels: Path | None = None
) -> BagFootage:
    """Open a recording; it is read through once.

    Args:
        path: Folder of the bag, `.mcap`, or `.db3` file.
        orientation: What labels of depth shall say; None: depth is not read.
        most: Objects in a frame that can be learned from.
        labels: Folder with `<name of the bag>/depth/`, that is taken before the recorded depth.

    Raises:
        UserError: It is damaged, or has no images or no ground truth; or there are labels, but
            not of it, or not as many as it has images.
    """
    frames = BagFrames(path)
    if 'ground_truth' not in frames.roles:
        raise UserError(f'{path}: no topic named …/ground_truth; training needs it')
    name = path.resolve().stem if path.is_file() else path.resolve().name
    reach, learned = (1.0, 1.0), None
    if orientation is not None and labels is not None:
        learned = _labels(labels, name, frames)
    if orientation is not None and learned is None and 'depth' in frames.roles:
        numbers = np.unique(np.linspace(0, len(frames) - 1, LOOKS).astype(int)).tolist()
        depths = (frames[number].frame.depth for number in numbers)
        reach = depth_range(depth for depth in depths if depth is not None)
        frames.close()
    period = frames.period or 1 / USUAL_FPS
    return BagFootage(name, period, frames, most, orientation, reach, learned)


def _labels(labels: Path, name: str, frames: BagFrames) -> DepthLabels | None:
    """Return the labels of a bag, one for each image; None if it has depth of its own instead.

    Raises:
        UserError: Which file or folder was expected.
    """
    folder = labels / name / LABELS
    if not folder.is_dir() and 'depth' in frames.roles:
        return None
    found = DepthLabels(folder)
    found.file(numbered(len(frames) - 1))
    more = folder / f'{numbered(len(frames))}.png'
    if more.exists():
        raise UserError(
            f'{more}: expected none after {numbered(len(frames) - 1)}.png, as {frames.path} has '
            f'{len(frames)} images; label it anew by mot-perception label-depth'
        )
    return found
