"""From the boxes that a network proposes to objects: sure enough, of a wanted class, seen once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.boxes import iou
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


def suppress(
    xyxy: NDArray[np.float64], label: NDArray[np.int32], overlap: float
) -> NDArray[np.intp]:
    """Return the rows of boxes that no better box of their class overlaps (class-wise NMS).

    Args:
        xyxy: N×4, the best first.
        label: N.
        overlap: IoU above which the worse of two boxes goes.
    """
    left = np.arange(len(xyxy))
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        same = iou(xyxy[None, best], xyxy[left])[0] > overlap
        left = left[~same | (label[left] != label[best])]
    return np.array(kept, np.intp)
