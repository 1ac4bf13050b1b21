"""Gaps in finished tracks filled with straight lines: knows the future, so never on by default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows


def interpolate(rows: MotRows, max_gap: int = 20, min_length: int = 30) -> MotRows:
    """Fill short gaps of long tracks by linear interpolation of box and score.

    The post-processing of the paper's benchmark results. Interpolating twice changes nothing.

    Args:
        rows: Tracks, in any order; one row per id and frame.
        max_gap: A gap is filled where its two frames are fewer than this apart.
        min_length: Only tracks with more rows than this are filled.

    Returns:
        The rows given and the rows filled in, sorted by frame, then id.
    """
    order = np.lexsort((rows.frame, rows.id))
    frame, ids = np.asarray(rows.frame)[order], np.asarray(rows.id)[order]
    _, track, rows_of_track = np.unique(ids, return_inverse=True, return_counts=True)
    step = np.diff(frame)
    fillable = (np.diff(ids) == 0) & (step > 1) & (step < max_gap)
    before = np.flatnonzero(fillable & (rows_of_track[track[:-1]] > min_length))
    missing = step[before] - 1
    since = np.arange(missing.sum()) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    start, fraction = np.repeat(before, missing), since / np.repeat(missing + 1, missing)

    def line(column: NDArray[np.float64]) -> NDArray[np.float64]:
        sorted_ = np.asarray(column, np.float64)[order]
        weight = fraction.reshape(-1, *[1] * (column.ndim - 1))
        filled = sorted_[start] * (1 - weight) + sorted_[start + 1] * weight
        return np.concatenate([sorted_, filled])

    all_frames = np.concatenate([frame, frame[start] + since])
    source = np.concatenate([np.arange(len(ids)), start])
    by_frame = np.lexsort((ids[source], all_frames))
    source = source[by_frame]
    return replace(
        rows,
        frame=all_frames[by_frame],
        id=ids[source],
        xyxy=line(rows.xyxy)[by_frame],
        score=line(rows.score)[by_frame],
        label=rows.label[order][source],
        consider=rows.consider[order][source],
    )
