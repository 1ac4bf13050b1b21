"""Which part of each frame of a clip is looked at, and how large it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mot_perception.fdta.images import scaled
from mot_perception.training.fdta.clip import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_SIDE = 1.0
"""Pixels of the original that must be left of each side of an object, for it to stay."""
LEAST_KNOWN = 0.5
"""Share of known depth around a pixel, for its depth to be known after scaling."""


class Framing(NamedTuple):
    """A rectangle of a frame, scaled to some size, perhaps mirrored."""

    window: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels of the frame; within it."""
    height: int
    """Pixels, after scaling."""
    width: int
    mirrored: bool = False


def remaining(xyxy: Array, window: tuple[int, int, int, int]) -> tuple[Array, NDArray[np.bool_]]:
    """Return boxes cut to a window, M×4 in pixels of the frame, and which of them stay."""
    cut = np.clip(xyxy, window[:2] * 2, window[2:] * 2)
    kept: NDArray[np.bool_] = np.all(cut[:, 2:] - cut[:, :2] >= LEAST_SIDE, axis=1)
    return cut, kept


def framed(view: View, framing: Framing) -> View:
    """Return what is seen of a frame; image, depth and boxes stay in register."""
    left, top, right, bottom = framing.window
    part = np.s_[top:bottom, left:right]
    size = framing.height, framing.width
    image, depth = scaled(view.image[part], *size), None
    if view.depth is not None:
        depth = _scaled_depth(view.depth[part], size)
    cut, kept = remaining(view.xyxy, framing.window)
    scale = np.array([framing.width / (right - left), framing.height / (bottom - top)])
    xyxy = (cut[kept] - [left, top, left, top]) * np.tile(scale, 2)
    if framing.mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        depth = None if depth is None else np.ascontiguousarray(depth[:, ::-1])
        xyxy = np.stack(
            [framing.width - xyxy[:, 2], xyxy[:, 1], framing.width - xyxy[:, 0], xyxy[:, 3]], 1
        )
    return View(image, xyxy, view.ids[kept], view.labels[kept], depth)


def _scaled_depth(depth: NDArray[np.float32], size: Sequence[int]) -> NDArray[np.float32]:
    """Return bilinear samples; where a part is unknown, they are of what is known."""
    to = size[1], size[0]
    unknown = np.isnan(depth)
    if not unknown.any():
        return np.asarray(cv2.resize(depth, to, interpolation=cv2.INTER_LINEAR), np.float32)
    known = (~unknown).astype(np.float32)
    total = cv2.resize(np.where(unknown, 0, depth), to, interpolation=cv2.INTER_LINEAR)
    share = cv2.resize(known, to, interpolation=cv2.INTER_LINEAR)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(share >= LEAST_KNOWN, total / share, np.nan).astype(np.float32)
