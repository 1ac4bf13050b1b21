"""Which tracks a benchmark counts as being there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.boxes import area
from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import TrackedFrame, Tracks

    Mask = NDArray[np.bool_]

_LONGEST_COAST = 0.5
"""Seconds that an object may have been hidden."""
_SHORTEST_LIFE = 1.0
"""Seconds for which it must have been followed before."""
_LEAST_COVER = 0.2
"""Share of its box that one seen object must cover."""
_LARGEST_STEP = 0.1
"""Widths that it may have moved meanwhile: a fast object's prediction is a guess."""


def counted(tracked: TrackedFrame) -> Tracks:
    """Return the tracks that results and scores are made of.

    All confirmed ones, and those coasting ones that are safely hidden: a well-known, slow object
    lost half a second ago at most, whose predicted box is covered in part by an object that is
    seen. It needs nothing but what `TrackedObjectArray.msg` carries, so that a recording is
    scored like a replay.
    """
    tracks = tracked.tracks
    present = tracks.state == TrackState.CONFIRMED
    coasting = np.flatnonzero(tracks.state == TrackState.COASTING)
    if len(coasting):
        hidden = _hidden(tracks.select(coasting), tracks.xyxy[present], tracked.frame.stamp_ns)
        present[coasting[hidden]] = True
    return tracks.select(present)


class RunningIds:
    """Ids that count on where a tracker was reset: one object is one id in a whole result."""

    def __init__(self) -> None:
        self._resets = self._before = self._highest = 0

    def __call__(self, ids: NDArray[np.int64], reset_count: int) -> NDArray[np.int64]:
        """Return the ids of the next frame, moved beyond those from before the last reset."""
        if reset_count != self._resets:
            self._resets, self._before = reset_count, self._highest
        moved = ids + self._before
        self._highest = max(self._highest, int(moved.max(initial=0)))
        return moved


def _hidden(tracks: Tracks, seen: NDArray[np.float64], stamp_ns: int) -> Mask:
    coasted = (stamp_ns - tracks.last_seen_ns) / NANOSECONDS
    followed = (tracks.last_seen_ns - tracks.first_seen_ns) / NANOSECONDS
    width = np.maximum(tracks.xyxy[:, 2] - tracks.xyxy[:, 0], 1)
    moved = np.abs(tracks.velocity).max(1) * coasted / width
    sure = (coasted <= _LONGEST_COAST) & (followed >= _SHORTEST_LIFE) & (moved <= _LARGEST_STEP)
    return np.asarray(sure & (_cover(tracks.xyxy, seen) >= _LEAST_COVER))


def _cover(boxes: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest share of each of the N boxes that one of the M seen ones covers."""
    corner = np.maximum(boxes[:, None, :2], seen[None, :, :2])
    size = np.maximum(np.minimum(boxes[:, None, 2:], seen[None, :, 2:]) - corner, 0)
    common = size[..., 0] * size[..., 1]
    return np.asarray(common.max(1, initial=0) / np.maximum(area(boxes), 1))
