"""One factor per depth image that keeps the scale steady: networks guess it anew in each image."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.perception.grid import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

RETURN = 1.0
"""Seconds in which a factor returns to 1 but for 1/e: what stood still may be what approached."""
SHORTEST = 0.01
"""Seconds that pass at least between images, whatever their stamps say."""
STILL = 8.0
"""Grey levels by which a cell of the background may change from image to image."""
LEAST_STILL = 0.2
"""Share of the cells that must stand still; else the camera moves, and all of them count."""
FEWEST = 64
"""Cells, of 9216, that must be comparable."""
LARGEST, WIDEST = 0.4, 0.15
"""Logarithms: a median ratio beyond the one, or ratios that spread beyond the other, are a cut."""
_TO_STDDEV = 1.4826


@dataclass(frozen=True)
class _View:
    """What is remembered of an image: h×w log depth as estimated, NaN where unknown, and grey."""

    log_depth: NDArray[np.float32]
    grey: NDArray[np.float32]
    stamp_ns: int


class SteadyScale:
    """Factors by which depth images of one camera are multiplied.

    The median ratio to the image before, over the farther half of what stands still, is undone;
    and the factor returns to 1 with time. Where the scene is at rest, an aligned scale is thus the
    average of the estimated ones, recent ones weighing more: it never leaves their range. Where
    everything approaches at a rate, the answer lags behind by `RETURN` seconds and no more.

    Source: flicker of per-frame estimates and its cure by a median scale on the background,
    SelfTrEncMOT's specification §4.5 (4); the return is ours.
    """

    def __init__(self) -> None:
        self._before: _View | None = None
        self._log_factor = 0.0

    def factor(self, depth: NDArray[np.float32], image: NDArray[np.uint8], stamp_ns: int) -> float:
        """Return the factor of the next depth image.

        Args:
            depth: H×W; 0, NaN or infinite where unknown.
            image: H×W×3, BGR, what it was estimated from.
            stamp_ns: Time of capture, nanoseconds.
        """
        now = _view(depth, image, stamp_ns)
        before, self._before = self._before, now
        change = None if before is None else _scale_change(before, now)
        if before is None or change is None:
            self._log_factor = 0.0
        else:
            passed = max((stamp_ns - before.stamp_ns) / 1e9, SHORTEST)
            self._log_factor = exp(-passed / RETURN) * (self._log_factor + change)
        return exp(self._log_factor)

    def reset(self) -> None:
        """Start anew with the next image."""
        self._before, self._log_factor = None, 0.0


def _view(depth: NDArray[np.float32], image: NDArray[np.uint8], stamp_ns: int) -> _View:
    cells = sample(depth)
    known = np.isfinite(cells) & (cells > 0)
    within = known & (cells < np.max(cells, initial=0, where=known))
    known = (
        within if within.any() else known
    )  # the sky's is as far as can be said: always the same
    log_depth = np.log(cells, out=np.full_like(cells, np.nan), where=known)
    green: Any = image[..., 1]
    return _View(log_depth, sample(green).astype(np.float32), stamp_ns)


def _scale_change(before: _View, now: _View) -> float | None:
    """Return by how much log depth fell where the background is; None if that is another scene."""
    ratio = before.log_depth - now.log_depth
    known = np.isfinite(ratio)
    still = known & (abs(before.grey - now.grey) <= STILL)
    counted = still if still.sum() >= LEAST_STILL * known.sum() else known
    if counted.sum() < FEWEST:
        return None
    distance = (before.log_depth + now.log_depth)[counted]  # of both: else noise would choose
    far = ratio[counted][distance >= np.median(distance)]
    middle = float(np.median(far))
    spread = _TO_STDDEV * float(np.median(abs(far - middle)))
    return middle if abs(middle) <= LARGEST and spread <= WIDEST else None
