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
"""Observed boxes that a track remembers."""

ROW = np.dtype(
    [
        ('id', np.int64),
        ('label', np.int32),
        ('confirmed', np.bool_),
        ('appearance_known', np.bool_),
        ('depthseg_known', np.bool_),
        ('hits', np.int64),  # frames with a match
        ('streak', np.int64),  # matches since the last miss
        ('misses', np.int64),  # frames since the last match
        ('age', np.int64),  # frames since birth
        ('first_ns', np.int64),  # stamp of the birth
        ('last_ns', np.int64),  # stamp of the last match
        ('last_time', np.float64),  # time of the last match, frame periods
        ('score', np.float64),  # of the last match
        ('association', np.float64),  # similarity of the last match
        ('detection', np.int64),  # row in this frame's detections, −1: none
        ('last', np.float64, 4),  # last observed box; NaN before the first
        ('boxes', np.float64, (HISTORY, 4)),  # ring buffer, that of age a at a mod HISTORY
        ('ages', np.int64, HISTORY),  # ages at which they were observed; −1: empty
        ('headings', np.float64, (4, 2)),
        ('prior', np.float64, (5, 4)),  # filter state predicted for the first missed frame
    ]
)
"""What is known of a track beside its filter and its vectors."""


@dataclass(frozen=True)
class TrackletsSnapshot:
    """A copy of everything that `Tracklets` holds."""

    rows: NDArray[Any]
    state: NDArray[np.float64]
    appearance: NDArray[np.float32]
    depthseg: NDArray[np.float32]


class Tracklets:
    """Live tracks as rows of `ROW`, with their filters and vectors row by row beside them.

    `tracklets['name']` is a view of one column of the live rows.

    Attributes:
        bank: The Kalman filters.
        appearance: float32 C×D unit vectors (D = 0 until the first).
        depthseg: float32 C×E unit vectors.
        count: Live tracks; rows beyond are spare room.
    """

    def __init__(self, model: MotionModel, capacity: int = 64) -> None:
        self._rows: NDArray[Any] = np.zeros(capacity, ROW)
        self.bank = KalmanBank(model, capacity)
        self.appearance: NDArray[np.float32] = np.zeros((capacity, 0), np.float32)
        self.depthseg: NDArray[np.float32] = np.zeros((capacity, 0), np.float32)
        self.count = 0

    def __len__(self) -> int:
        """Return the number of live tracks."""
        return self.count

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a view of one column of the live rows."""
        view: NDArray[Any] = self._rows[column][: self.count]
        return view

    @property
    def rows(self) -> NDArray[Any]:
        """The live rows, a view."""
        return self._rows[: self.count]

    def append(self, count: int) -> NDArray[np.int64]:
        """Add blank rows (no observation, no match); return their indices."""
        new = np.arange(self.count, self.count + count)
        if self.count + count > len(self._rows):
            self._resize(self.count + count)
        self.count += count
        blank = np.zeros((), ROW)
        blank['last'], blank['ages'], blank['association'] = np.nan, -1, np.nan
        self._rows[new] = blank
        return new

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the live rows where `mask` is False; the order stays."""
        rows = np.flatnonzero(mask)
        for array in (self._rows, self.bank.state, self.appearance, self.depthseg):
            array[: len(rows)] = array[rows]
        self.count = len(rows)
        if len(self._rows) > 8 * max(self.count, 64):
            self._resize(2 * self.count)

    def widen(self, appearance: int, depthseg: int) -> None:
        """Make room for vectors of these lengths (0: as it is); others become unknown."""
        if appearance and self.appearance.shape[1] != appearance:
            self.appearance = np.zeros((len(self._rows), appearance), np.float32)
            self['appearance_known'][:] = False
        if depthseg and self.depthseg.shape[1] != depthseg:
            self.depthseg = np.zeros((len(self._rows), depthseg), np.float32)
            self['depthseg_known'][:] = False

    def snapshot(self) -> TrackletsSnapshot:
        """Return a copy of the live rows."""
        n = self.count
        return TrackletsSnapshot(
            self._rows[:n].copy(),
            self.bank.state[:n].copy(),
            self.appearance[:n].copy(),
            self.depthseg[:n].copy(),
        )

    def restore(self, snapshot: TrackletsSnapshot) -> None:
        """Go back to a snapshot."""
        self.count = 0
        self._resize(len(snapshot.rows))
        capacity, n = len(self._rows), len(snapshot.rows)
        self.count = n
        self.appearance = np.zeros((capacity, snapshot.appearance.shape[1]), np.float32)
        self.depthseg = np.zeros((capacity, snapshot.depthseg.shape[1]), np.float32)
        self._rows[:n], self.bank.state[:n] = snapshot.rows, snapshot.state
        self.appearance[:n], self.depthseg[:n] = snapshot.appearance, snapshot.depthseg

    def _resize(self, least: int) -> None:
        """Move to arrays with room for at least `least` rows, a power of two."""
        capacity = 64
        while capacity < least:
            capacity *= 2

        def moved(array: NDArray[Any]) -> NDArray[Any]:
            other = np.zeros((capacity, *array.shape[1:]), array.dtype)
            other[: self.count] = array[: self.count]
            return other

        self._rows, self.bank.state = moved(self._rows), moved(self.bank.state)
        self.appearance, self.depthseg = moved(self.appearance), moved(self.depthseg)
