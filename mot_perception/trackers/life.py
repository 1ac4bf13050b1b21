"""What happens to tracks in a frame, compiled: they age and move, are observed, are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from mot_perception.association.headings import turn
from mot_perception.motion.kalman import (
    box_row,
    centre_size_of,
    reupdate_row,
    update_row,
)
from mot_perception.types import FARTHEST, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Rows = NDArray[Any]

REPORT = np.dtype(
    [
        ('id', np.int64),
        ('state', np.int8),
        ('xyxy', np.float64, 4),
        ('score', np.float64),
        ('association_score', np.float64),
        ('label', np.int32),
        ('detection', np.int64),
        ('velocity', np.float64, 2),
        ('age', np.int64),
        ('hits', np.int64),
        ('misses', np.int64),
        ('first_seen_ns', np.int64),
        ('last_seen_ns', np.int64),
        ('depth', np.float64),
        ('depth_stddev', np.float64),
    ]
)
"""The columns of `Tracks` that a tracker knows of, in their order; 3D comes after it."""
COLUMNS = REPORT.names or ()

_TENTATIVE = int(TrackState.TENTATIVE)
_CONFIRMED = int(TrackState.CONFIRMED)
_COASTING = int(TrackState.COASTING)
_REMOVED = int(TrackState.REMOVED)


class Filter(NamedTuple):
    """The constants of a Kalman bank, for compiled code."""

    process: Array
    measurement: Array
    relative: bool
    size_aspect: bool


class Rules(NamedTuple):
    """The settings of a track's life, for compiled code; see `TrackerConfig`."""

    reupdate: bool
    reupdate_twice: bool
    confidence_noise: float
    direction_frames: int
    direction_points: int
    direction_longest: bool
    min_hits: int
    warm_up_again: bool
    tentative_misses: int
    max_unseen: float
    freeze_size: bool
    frame_period: float


@njit(cache=True)
def confident(xyxy: Array, score: Array, high: float, low: float) -> tuple[Index, Index]:
    """Return the rows of usable detections that score above `high`, and within (low, high].

    Usable: as `Detections.valid` says; NaN fails every comparison.
    """
    n = len(xyxy)
    above, below = np.empty(n, np.int64), np.empty(n, np.int64)
    a = b = 0
    for i in range(n):
        x1, y1, x2, y2 = xyxy[i]
        near = -FARTHEST < x1 < x2 < FARTHEST and -FARTHEST < y1 < y2 < FARTHEST
        if not (near and 0 <= score[i] <= 1):
            continue
        if score[i] > high:
            above[a] = i
            a += 1
        elif score[i] > low:
            below[b] = i
            b += 1
    return above[:a], below[:b]


@njit(cache=True)
def advance(rows: Rows, state: Array, now: float, kalman: Filter, rules: Rules) -> Array:
    """Age all tracks, whose filters are predicted for the time `now`; return their boxes, M×4.

    An empty box, and no last one, for a track that a pause has outlived: had frames come every
    period, an earlier one would have ended it, so nothing may match it before it is reported.
    """
    predicted = np.empty((len(rows), 4))
    for i in range(len(rows)):
        row = rows[i]
        row.age += 1
        if row.misses > 0:
            row.streak = 0
        row.misses += 1
        row.detection = -1
        if rules.freeze_size and row.misses > 1:
            state[i, 1, 2:] = 0.0
        box_row(state[i], kalman.size_aspect, predicted[i])
        if now - row.last_time > rules.max_unseen + 1:
            predicted[i] = 0.0
            row.last[:] = np.nan
    return predicted


@njit(cache=True)
def observe(
    rows: Rows,
    state: Array,
    owned: Index,
    similarity: Array,
    xyxy: Array,
    score: Array,
    label: NDArray[np.int32],
    now: float,
    stamp_ns: int,
    kalman: Filter,
    rules: Rules,
) -> None:
    """Give every track its detection, or a miss, in place.

    Args:
        rows: The tracks, M rows.
        state: Their filters, C×5×4.
        owned: Row of each track's detection, M; −1 for none.
        similarity: Similarity of each match, M.
        xyxy: Boxes of the detections, N×4.
        score: Their confidence, N.
        label: Their classes, N.
        now: Time, frame periods.
        stamp_ns: Stamp of the frame.
        kalman: Constants of the filters.
        rules: Settings.
    """
    for i in range(len(rows)):
        row, k = rows[i], owned[i]
        if k < 0:
            if row.misses == 1:
                row.prior[:] = state[i]
            continue
        turn(
            row.headings[: rules.direction_points],
            xyxy[k],
            row.age,
            row.last,
            row.boxes,
            row.ages,
            rules.direction_frames,
            rules.direction_longest,
        )
        _correct(row, state[i], xyxy[k], score[k], now, kalman, rules)
        row.last[:] = xyxy[k]
        row.boxes[row.age % len(row.ages)] = xyxy[k]
        row.ages[row.age % len(row.ages)] = row.age
        row.hits += 1
        row.streak += 1
        row.misses = 0
        row.last_ns = stamp_ns
        row.last_time = now
        row.score = score[k]
        row.label = label[k]
        row.association = similarity[i]
        row.detection = k


@njit(cache=True)
def _correct(
    row: Any, state: Array, box: Array, score: float, now: float, kalman: Filter, rules: Rules
) -> None:
    """Update one filter; one that was lost re-lives the gap first (OC-SORT's ORU)."""
    if rules.reupdate and row.misses > 1 and not np.isnan(row.last[0]):
        state[:] = row.prior
        step = (now - row.last_time) / row.misses
        reupdate_row(
            state,
            row.last,
            box,
            row.misses,
            step,
            kalman.process,
            kalman.measurement,
            kalman.relative,
            kalman.size_aspect,
        )
        if not rules.reupdate_twice:
            return
    noise = 1 + rules.confidence_noise * (1 - score)
    update_row(
        state,
        centre_size_of(box),
        noise,
        kalman.measurement,
        kalman.relative,
        kalman.size_aspect,
    )


@njit(cache=True)
def judge(
    rows: Rows, state: Array, now: float, early: bool, kalman: Filter, rules: Rules, out: Rows
) -> int:
    """Confirm and end tracks, and report all of them to `out` (M rows of `REPORT`).

    In the first frames (`early`) every track counts at once: nothing says that it is new.

    Returns:
        How many tracks ended.
    """
    ended = 0
    for i in range(len(rows)):
        row, report = rows[i], out[i]
        matches = row.hits
        if rules.warm_up_again:
            matches = row.streak if row.misses == 0 else 0
        enough = early or matches >= rules.min_hits
        row.confirmed = enough or (row.confirmed and not rules.warm_up_again)
        doubtful = not row.confirmed and row.misses > rules.tentative_misses
        if doubtful or now - row.last_time > rules.max_unseen:
            report.state = _REMOVED
            ended += 1
        elif not row.confirmed:
            report.state = _TENTATIVE
        else:
            report.state = _CONFIRMED if row.misses == 0 else _COASTING
        report.id = row.id
        if row.misses == 0 and not np.isnan(row.last[0]):
            report.xyxy[:] = row.last
        else:
            box_row(state[i], kalman.size_aspect, report.xyxy)
        report.score = row.score
        report.association_score = row.association
        report.label = row.label
        report.detection = row.detection
        report.velocity[0] = state[i, 1, 0] / rules.frame_period
        report.velocity[1] = state[i, 1, 1] / rules.frame_period
        report.age = row.age
        report.hits = row.hits
        report.misses = row.misses
        report.first_seen_ns = row.first_ns
        report.last_seen_ns = row.last_ns
        report.depth = np.nan
        report.depth_stddev = np.nan
    return ended
