"""Images as YOLOX expects them: on a canvas of one size, in one of two scales of colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Pixels = Literal['bgr', 'imagenet']
"""What weights were trained on: BGR from 0 to 255 as YOLOX' own files, or RGB less ImageNet's mean
over its deviation as ByteTrack's."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue from 0 to 1 (ImageNet)."""
PADDING = 114
"""Grey beside and below an image."""


def letterbox(
    image: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.uint8], float]:
    """Scale an image into the upper left of a canvas.

    Args:
        image: H×W×3.
        height: Of the canvas, pixels.
        width: Of the canvas, pixels.

    Returns:
        The canvas, height×width×3, and by what positions were multiplied.
    """
    ratio = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(int(side * ratio), 1) for side in image.shape[:2])
    canvas = np.full((height, width, 3), PADDING, np.uint8)
    canvas[:rows, :columns] = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return canvas, ratio


def as_planes(canvases: Sequence[NDArray[np.uint8]], pixels: Pixels) -> NDArray[np.float32]:
    """Return B canvases, h×w×3 BGR, as float32 B×3×h×w in the scale that weights expect."""
    ordered = [canvas if pixels == 'bgr' else canvas[..., ::-1] for canvas in canvases]
    # Bytes are put in order before they become four times as long.
    planes = np.ascontiguousarray(np.stack(ordered).transpose(0, 3, 1, 2)).astype(np.float32)
    if pixels == 'imagenet':
        mean, std = (np.array(of, np.float32)[:, None, None] for of in (MEAN, STD))
        planes /= 255 * std
        planes -= mean / std
    return planes
