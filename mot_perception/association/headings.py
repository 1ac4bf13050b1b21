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
def turn(
    heading: Array,
    box: Array,
    age: int,
    last: Array,
    boxes: Array,
    ages: Index,
    reach: int,
    longest: bool,
) -> None:
    """Write the heading P×2 of one track that is observed now; (0, 0) without a past.

    Args:
        heading: Where to write, P×2.
        box: The new box, 4.
        age: Frames since birth.
        last: Last observed box, 4; NaN where there is none.
        boxes: Ring buffer of observed boxes, H×4.
        ages: Ages of the ring buffer, H.
        reach: Longest interval, frames, less than H.
        longest: Take the longest interval there is (OC-SORT); otherwise the sum over all
            intervals divided by `reach` (Hybrid-SORT's, scaled), short where they disagree.
    """
    size = len(ages)
    heading[:] = 0.0
    found = 0
    for k in range(reach, 0, -1):
        then = age - k
        if then >= 0 and ages[then % size] == then:
            _add(heading, box, boxes[then % size])
            found += 1
            if longest:
                break
    if found == 0 and not np.isnan(last[0]):
        _add(heading, box, last)
    if not longest:
        heading /= reach


@njit(cache=True)
def _add(heading: Array, new: Array, old: Array) -> None:
    for p in range(len(heading)):
        x, y = displacement(new, old, p, len(heading))
        heading[p, 0] += x
        heading[p, 1] += y
