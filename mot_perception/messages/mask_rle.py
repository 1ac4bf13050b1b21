"""Masks as COCO's run lengths over the whole image: column by column, background first.

A mask is a grid of cells over the frame. Each pixel of the image belongs to the cell in which its
centre lies (nearest neighbour); the run lengths are counted on the grid, no image is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.image_size import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import TrackedFrame

MOST_RUNS = 1 << 20
"""Run lengths of all masks of a frame, 4 MiB: readers take no message of more than 8 MiB."""

_NONE = np.empty(0, np.uint32)


def track_runs(tracked: TrackedFrame) -> list[NDArray[np.uint32]]:
    """Return the run lengths of each track's mask; none for tracks without mask or detection."""
    if tracked.masks is None:
        return [_NONE] * len(tracked.tracks)
    runs = run_lengths(tracked.masks, tracked.frame.width, tracked.frame.height)
    return [runs[row] if row >= 0 else _NONE for row in tracked.tracks.detection.tolist()]


def run_lengths(masks: NDArray[np.bool_], width: int, height: int) -> list[NDArray[np.uint32]]:
    """Return the run lengths of N masks, each enlarged (or shrunk) to the size of an image.

    None are returned for a mask without a pixel, and for the most ragged ones of a frame whose
    masks have more than `MOST_RUNS` together.

    Args:
        masks: bool N×h×w.
        width: Of the image, pixels.
        height: Of the image, pixels.
    """
    if not masks.size or min(width, height) <= 0:
        return [_NONE] * len(masks)
    begin, copies = _changes(masks, width, height)
    area = width * height
    runs = np.bincount(begin // area, copies, len(masks))
    if runs.sum() > MOST_RUNS:
        order = np.argsort(runs)
        few = np.empty(len(runs), np.bool_)
        few[order] = np.cumsum(runs[order]) <= MOST_RUNS
        kept = few[begin // area]
        begin, copies, runs = begin[kept], copies[kept], runs * few
    # The masks in one row: a run ends at each change of colour and at the end of each mask.
    ends = np.concatenate([_repeated(begin, copies, height), np.arange(len(masks) + 1) * area])
    ends.sort()
    counts = np.diff(ends).astype(np.uint32)
    parts = np.split(counts, np.cumsum(runs[:-1] + 1).astype(np.intp))
    return [part if len(part) > 1 else _NONE for part in parts]


def decode_runs(
    counts: NDArray[np.uint32], width: int, height: int, where: str = 'mask_rle'
) -> NDArray[np.bool_]:
    """Return the mask of an image, bool H×W; without counts there is no pixel in it.

    Args:
        counts: `mask_rle` of a `TrackedObject`.
        width: `image_width` of the array that the object is from.
        height: `image_height` of it.
        where: Names it in errors, such as its topic.

    Raises:
        UserError: The counts do not add up to the image, or no camera has so many pixels.
    """
    check_size(width, height, 1, where)
    if not len(counts):
        return np.zeros((height, width), np.bool_)
    total = int(np.sum(counts, dtype=np.uint64))  # before there is memory for it
    if total != width * height:
        raise UserError(
            f'{where}: run lengths of {total} pixels in an image of {width}×{height}; '
            'read both from the same message'
        )
    inside = np.arange(len(counts)) % 2 == 1
    columns: NDArray[np.bool_] = np.repeat(inside, counts.astype(np.intp)).reshape(width, height)
    return columns.T


def cells_of_pixels(pixels: int, cells: int) -> NDArray[np.intp]:
    """Return, for each pixel of a row or column, the cell in which its centre lies."""
    index: NDArray[np.intp] = (2 * np.arange(pixels) + 1) * cells // (2 * pixels)
    return index


def _changes(
    masks: NDArray[np.bool_], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the colour changes, counting down the columns of one mask after the other.

    A column of cells is several equal columns of pixels: a change is returned with its place in
    the first of them, and the number of columns that it is in.
    """
    rows, y = np.unique(cells_of_pixels(height, masks.shape[1]), return_index=True)
    columns, x, copies = np.unique(
        cells_of_pixels(width, masks.shape[2]), return_index=True, return_counts=True
    )
    if (len(rows), len(columns)) != masks.shape[1:]:  # the grid is finer than the image
        masks = masks[:, rows[:, None], columns]
    inner, row, column = _where(masks[:, 1:] ^ masks[:, :-1])
    # At the top of a column the pixel before is the last one of the column to the left.
    top, bottom = masks[:, 0], masks[:, -1]
    before = np.zeros_like(bottom)
    before[:, 1:] = bottom[:, :-1]
    first, first_column = np.nonzero(top ^ before)
    again, again_column = np.nonzero((top ^ bottom) & (copies > 1))
    area = width * height
    begin = [
        inner * area + x[column] * height + y[row + 1],
        first * area + x[first_column] * height,
        again * area + (x[again_column] + 1) * height,
    ]
    times = [copies[column], np.ones_like(first_column), copies[again_column] - 1]
    return np.concatenate(begin), np.concatenate(times)


def _where(
    cells: NDArray[np.bool_],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return `np.nonzero` of N×h×w, which takes many times as long in three dimensions."""
    index = np.flatnonzero(cells)
    rest, column = np.divmod(index, cells.shape[2])
    number, row = np.divmod(rest, cells.shape[1] or 1)
    return number, row, column


def _repeated(begin: NDArray[np.int64], copies: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return begin, begin + step, …, each as often as `copies` says."""
    number = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    repeated: NDArray[np.int64] = np.repeat(begin, copies) + number * step
    return repeated
