"""Boxes of a whole sequence as columns, as MOTChallenge files hold them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MotRows:
    """N boxes, sorted by frame; rows of one frame keep the order they were given in.

    Attributes:
        frame: int64 N, counted from 1.
        id: int64 N; −1 in detections.
        xyxy: float64 N×4, pixels.
        score: float64 N: confidence of detections and tracks; 1 in ground truth.
        label: int32 N: class of ground truth (1 = pedestrian in MOT16 and later); 0 elsewhere.
        consider: bool N: False where a benchmark ignores the row; True elsewhere.
    """

    frame: NDArray[np.int64]
    id: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    label: NDArray[np.int32]
    consider: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    @classmethod
    def of(
        cls,
        frame: Any,
        id: Any,  # noqa: A002 - the column's name
        xyxy: Any,
        score: Any = None,
        label: Any = None,
        consider: Any = None,
    ) -> MotRows:
        """Build from anything array-like, sort by frame; score 1, label 0, consider by default."""
        frames = np.asarray(frame, np.int64)
        n = len(frames)
        rows = cls(
            frames,
            np.asarray(id, np.int64),
            np.asarray(xyxy, np.float64).reshape(n, 4),
            np.ones(n) if score is None else np.asarray(score, np.float64),
            np.zeros(n, np.int32) if label is None else np.asarray(label, np.int32),
            np.ones(n, np.bool_) if consider is None else np.asarray(consider, np.bool_),
        )
        in_order = bool((frames[1:] >= frames[:-1]).all())
        return rows if in_order else rows.select(np.argsort(frames, kind='stable'))

    def select(self, index: Any) -> MotRows:
        """Return the rows that a slice, a boolean mask, or an index array picks."""
        return MotRows(
            self.frame[index],
            self.id[index],
            self.xyxy[index],
            self.score[index],
            self.label[index],
            self.consider[index],
        )

    @property
    def last_frame(self) -> int:
        """Number of the last frame with a row; 0 if there are no rows."""
        return int(self.frame[-1]) if len(self) else 0

    def by_frame(self, length: int | None = None) -> Iterator[MotRows]:
        """Yield the rows of frame 1, 2, …, `length`; frames without rows are empty, not skipped.

        Args:
            length: Number of frames; by default up to the last frame with a row.
        """
        length = self.last_frame if length is None else length
        known = min(length, self.last_frame)
        bounds = np.searchsorted(self.frame, np.arange(1, known + 2)).tolist()
        for start, stop in pairwise(bounds):
            yield self.select(slice(start, stop))
        yield from repeat(self.select(slice(0, 0)), length - known)
