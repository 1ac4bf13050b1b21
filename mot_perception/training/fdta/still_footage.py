"""Images that stand alone as footage (CrowdHuman): the same frame over and over.

`<root>/images/NAME.jpg` and `<root>/gts/NAME.txt` with rows `0 id x y w h`: left, top, width and
height in pixels (specification §2). Labels of depth, where there are any, are in `<root>/depth`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.depth_labels import DepthLabels
from mot_perception.bags.image_files import list_images, read_image
from mot_perception.bags.mot_table import read_table
from mot_perception.boxes import clip, xywh_to_xyxy
from mot_perception.errors import UserError
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.label_places import LABELS, own_labels
from mot_perception.training.fdta.mot_footage import LEAST_SIDE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.depth_labels import Orientation

IMAGES, TRUTHS = 'images', 'gts'
PERIOD = 0.05
"""Seconds from frame to frame that a still is shown for, as in DanceTrack."""


@dataclass(frozen=True)
class StillFootage:
    """One image, a sequence of one frame.

    Attributes:
        name: Of the folder, and of the image.
        image: The file.
        xyxy: M×4, pixels; they may reach out of the image.
        ids: M.
        most: Objects in an image that can be learned from.
        labels: Of depth.
        orientation: What labels of depth say.
        period: Seconds from frame to frame of what is made of it.
    """

    name: str
    image: Path
    xyxy: NDArray[np.float64] = field(repr=False, compare=False)
    ids: NDArray[np.int64] = field(repr=False, compare=False)
    most: int
    labels: DepthLabels | None = field(repr=False)
    orientation: Orientation | None
    period: float = PERIOD

    def __len__(self) -> int:
        """Return 1."""
        return 1

    def legal(self) -> NDArray[np.bool_]:
        """Return whether it has objects, and not more than can be learned from."""
        return np.array([0 < len(self.ids) <= self.most])

    def view(self, number: int) -> View:
        """Read the image.

        Raises:
            UserError: It or its label of depth is missing or damaged.
        """
        del number
        image, depth = read_image(self.image), None
        height, width = image.shape[:2]
        if self.labels is not None and self.orientation is not None:
            depth = self.labels.read(self.image.stem, height, width, self.orientation)
        xyxy = clip(self.xyxy, width, height)
        inside = (xyxy[:, 2:] - xyxy[:, :2] >= LEAST_SIDE).all(1)
        return View(image, xyxy[inside], self.ids[inside], np.zeros(inside.sum(), np.int64), depth)


def is_crowdhuman(root: Path) -> bool:
    """Tell whether a folder holds stills and their boxes."""
    return (root / IMAGES).is_dir() and (root / TRUTHS).is_dir()


def open_stills(
    root: Path, orientation: Orientation | None, most: int, labels: Path | None = None
) -> list[StillFootage]:
    """Open a folder of stills; all text is read and checked here, images are not.

    Args:
        root: With `images/` and `gts/`.
        orientation: What labels of depth shall say, if there are any; None: none are read.
        most: Objects in an image that can be learned from.
        labels: Folder with `<root's name>/depth/`, that is taken before the root's own.

    Raises:
        UserError: Text is missing or malformed: where.
    """
    place = own_labels(root.resolve().name, labels) or root / LABELS
    learned = DepthLabels(place) if orientation is not None and place.is_dir() else None
    images = list_images(root / IMAGES)
    if not images:
        raise UserError(f'{root / IMAGES}: no images; training needs them')
    return [
        StillFootage(
            f'{root.resolve().name}/{image.stem}',
            image,
            *read_still(root / TRUTHS / f'{image.stem}.txt'),
            most,
            learned,
            orientation,
        )
        for image in images
    ]


def read_still(file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the boxes of a still, M×4 corners in pixels, and who they are.

    Raises:
        UserError: With file and line: what is wrong.
    """
    table = read_table(file)
    ids, boxes = table.values[:, 1], table.values[:, 2:6]
    table.require(np.isfinite(boxes).all(1), 'the box must be finite')
    table.require((boxes[:, 2:] > 0).all(1), 'width and height must be more than 0')
    table.require((ids >= 0) & (ids == np.floor(ids)), 'the id must be a whole number from 0 on')
    if len(boxes) and boxes.max() <= 1:
        raise UserError(f'{file}: all boxes are within one pixel; write pixels, not shares')
    first = np.zeros(len(ids), np.bool_)
    first[np.unique(ids, return_index=True)[1]] = True
    table.require(first, 'this image has a box of this id already')
    return xywh_to_xyxy(boxes), ids.astype(np.int64)
