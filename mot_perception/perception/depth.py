"""How deep an object is: median and spread over its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAD_TO_STDDEV = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def object_depth(
    depth: NDArray[np.float32], masks: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median depth and robust standard deviation of N objects, in the unit of `depth`.

    Args:
        depth: h×w; 0 or NaN where unknown.
        masks: N×h×w.

    Returns:
        Two arrays of N, NaN where the mask covers no known depth.
    """
    known = np.isfinite(depth) & (depth > 0)
    rows, cells = np.nonzero((masks & known).reshape(len(masks), depth.size))
    values = depth.ravel()[cells].astype(np.float64)
    median = _grouped_median(values, rows, len(masks))
    spread = _grouped_median(np.abs(values - median[rows]), rows, len(masks))
    return median, MAD_TO_STDDEV * spread


def _grouped_median(
    values: NDArray[np.float64], group: NDArray[np.intp], groups: int
) -> NDArray[np.float64]:
    """Return the median of each group's values, NaN for groups without any."""
    ordered = np.append(values[np.lexsort((values, group))], np.nan)
    count = np.bincount(group, minlength=groups)
    start = np.cumsum(count) - count
    empty = count == 0
    low = np.where(empty, len(values), start + (count - 1) // 2)
    high = np.where(empty, len(values), start + count // 2)
    return np.asarray((ordered[low] + ordered[high]) / 2)
