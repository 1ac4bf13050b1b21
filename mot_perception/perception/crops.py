"""What a network sees of each object: its box, cut out of the image and scaled to one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FAR = 1e9


def windows(image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> list[NDArray[np.uint8]]:
    """Return the part of the image in each box, as views.

    Corners are rounded and then clipped to the image, as the released tracker does. A box that
    nothing is left of gives the nearest pixel; one without a place (NaN), that of the corner.

    Args:
        image: H×W×3, at least one pixel.
        xyxy: N×4, pixels.
    """
    limit = np.array([image.shape[1], image.shape[0]])
    corners = np.rint(np.nan_to_num(xyxy, nan=0.0, posinf=_FAR, neginf=-_FAR))
    first = np.clip(corners[:, :2], 0, limit - 1)
    last = np.clip(corners[:, 2:], first + 1, limit)
    rows = np.hstack([first, last]).astype(int).tolist()
    return [image[top:bottom, left:right] for left, top, right, bottom in rows]


def crops(
    image: NDArray[np.uint8], xyxy: NDArray[np.float64], height: int, width: int, batch: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield B×height×width×3 crops of the N boxes in order, B = `batch` until the last.

    They are scaled bilinearly, without keeping the aspect ratio, and keep the image's colours.
    """
    for start in range(0, len(xyxy), batch):
        found = windows(image, xyxy[start : start + batch])
        scaled = np.empty((len(found), height, width, 3), np.uint8)
        for window, crop in zip(found, scaled, strict=True):
            cv2.resize(window, (width, height), crop, interpolation=cv2.INTER_LINEAR)
        yield scaled
