"""Where tracks are heading: unit displacements of box points, remembered from observations.

Headings are M×P×2 arrays (x, y): P = 1 for the centre (OC-SORT), P = 4 for the corners
(Hybrid-SORT), in the order left-top, right-top, left-bottom, right-bottom.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@njit(cache=True)
def displacement(new: Array, old: Array, point: int, points: int) -> tuple[float, float]:
    """Return the unit vector (x, y) of one of the P points from an old box to a new one."""
    if points == 1:
        x = (new[0] + new[2] - old[0] - old[2]) / 2
        y = (new[1] + new[3] - old[1] - old[3]) / 2
    else:
        column, row = 2 * (point % 2), 1 + 2 * (point // 2)
        x, y = new[column] - old[column], new[row] - old[row]
    norm = sqrt(x * x + y * y) + 1e-6
    return x / norm, y / norm


@njit(cache=True)
def references(age: Index, last: Array, boxes: Array, ages: Index, reach: int) -> Array:
    """Return the box from which each track's heading is continued, M×4; NaN where none.

    The observation `reach` frames ago, else the next younger one, else the last.

    Args:
        age: Frames since birth, M.
        last: Last observed box, M×4; NaN before the first.
        boxes: Ring buffer of observed boxes, M×H×4, the one of age a at a mod H.
        ages: Ages at which they were observed, M×H; −1 where empty.
        reach: Longest interval, frames, less than H.
    """
    out = last.copy()
    size = boxes.shape[1]
    for i in range(len(age)):
        for k in range(reach, 0, -1):
            then = age[i] - k
            if then >= 0 and ages[i, then % size] == then:
                out[i] = boxes[i, then % size]
                break
    return out


@njit(cache=True)
def headings(
    xyxy: Array,
    age: Index,
    last: Array,
    boxes: Array,
    ages: Index,
    reach: int,
    points: int,
    longest: bool,
) -> Array:
    """Return the headings B×P×2 of tracks that are observed now; (0, 0) without a past.

    Args:
        xyxy: The new boxes, B×4.
        age: Frames since birth, B.
        last: Last observed box, B×4; NaN where there is none.
        boxes: Ring buffers, B×H×4.
        ages: Ages of the ring buffers, B×H.
        reach: Longest interval, frames.
        points: P, 1 or 4.
        longest: Take the longest interval there is (OC-SORT); otherwise the sum over all
            intervals divided by `reach` (Hybrid-SORT's, scaled), short where they disagree.
    """
    size = boxes.shape[1]
    out = np.zeros((len(xyxy), points, 2))
    for i in range(len(xyxy)):
        found = 0
        for k in range(reach, -1, -1):
            then = age[i] - k
            if k > 0 and then >= 0 and ages[i, then % size] == then:
                old = boxes[i, then % size]
            elif k == 0 and found == 0 and not np.isnan(last[i, 0]):
                old = last[i]
            else:
                continue
            for p in range(points):
                x, y = displacement(xyxy[i], old, p, points)
                out[i, p, 0] += x
                out[i, p, 1] += y
            found += 1
            if longest:
                break
        if not longest:
            out[i] /= reach
    return out
