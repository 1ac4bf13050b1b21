"""The two motion models as constants: what is measured of a box, and how noisy each axis is.

Both are constant-velocity filters whose F, Q, R and H couple a coordinate only with its own
velocity, so a 7- or 8-state filter is exactly four independent filters of two states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Axes = tuple[float, float, float, float]

_TINY = 1e-6


@dataclass(frozen=True)
class MotionModel:
    """Standard deviations per axis; of one frame period where they are process noise.

    Attributes:
        size_aspect: Axes are (cx, cy, s = w·h, r = w/h) and r has no velocity; otherwise
            (cx, cy, w, h).
        relative: Deviations are multiples of the object's (w, h, w, h) instead of pixels.
        initial_position: Deviation of a new track's position.
        initial_velocity: Deviation of a new track's velocity, per frame period.
        process_position: Deviation added to the position in one frame period.
        process_velocity: Deviation added to the velocity in one frame period.
        measurement: Deviation of a detection.
    """

    size_aspect: bool
    relative: bool
    initial_position: Axes
    initial_velocity: Axes
    process_position: Axes
    process_velocity: Axes
    measurement: Axes

    def measure(self, xyxy: Array) -> Array:
        """Convert boxes N×4 (left, top, right, bottom) to measurements N×4."""
        out = np.empty((len(xyxy), 4))
        size = xyxy[:, 2:4] - xyxy[:, :2]
        out[:, :2] = xyxy[:, :2] + size / 2
        if self.size_aspect:
            out[:, 2] = size[:, 0] * size[:, 1]
            out[:, 3] = size[:, 0] / (size[:, 1] + _TINY)
        else:
            out[:, 2:] = size
        return out


def _axes(value: float) -> Axes:
    return (value, value, value, value)


SIZE_ASPECT = MotionModel(
    size_aspect=True,
    relative=False,
    initial_position=_axes(10**0.5),
    initial_velocity=(100.0, 100.0, 100.0, 0.0),
    process_position=_axes(1.0),
    process_velocity=(0.1, 0.1, 0.01, 0.0),
    measurement=(1.0, 1.0, 10**0.5, 10**0.5),
)
"""SORT's 7-state filter (cx, cy, s, r and the velocities of the first three)."""

CENTRE_SIZE = MotionModel(
    size_aspect=False,
    relative=True,
    initial_position=_axes(1 / 10),
    initial_velocity=_axes(1 / 16),
    process_position=_axes(1 / 20),
    process_velocity=_axes(1 / 160),
    measurement=_axes(1 / 20),
)
"""8-state filter (cx, cy, w, h and their velocities) whose noise grows with the object."""
