"""The memory of a tracker: one row a track, compact, in the order of birth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.motion.kalman import KalmanBank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.motion.models import MotionModel

HISTORY = 8
"""Frames of observed boxes that a track remembers."""

_ROW = np.dtype(
    [
        ('id', np.int64),
        ('label', np.int32),
        ('confirmed', np.bool_),
        ('hits', np.int64),
        ('streak', np.int64),
        ('misses', np.int64),
        ('age', np.int64),
        ('first_ns', np.int64),
        ('last_ns', np.int64),
        ('last_time', np.float64),
        ('score', np.float64),
        ('association', np.float64),
        ('detection', np.int64),
        ('last', np.float64, 4),
        ('boxes', np.float64, (HISTORY, 4)),
        ('ages', np.int64, HISTORY),
        ('headings', np.float64, (4, 2)),
        ('prior', np.float64, (5, 4)),
        ('appearance_known', np.bool_),
        ('depthseg_known', np.bool_),
    ]
)


@dataclass(frozen=True)
class Snapshot:
    """A copy of everything that `Tracklets` holds."""

    rows: NDArray[Any]
    state: NDArray[np.float64]
    appearance: NDArray[np.float32]
    depthseg: NDArray[np.float32]


class Tracklets:
    """Live tracks as columns, with their filters and embeddings row by row beside them.

    Columns, as `tracklets['name']` (a view of the `count` live rows):
        id, label, hits, streak (matches since the last miss), misses (frames since the last
        match), age (frames since birth), confirmed, first_ns and last_ns (stamps of birth and
        last match), last_time (of the last match, frame periods), score, association
        (similarity of the last match), detection (row in this frame, −1: none), last (last
        observed box, NaN before the first), boxes and ages (ring buffer of the last `HISTORY`
        observations, that of age a at a mod HISTORY), headings, prior (filter state predicted
        for the first missed frame), appearance_known, depthseg_known.

    Attributes:
        bank: The Kalman filters.
        appearance: float32 C×D unit vectors (D = 0 until the first).
        depthseg: float32 C×E unit vectors.
        count: Live tracks; rows beyond are spare room.
    """

    def __init__(self, model: MotionModel, capacity: int = 64) -> None:
        self._rows = np.zeros(capacity, _ROW)
        self.bank = KalmanBank(model, capacity)
        self.appearance = np.zeros((capacity, 0), np.float32)
        self.depthseg = np.zeros((capacity, 0), np.float32)
        self.count = 0

    def __len__(self) -> int:
        """Return the number of live tracks."""
        return self.count

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a view of one column of the live rows."""
        view: NDArray[Any] = self._rows[column][: self.count]
        return view

    def append(self, count: int) -> NDArray[np.int64]:
        """Add blank rows (no observation, no match); return their indices."""
        rows = np.arange(self.count, self.count + count)
        if self.count + count > len(self._rows):
            self._grow(self.count + count)
        self.count += count
        blank = np.zeros((), _ROW)
        blank['last'], blank['ages'], blank['association'] = np.nan, -1, np.nan
        self._rows[rows] = blank
        return rows

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the live rows where `mask` is False; the order stays."""
        rows = np.flatnonzero(mask)
        for array in (self._rows, self.bank.state, self.appearance, self.depthseg):
            array[: len(rows)] = array[rows]
        self.count = len(rows)

    def widen(self, appearance: int, depthseg: int) -> None:
        """Make room for vectors of these lengths; known vectors of another length are dropped."""
        if appearance and self.appearance.shape[1] != appearance:
            self.appearance = np.zeros((len(self._rows), appearance), np.float32)
            self['appearance_known'][:] = False
        if depthseg and self.depthseg.shape[1] != depthseg:
            self.depthseg = np.zeros((len(self._rows), depthseg), np.float32)
            self['depthseg_known'][:] = False

    def snapshot(self) -> Snapshot:
        """Return a copy of the live rows."""
        n = self.count
        arrays = self._rows, self.bank.state, self.appearance, self.depthseg
        return Snapshot(*(array[:n].copy() for array in arrays))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.count = 0
        self._grow(max(len(snapshot.rows), 1))
        self.widen(snapshot.appearance.shape[1], snapshot.depthseg.shape[1])
        n = self.count = len(snapshot.rows)
        self._rows[:n], self.bank.state[:n] = snapshot.rows, snapshot.state
        self.appearance[:n], self.depthseg[:n] = snapshot.appearance, snapshot.depthseg

    def _grow(self, least: int) -> None:
        """Double the room until `least` rows fit; it shrinks again when tracks are few."""
        capacity = 64
        while capacity < least:
            capacity *= 2

        def moved(array: NDArray[Any]) -> NDArray[Any]:
            larger = np.zeros((capacity, *array.shape[1:]), array.dtype)
            larger[: self.count] = array[: self.count]
            return larger

        self._rows, self.bank.state = moved(self._rows), moved(self.bank.state)
        self.appearance, self.depthseg = moved(self.appearance), moved(self.depthseg)
