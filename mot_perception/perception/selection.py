"""From the boxes that a network proposes to objects: sure enough, of a wanted class, seen once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mot_perception.types import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BOXES = 3000
"""The best of an image that are looked at."""


@dataclass(frozen=True)
class Selection:
    """Which boxes of an image count as objects.

    Attributes:
        score: Boxes with a lower score are left out.
        classes: Numbers of the classes that are looked for; see `kept_classes`.
        overlap: IoU above which the worse of two boxes of one class goes; None keeps both.
    """

    score: float
    classes: NDArray[np.intp]
    overlap: float | None = None

    def __call__(
        self, xyxy: NDArray[np.floating], score: NDArray[np.floating], label: NDArray[np.number]
    ) -> Detections:
        """Return the objects, the best first; broken numbers are none.

        Args:
            xyxy: N×4, pixels.
            score: N.
            label: N, the likeliest class.
        """
        rows = np.flatnonzero(score >= self.score)
        rows = rows[np.isin(label[rows], self.classes)]
        rows = rows[np.isfinite(xyxy[rows]).all(1) & np.isfinite(score[rows])]
        rows = rows[np.argsort(-score[rows], kind='stable')][:MOST_BOXES]
        found = Detections.of(xyxy[rows], score[rows], label[rows])
        if self.overlap is None:
            return found
        return found.select(suppress(found.xyxy, found.label, self.overlap))


@njit(cache=True)
def suppress(
    xyxy: NDArray[np.float64], label: NDArray[np.int32], overlap: float
) -> NDArray[np.intp]:
    """Return the rows of boxes that no better box of their class overlaps (class-wise NMS).

    Args:
        xyxy: N×4, the best first.
        label: N.
        overlap: IoU above which the worse of two boxes goes.
    """
    kept = np.empty(len(xyxy), np.intp)
    count = 0
    for row in range(len(xyxy)):
        for better in kept[:count]:
            if label[better] == label[row] and _iou(xyxy[better], xyxy[row]) > overlap:
                break
        else:
            kept[count] = row
            count += 1
    return kept[:count]


@njit(cache=True)
def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the intersection over union of two boxes; 0 where the union is empty."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared: float = wide * high
    union: float = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union
