"""Folders of images: which files are frames, in which order, with which depth beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mot_perception.bags.seqinfo import frame_rate
from mot_perception.bags.sequence import Item, Sequence
from mot_perception.errors import UserError
from mot_perception.messages.pictures import decode_depth_picture, decode_picture
from mot_perception.types import NANOSECONDS, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.bags.sequence import GroundTruth
    from mot_perception.types import Detections

SUFFIXES = '.jpg', '.jpeg', '.png', '.bmp'
BESIDE = '_depth', '_mask'
"""`NAME_depth.png` holds the depth of `NAME.jpg` (16 bit, millimetres); masks are not frames."""


def list_images(folder: Path) -> list[Path]:
    """Return the frames of a folder in natural order (2.jpg before 10.jpg).

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        files = [file for file in folder.iterdir() if _is_frame(file)]
    except OSError as error:
        raise UserError(f'{folder}: cannot be read ({error.strerror}); check the path') from error
    return sorted(files, key=_natural)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as BGR.

    Raises:
        UserError: It cannot be read, is damaged, or is absurdly large.
    """
    return decode_picture(_read(path), str(path))


def read_depth_beside(path: Path) -> NDArray[np.float32] | None:
    """Read the depth of an image in metres from `NAME_depth.png`, or None if there is none."""
    file = path.with_name(f'{path.stem}_depth.png')
    return decode_depth_picture(_read(file), str(file)) if file.is_file() else None


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file."""
    height, width = read_image(path).shape[:2]
    return width, height


def image_item(
    index: int,
    fps: float,
    size: tuple[int, int],
    path: Path | None,
    detections: Detections | None = None,
    ground_truth: GroundTruth | None = None,
) -> Item:
    """Return one item of a sequence at a constant frame rate.

    Args:
        index: Position in the sequence, from 0.
        fps: Frames per second.
        size: Width and height where there is no image.
        path: The image file, or None.
        detections: Detections of the frame.
        ground_truth: Ground truth of the frame.
    """
    stamp_ns = round(index * NANOSECONDS / fps)
    if path is None:
        return Item(Frame(stamp_ns, index, *size), detections, ground_truth)
    image = read_image(path)
    height, width = image.shape[:2]
    frame = Frame(stamp_ns, index, width, height, image, read_depth_beside(path))
    return Item(frame, detections, ground_truth)


def open_image_folder(folder: Path, *, fps: float | None = None) -> Sequence:
    """Open a folder of images, in natural order of their names.

    Args:
        folder: The folder.
        fps: Frames per second; images do not tell.

    Raises:
        UserError: The frame rate is missing, or the first image cannot be read.
    """
    rate = frame_rate(fps, folder)
    images = list_images(folder)
    width, height = image_size(images[0])

    def frames() -> Iterator[Item]:
        for index, image in enumerate(images):
            yield image_item(index, rate, (width, height), image)

    return Sequence(
        name=folder.resolve().name,
        fps=rate,
        width=width,
        height=height,
        length=len(images),
        has_images=True,
        has_detections=False,
        input_files=images,
        frames=frames,
    )


def _is_frame(file: Path) -> bool:
    return (
        file.suffix.lower() in SUFFIXES
        and not file.name.startswith('.')
        and not file.stem.endswith(BESIDE)
    )


def _natural(file: Path) -> list[tuple[int, str]]:
    parts = re.split(r'(\d+)', file.name)
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in parts]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); check the file') from error
