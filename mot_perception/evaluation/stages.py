"""How long each stage took: shares of the whole, and how they scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class StageTime:
    """Time of one stage, milliseconds per frame.

    Attributes:
        name: Name of the stage.
        share: Part of the time of all stages, 0 to 1.
        mean: Mean.
        p05: 5th percentile.
        p50: Median.
        p95: 95th percentile.
        worst: Maximum.
    """

    name: str
    share: float
    mean: float
    p05: float
    p50: float
    p95: float
    worst: float


def stage_times(seconds: Mapping[str, NDArray[np.float64]]) -> list[StageTime]:
    """Summarise the time of each stage; stages that never ran are left out."""
    ran = {name: np.asarray(values, float) for name, values in seconds.items()}
    ran = {name: values[np.isfinite(values)] for name, values in ran.items()}
    ran = {name: values for name, values in ran.items() if len(values)}
    whole = sum(float(values.sum()) for values in ran.values()) or 1.0
    return [_summary(name, 1000 * values, 1000 * whole) for name, values in ran.items()]


def _summary(name: str, values: NDArray[np.float64], whole: float) -> StageTime:
    low, middle, high = (float(p) for p in np.percentile(values, (5, 50, 95)))
    share = float(values.sum()) / whole
    return StageTime(name, share, float(values.mean()), low, middle, high, float(values.max()))


@dataclass(frozen=True)
class LogScale:
    """A logarithmic axis of whole decades of milliseconds."""

    low: int
    high: int

    @classmethod
    def over(cls, times: list[StageTime]) -> LogScale:
        """Return the decades that hold all the times."""
        low = min((max(time.p05, 1e-4) for time in times), default=0.1)
        high = max((max(time.worst, 1e-4) for time in times), default=10)
        first = math.floor(math.log10(low))
        return cls(first, max(math.ceil(math.log10(high)), first + 1))

    def at(self, value: float) -> float:
        """Return the place of a value on the axis in percent, 0 to 100."""
        place = (math.log10(max(value, 1e-9)) - self.low) / (self.high - self.low)
        return 100 * min(max(place, 0), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return place and text of every decade."""
        exponents = range(self.low, self.high + 1)
        return [(self.at(10.0**k), f'{10.0**k:g}') for k in exponents]
