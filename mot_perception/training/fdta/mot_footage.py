"""Sequences in MOTChallenge's layout as footage: DanceTrack, SportsMOT, BFT, MOT17, one's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.depth_labels import DepthLabels
from mot_perception.bags.image_files import image_size, list_images, read_image
from mot_perception.bags.mot import PEDESTRIAN, read_mot
from mot_perception.bags.motchallenge import SEQINFO, TRUTH, sequence_length
from mot_perception.bags.seqinfo import frame_rate, read_seqinfo
from mot_perception.boxes import clip
from mot_perception.errors import UserError
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.label_places import LABELS, own_labels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.bags.rows import MotRows

USUAL_FPS = 25.0
"""Frames per second where `seqinfo.ini` does not say; BFT has none."""
LEAST_SIDE = 1.0
"""Pixels of each side of a box that must lie in the image."""


@dataclass(frozen=True)
class MotFootage:
    """Images and ground truth of one sequence.

    Attributes:
        name: Of the sequence and of the folder it is in.
        period: Seconds from frame to frame.
        images: Of its frames.
        counted: Boxes to learn from, cut to the image.
        most: Objects in a frame that can be learned from.
        labels: Of depth.
        orientation: What labels of depth say.
    """

    name: str
    period: float
    images: list[Path] = field(repr=False)
    counted: MotRows = field(repr=False, compare=False)
    most: int
    labels: DepthLabels | None = field(repr=False)
    orientation: Orientation | None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.images)

    def legal(self) -> NDArray[np.bool_]:
        """Return which frames have objects, and not more than can be learned from."""
        count = np.bincount(self.counted.frame - 1, minlength=len(self))
        return (count > 0) & (count <= self.most)

    def view(self, number: int) -> View:
        """Read frame `number`, from 0.

        Raises:
            UserError: The image or its label of depth is missing or damaged.
        """
        file = self.images[number]
        image, depth = read_image(file), None
        if self.labels is not None and self.orientation is not None:
            height, width = image.shape[:2]
            depth = self.labels.read(file.stem, height, width, self.orientation)
        rows = self.counted.select(
            slice(*np.searchsorted(self.counted.frame, [number + 1, number + 2]))
        )
        return View(image, rows.xyxy, rows.id, np.zeros(len(rows), np.int64), depth)


def open_mot_footage(
    folder: Path, orientation: Orientation | None, most: int, labels: Path | None = None
) -> MotFootage:
    """Open a sequence; all text is read and checked here, images are not.

    Args:
        folder: With images, `gt/gt.txt`, `depth/` if depth is learned, and perhaps `seqinfo.ini`.
        orientation: What labels of depth shall say; None: none are read.
        most: Objects in a frame that can be learned from.
        labels: Folder with `<sequence>/depth/`, that is taken before the sequence's own.

    Raises:
        UserError: Something is missing, malformed, or contradicts the rest: what and where.
    """
    info = read_seqinfo(folder / SEQINFO)
    if not (folder / TRUTH).exists():
        raise UserError(f'{folder / TRUTH}: no ground truth; training needs it')
    truth = read_mot(folder / TRUTH, kind='gt')
    images = numbered_images(folder / info.image_folder)
    sequence_length(folder, info.length, images, (truth,))
    place = own_labels(folder.resolve().name, labels) or folder / LABELS
    return MotFootage(
        name='/'.join(folder.resolve().parts[-2:]),
        period=1 / frame_rate(info.fps or USUAL_FPS, folder),
        images=images,
        counted=cut(counted(truth), *image_size(images[0])),
        most=most,
        labels=None if orientation is None else DepthLabels(place),
        orientation=orientation,
    )


def numbered_images(folder: Path) -> list[Path]:
    """Return the images of a sequence, none missing between the first and the last.

    Raises:
        UserError: There are none, or numbers are missing or double.
    """
    images = list_images(folder)
    if not images:
        raise UserError(f'{folder}: no images; training needs them')
    for before, after in gaps(images):
        raise UserError(
            f'{folder}: after {before.name} comes {after.name}; complete the images or number '
            'them anew, as the k-th of them is frame k'
        )
    return images


def gaps(images: list[Path]) -> list[tuple[Path, Path]]:
    """Return neighbours whose names are numbers that do not follow each other."""
    if not all(image.stem.isdecimal() for image in images):
        return []
    numbers = [int(image.stem) for image in images]
    return [
        (images[k - 1], images[k])
        for k in range(1, len(images))
        if numbers[k] != numbers[k - 1] + 1
    ]


def counted(truth: MotRows) -> MotRows:
    """Return the boxes to learn from.

    Where classes mean what they do in MOT17, those are the pedestrians that are considered. In
    sets of one other kind of object (BFT has birds) nothing is a pedestrian, and all are taken.
    """
    considered = truth.select(truth.consider)
    pedestrians = considered.select(considered.label == PEDESTRIAN)
    return pedestrians if len(pedestrians) else considered


def cut(rows: MotRows, width: int, height: int) -> MotRows:
    """Return the boxes cut to the image, without those that are outside of it."""
    xyxy = clip(rows.xyxy, width, height)
    inside = (xyxy[:, 2:] - xyxy[:, :2] >= LEAST_SIDE).all(1)
    kept = rows.select(inside)
    return type(rows)(kept.frame, kept.id, xyxy[inside], kept.score, kept.label, kept.consider)
