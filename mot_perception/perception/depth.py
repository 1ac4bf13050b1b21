"""How deep an object is: median and spread over its mask, or over the middle of its box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.perception.grid import stride

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAD_TO_STDDEV = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
MIDDLE = 0.3, 0.5
"""Share of a box's width and height in the middle of it that is looked at: the rest is often
background. Half of the width made every third depth of rendered dancers wrong, 0.3 every sixth."""
LATTICE = 12
"""Places along width and height of a box at which its depth is read."""
LEAST_KNOWN = 0.1
"""Share of these that must be known: in a hole, the few readings left are often wrong."""


def object_depth(
    depth: NDArray[np.float32], masks: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median depth and robust standard deviation of N objects, in the unit of `depth`.

    Args:
        depth: h×w; 0 or NaN where unknown.
        masks: N×h×w; of finer ones every second cell counts, or fewer.

    Returns:
        Two arrays of N, NaN where the mask covers no known depth.
    """
    step = stride(*depth.shape)
    depth, masks = depth[::step, ::step], masks[:, ::step, ::step]
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


def box_depth(
    depth: NDArray[np.float32], xyxy: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median depth and robust standard deviation in the middle of N boxes, without masks.

    Only the `MIDDLE` of that part of a box counts that lies in the image; someone in front of an
    object is taken for it there. Small boxes and large ones are looked at in as many places, so
    that the cost depends on their number alone.

    Args:
        depth: H×W of any resolution over the same view; 0 or NaN where unknown.
        xyxy: N×4, pixels of a width×height frame.
        width: Of the frame, pixels.
        height: Of the frame, pixels.

    Returns:
        Two arrays of N in the unit of `depth`; NaN where too little of it is known, or the box
        lies outside the image or is none.
    """
    with np.errstate(all='ignore'):  # detections and sizes may be anything
        share = xyxy / (width, height, width, height)
    rows, columns, inside = _lattices(share, depth.shape)
    values = depth[rows[:, :, None], columns[:, None, :]].astype(np.float64)
    values = values.reshape(len(xyxy), LATTICE**2)
    known = np.isfinite(values) & (values > 0)
    enough = inside & (known.sum(1) >= LEAST_KNOWN * LATTICE**2)
    values = np.where(known & enough[:, None], values, np.nan)
    median = _row_median(values)
    return median, MAD_TO_STDDEV * _row_median(np.abs(values - median[:, None]))


def _lattices(
    share: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return rows and columns (N×LATTICE) in the middle of boxes, and which N lie inside.

    Args:
        share: N×4, the boxes as shares of width and height of the view.
        shape: H, W of the image that is read.
    """
    seen = np.clip(share, 0, 1)
    inside = np.asarray(np.isfinite(share).all(1) & (seen[:, 2:] > seen[:, :2]).all(1))
    seen[~inside] = 0
    across = (np.arange(LATTICE) + 0.5) / LATTICE - 0.5
    columns, rows = (
        np.minimum((centre[:, None] + size[:, None] * part * across) * pixels, pixels - 1)
        for centre, size, part, pixels in zip(
            ((seen[:, :2] + seen[:, 2:]) / 2).T,
            (seen[:, 2:] - seen[:, :2]).T,
            MIDDLE,
            shape[::-1],
            strict=True,
        )
    )
    return rows.astype(np.intp), columns.astype(np.intp), inside


def _row_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of what is not NaN in each row; NaN where there is nothing."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    row = np.arange(len(values))
    return np.asarray((ordered[row, low] + ordered[row, high]) / 2)
