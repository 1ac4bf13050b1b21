"""The frame as a small grid of cells: fine enough for an object's outline, cheap for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import Frame

GRID = (72, 128)
"""Rows and columns. Squeezed over any frame, so that vectors keep their length."""

FINEST = 128
"""Cells along the longer side of a mask that are looked at where more say no more."""


def stride(height: int, width: int) -> int:
    """Return which cells of a grid to look at, every how manyth, for at most `FINEST` a side."""
    return -(-max(1, height, width) // FINEST)


def sample(image: NDArray[np.float32], grid: tuple[int, ...] = GRID) -> NDArray[np.float32]:
    """Return the pixel under the centre of each cell, h×w; means would mix near and far."""
    rows, columns = (
        ((np.arange(cells) + 0.5) * (size / cells)).astype(np.intp)
        for cells, size in zip(grid, image.shape, strict=True)
    )
    sampled: NDArray[np.float32] = image[rows[:, None], columns]
    return sampled


def inside(xyxy: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Return which cells have their centre in each box, N×h×w; NaN boxes have none.

    Args:
        xyxy: N×4, pixels of a width×height frame.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    y = (np.arange(GRID[0]) + 0.5) * (height / GRID[0])
    x = (np.arange(GRID[1]) + 0.5) * (width / GRID[1])
    in_row = (y >= xyxy[:, 1, None]) & (y < xyxy[:, 3, None])
    in_column = (x >= xyxy[:, 0, None]) & (x < xyxy[:, 2, None])
    return in_row[:, :, None] & in_column[:, None, :]


def depth_of_cells(frame: Frame, masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the depth h×w of a frame under the cells of masks N×h×w.

    Raises:
        ValueError: The frame has no depth.
    """
    if frame.depth is None:
        raise ValueError('the frame has no depth')
    return sample(frame.depth, masks.shape[1:])
