"""Which masks are evidence where several objects have the same one.

A network that is shown the box of somebody behind another often outlines the one in front, now or
one step back. Then two boxes have one mask, and for one of them it is the wrong one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.boxes import iou
from mot_perception.perception.grid import stride

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Masks = NDArray[np.bool_]

SAME = 0.5
"""IoU of two masks from which they are of one object."""


def undisputed(
    current: Masks, previous: Masks, xyxy: NDArray[np.float64], width: int, height: int
) -> NDArray[np.bool_]:
    """Return which of N masks no other object has, or none whose box they fit better.

    Args:
        current: N×h×w, at t.
        previous: N×h×w, at t−1.
        xyxy: N×4, the objects' boxes at t, pixels of a width×height frame; masks of both times
            are compared with them.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    step = stride(*current.shape[1:])
    current, previous = current[:, ::step, ::step], previous[:, ::step, ::step]
    scale = np.tile(np.array(current.shape[:0:-1]) / (width, height), 2)
    same = np.maximum(_overlap(current), _overlap(previous)) > SAME
    with np.errstate(invalid='ignore'):
        fits = [iou(_extents(it), xyxy * scale).diagonal() for it in (current, previous)]
    fit = np.nan_to_num(sum(fits))
    order = np.lexsort((np.arange(len(fit)), -fit)).argsort()
    better = order[None, :] < order[:, None]
    return np.asarray(~(same & better).any(1))


def _overlap(masks: Masks) -> NDArray[np.float32]:
    """Return the IoU of each mask with each other one, N×N; 0 of empty ones."""
    flat = masks.reshape(len(masks), np.prod(masks.shape[1:])).astype(np.float32)
    both, size = flat @ flat.T, flat.sum(1)
    overlap: NDArray[np.float32] = both / np.maximum(size[:, None] + size - both, 1)
    return overlap


def _extents(masks: Masks) -> NDArray[np.float64]:
    """Return the boxes around masks, N×4 in cells; of an empty one nothing."""
    occupied = np.any(masks, axis=1), np.any(masks, axis=2)
    (left, right), (top, bottom) = map(_ends, occupied)
    return np.stack([left, top, right, bottom], 1).astype(np.float64)


def _ends(occupied: Masks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the occupied ones of N×L cells begin and end; 0 and 0 where none is."""
    first = occupied.argmax(1)
    last = occupied.shape[1] - occupied[:, ::-1].argmax(1)
    return first, np.where(np.any(occupied, axis=1), last, 0)
