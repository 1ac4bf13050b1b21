"""Box algebra on float N×4 arrays, pixels, (left, top, right, bottom) unless said otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def xywh_to_xyxy(xywh: Array) -> Array:
    """Convert (left, top, width, height) to corners."""
    return np.concatenate([xywh[..., :2], xywh[..., :2] + xywh[..., 2:4]], axis=-1)


def xyxy_to_xywh(xyxy: Array) -> Array:
    """Convert corners to (left, top, width, height)."""
    return np.concatenate([xyxy[..., :2], xyxy[..., 2:4] - xyxy[..., :2]], axis=-1)


def centres(xyxy: Array) -> Array:
    """Return the box centres, N×2."""
    return (xyxy[..., :2] + xyxy[..., 2:4]) / 2


def area(xyxy: Array) -> Array:
    """Return width × height, N; zero for inverted boxes."""
    size = np.maximum(xyxy[..., 2:4] - xyxy[..., :2], 0)
    return np.asarray(size[..., 0] * size[..., 1])


def iou(a: Array, b: Array) -> Array:
    """Return the N×M intersection over union; 0 where a union is empty."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    size = np.maximum(np.minimum(a[:, None, 2:4], b[None, :, 2:4]) - corner, 0)
    overlap = size[..., 0] * size[..., 1]
    union = area(a)[:, None] + area(b)[None] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def clip(xyxy: Array, width: int, height: int) -> Array:
    """Return the boxes cut to the image; a box outside becomes empty at the border."""
    limit = np.array([width, height, width, height], np.float64)
    return np.clip(xyxy, 0, limit)


def warp(xyxy: Array, affine: Array) -> Array:
    """Return the boxes seen by a camera that moved: centres by the 2×3 affine, sizes by its zoom.

    Args:
        xyxy: Boxes …×4, pixels of the old view.
        affine: 2×3 matrix from pixels of the old view to pixels of the new one.
    """
    linear = affine[:, :2]
    zoom = np.sqrt(abs(np.linalg.det(linear)))
    centre = centres(xyxy) @ linear.T + affine[:, 2]
    half = (xyxy[..., 2:4] - xyxy[..., :2]) / 2 * zoom
    return np.concatenate([centre - half, centre + half], axis=-1)
