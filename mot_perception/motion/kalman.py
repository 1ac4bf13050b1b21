"""A bank of Kalman filters as a structure of arrays: one row a track, one compiled loop a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.motion.models import MotionModel

    Array = NDArray[np.float64]
    Rows = NDArray[np.int64]

MEAN, RATE, PP, PV, VV = range(5)
"""Second axis of the state: position, velocity, var(p), cov(p, v), var(v)."""

_SMALLEST = 1e-3
"""Floor of a size axis, pixels (pixels² for the size-aspect model)."""


class KalmanBank:
    """Constant-velocity filters with `dt`, exact for the axis-decoupled `MotionModel`s.

    Attributes:
        model: The constants.
        state: float64 C×5×4 (see `MEAN` … `VV`; last axis: the model's four axes). Rows beyond
            the live tracks are spare room. Velocities are per frame period.
    """

    def __init__(self, model: MotionModel, capacity: int = 32) -> None:
        self.model = model
        self.state: Array = np.zeros((capacity, 5, 4))
        self._process = np.array([model.process_position, model.process_velocity]) ** 2
        self._measurement = np.array(model.measurement) ** 2
        self._initial = np.array([model.initial_position, model.initial_velocity]) ** 2

    def initiate(self, rows: Rows, xyxy: Array) -> None:
        """Start a filter at rest in each of the `rows` (B) from its box (B×4)."""
        mean = self.model.measure(xyxy)
        scale = mean[:, [2, 3, 2, 3]] ** 2 if self.model.relative else np.ones_like(mean)
        state = np.zeros((len(rows), 5, 4))
        state[:, MEAN] = mean
        state[:, PP] = self._initial[0] * scale
        state[:, VV] = self._initial[1] * scale
        self.state[rows] = state

    def predict(self, count: int, dt: float) -> None:
        """Move the first `count` filters `dt` frame periods ahead, in place."""
        _predict(self.state, count, dt, self._process, self.model.relative)

    def update(self, rows: Rows, xyxy: Array, noise: Array) -> None:
        """Correct the filters in `rows` (B) with boxes B×4; `noise` (B) scales the variance."""
        measured = self.model.measure(xyxy)
        _update(self.state, rows, measured, noise, self._measurement, self.model.relative)

    def reupdate(
        self, rows: Rows, prior: Array, last: Array, xyxy: Array, steps: Rows, dt: Array
    ) -> None:
        """Rewrite the past of tracks that were lost and found (OC-SORT's re-update).

        Each filter restarts from the prior of its first missed frame and is fed boxes on the
        straight line between the two real observations.

        Args:
            rows: Which filters (B).
            prior: float64 B×5×4, their states predicted for the first missed frame.
            last: float64 B×4, boxes before the gap.
            xyxy: float64 B×4, boxes after it.
            steps: int64 B, frames between the two boxes; the last step is the new box itself.
            dt: float64 B, frame periods one step lasts.
        """
        self.state[rows] = prior
        _reupdate(
            self.state,
            rows,
            _centre_size(last),
            _centre_size(xyxy),
            steps,
            dt,
            self._process,
            self._measurement,
            self.model.relative,
            self.model.size_aspect,
        )

    def boxes(self, rows: Rows | slice) -> Array:
        """Return the boxes of `rows`, pixels, N×4."""
        return self.model.boxes(self.state[rows, MEAN])

    def velocities(self, rows: Rows | slice) -> Array:
        """Return the velocities of the box centres, pixels per frame period, N×2."""
        return self.state[rows, RATE, :2]

    def covariance(self, row: int) -> Array:
        """Return one filter's 8×8 covariance over (positions, velocities); for inspection."""
        _, _, pp, pv, vv = self.state[row]
        return np.block([[np.diag(pp), np.diag(pv)], [np.diag(pv), np.diag(vv)]])


def warp_states(states: Array, affine: Array, model: MotionModel) -> None:
    """Move filter states, N×5×4, into the next camera view, in place.

    Positions follow the affine (2×3, pixels to pixels), velocities its linear part, sizes its
    mean zoom. The covariance between x and y that a rotation makes is dropped: the
    axis-decoupled filter cannot hold it; the variances are exact.
    """
    linear = affine[:, :2]
    zoom = float(np.sqrt(abs(np.linalg.det(linear))))
    states[:, MEAN, :2] = states[:, MEAN, :2] @ linear.T + affine[:, 2]
    states[:, RATE, :2] = states[:, RATE, :2] @ linear.T
    states[:, PP:, :2] = states[:, PP:, :2] @ (linear**2).T
    sizes = np.array([zoom**2, 1.0] if model.size_aspect else [zoom, zoom])
    states[:, :PP, 2:] *= sizes
    states[:, PP:, 2:] *= sizes**2


def _centre_size(xyxy: Array) -> Array:
    size = xyxy[:, 2:4] - xyxy[:, :2]
    return np.hstack([xyxy[:, :2] + size / 2, size])


@njit(cache=True)
def _predict_row(axis: Array, dt: float, process: Array, relative: bool) -> None:
    """Step one filter, a 5×4 view, in place."""
    for j in range(4):
        # A size that would shrink to nothing keeps its value and loses its velocity.
        if j >= 2 and axis[0, j] + dt * axis[1, j] <= _SMALLEST:
            axis[1, j] = 0.0
    for j in range(4):
        scale = axis[0, 2 + j % 2] ** 2 if relative else 1.0
        axis[2, j] += dt * (2 * axis[3, j] + dt * axis[4, j]) + dt * process[0, j] * scale
        axis[3, j] += dt * axis[4, j]
        axis[4, j] += dt * process[1, j] * scale
    for j in range(4):
        axis[0, j] += dt * axis[1, j]


@njit(cache=True)
def _update_row(
    axis: Array, measured: Array, noise: float, measurement: Array, relative: bool
) -> None:
    """Correct one filter, a 5×4 view, with four measured axes, in place."""
    width, height = axis[0, 2], axis[0, 3]
    for j in range(4):
        scale = (width if j % 2 == 0 else height) ** 2 if relative else 1.0
        variance = measurement[j] * scale * noise
        total = axis[2, j] + variance
        gain, gain_rate = axis[2, j] / total, axis[3, j] / total
        innovation = measured[j] - axis[0, j]
        axis[0, j] += gain * innovation
        axis[1, j] += gain_rate * innovation
        axis[4, j] -= gain_rate * axis[3, j]
        # 1 − gain written without cancellation, so variances can never turn negative.
        axis[3, j] *= variance / total
        axis[2, j] *= variance / total
    for j in range(2, 4):
        axis[0, j] = max(axis[0, j], _SMALLEST)


@njit(cache=True)
def _predict(state: Array, count: int, dt: float, process: Array, relative: bool) -> None:
    for row in range(count):
        _predict_row(state[row], dt, process, relative)


@njit(cache=True)
def _update(
    state: Array, rows: Rows, measured: Array, noise: Array, measurement: Array, relative: bool
) -> None:
    for i in range(len(rows)):
        _update_row(state[rows[i]], measured[i], noise[i], measurement, relative)


@njit(cache=True)
def _reupdate(
    state: Array,
    rows: Rows,
    last: Array,
    new: Array,
    steps: Rows,
    dt: Array,
    process: Array,
    measurement: Array,
    relative: bool,
    size_aspect: bool,
) -> None:
    for i in range(len(rows)):
        axis = state[rows[i]]
        for step in range(1, steps[i] + 1):
            virtual = last[i] + (new[i] - last[i]) * (step / steps[i])
            if size_aspect:
                width, height = virtual[2], virtual[3]
                virtual[2], virtual[3] = width * height, width / (height + 1e-6)
            _update_row(axis, virtual, 1.0, measurement, relative)
            if step < steps[i]:
                _predict_row(axis, dt[i], process, relative)
