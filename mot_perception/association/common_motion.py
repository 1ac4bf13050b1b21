"""The motion that all objects share, and that is therefore the camera's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LEAST = 3
"""Objects needed to tell the camera's motion from their own."""
_DEAD_ZONE = 0.02
"""Share of the median height below which a common displacement is no news."""


@njit(cache=True)
def common_motion(detections: Array, predicted: Array, spread: float) -> Array:
    """Return the displacement (x, y) in pixels that the predictions of most objects lack.

    The median way from predicted to detected centres. It is (0, 0) where there are fewer than
    three objects, where it is within 2 % of their median height, or where the objects do not
    agree: their median distance from it exceeds `spread` times its own length.

    Args:
        detections: Boxes B×4 of matched objects.
        predicted: Where they were expected, B×4.
        spread: Largest disagreement, relative to the displacement.
    """
    out = np.zeros(2)
    if len(detections) < _LEAST:
        return out
    x = (detections[:, 0] + detections[:, 2] - predicted[:, 0] - predicted[:, 2]) / 2
    y = (detections[:, 1] + detections[:, 3] - predicted[:, 1] - predicted[:, 3]) / 2
    shift_x, shift_y = np.median(x), np.median(y)
    length = max(abs(shift_x), abs(shift_y))
    if length <= _DEAD_ZONE * np.median(predicted[:, 3] - predicted[:, 1]):
        return out
    apart = np.maximum(np.abs(x - shift_x), np.abs(y - shift_y))
    if np.median(apart) < spread * length:
        out[0], out[1] = shift_x, shift_y
    return out
