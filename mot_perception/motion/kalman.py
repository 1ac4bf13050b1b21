"""A bank of Kalman filters as a structure of arrays: one row a track, one compiled loop a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.motion.models import MotionModel

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

MEAN, RATE, PP, PV, VV = range(5)
"""Rows of a filter state: position, velocity, var(p), cov(p, v), var(v)."""

_SMALLEST = 1e-3
"""Floor of a size axis, pixels (pixels² for the size-aspect model)."""


class KalmanBank:
    """Constant-velocity filters with `dt`, exact for the axis-decoupled `MotionModel`s.

    Attributes:
        model: The constants.
        state: float64 C×5×4 (rows `MEAN` … `VV`; columns: the model's four axes). Entries beyond
            the live tracks are spare room. Velocities are per frame period.
        process: float64 2×4, variances that positions and velocities gain in a frame period.
        measurement: float64 4, variances of a measured box.
    """

    def __init__(self, model: MotionModel, capacity: int = 64) -> None:
        self.model = model
        self.state: Array = np.zeros((capacity, 5, 4))
        self.process = np.array([model.process_position, model.process_velocity]) ** 2
        self.measurement = np.array(model.measurement) ** 2
        self._initial = np.array([model.initial_position, model.initial_velocity]) ** 2

    def initiate(self, rows: Index, xyxy: Array) -> None:
        """Start a filter at rest in each of the `rows` (B) from its box (B×4)."""
        mean = self.model.measure(xyxy)
        mean[:, 2:] = np.maximum(mean[:, 2:], _SMALLEST)
        scale = mean[:, [2, 3, 2, 3]] ** 2 if self.model.relative else np.ones_like(mean)
        state = np.zeros((len(rows), 5, 4))
        state[:, MEAN] = mean
        state[:, PP] = self._initial[0] * scale
        state[:, VV] = self._initial[1] * scale
        self.state[rows] = state

    def predict(self, count: int, dt: float) -> None:
        """Move the first `count` filters `dt` frame periods ahead, in place."""
        _predict(self.state[:count], dt, self.process, self.model.relative)

    def update(self, rows: Index, xyxy: Array, noise: Array) -> None:
        """Correct the filters in `rows` (B) with boxes B×4; `noise` (B) scales the variance."""
        model = self.model
        _update(self.state, rows, xyxy, noise, self.measurement, model.relative, model.size_aspect)

    def boxes(self, count: int) -> Array:
        """Return the boxes of the first `count` filters, N×4 pixels."""
        return _boxes(self.state[:count], self.model.size_aspect)

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


@njit(cache=True)
def predict_row(state: Array, dt: float, process: Array, relative: bool) -> None:
    """Move one filter, 5×4, `dt` frame periods ahead, in place."""
    for j in range(2, 4):
        # A size that would shrink to nothing keeps its value and loses its velocity.
        if state[0, j] + dt * state[1, j] <= _SMALLEST:
            state[1, j] = 0.0
    for j in range(4):
        scale = state[0, 2 + j % 2] ** 2 if relative else 1.0
        state[2, j] += dt * (2 * state[3, j] + dt * state[4, j]) + dt * process[0, j] * scale
        state[3, j] += dt * state[4, j]
        state[4, j] += dt * process[1, j] * scale
    for j in range(4):
        state[0, j] += dt * state[1, j]


@njit(cache=True)
def update_row(
    state: Array,
    centre_size: tuple[float, float, float, float],
    noise: float,
    measurement: Array,
    relative: bool,
    size_aspect: bool,
) -> None:
    """Correct one filter, 5×4, with a box (cx, cy, w, h), in place."""
    cx, cy, w, h = centre_size
    measured = (cx, cy, w * h, w / (h + 1e-6)) if size_aspect else (cx, cy, w, h)
    sizes = state[0, 2], state[0, 3]
    for j in range(4):
        scale = sizes[j % 2] ** 2 if relative else 1.0
        variance = measurement[j] * scale * noise
        total = state[2, j] + variance
        innovation = measured[j] - state[0, j]
        state[0, j] += state[2, j] / total * innovation
        state[1, j] += state[3, j] / total * innovation
        state[4, j] -= state[3, j] / total * state[3, j]
        # 1 − gain written without cancellation, so variances can never turn negative.
        state[3, j] *= variance / total
        state[2, j] *= variance / total
    for j in range(2, 4):
        state[0, j] = max(state[0, j], _SMALLEST)


@njit(cache=True)
def reupdate_row(
    state: Array,
    last: Array,
    new: Array,
    steps: int,
    dt: float,
    process: Array,
    measurement: Array,
    relative: bool,
    size_aspect: bool,
) -> None:
    """Let one filter, 5×4, re-live a gap (OC-SORT's observation-centric re-update), in place.

    Fed with boxes on the straight line (in centre and size) between two real observations.

    Args:
        state: The state predicted for the first missed frame.
        last: Box (left, top, right, bottom) before the gap.
        new: Box after it; the last step is this box.
        steps: Frames from one to the other.
        dt: Frame periods that one step lasts.
        process: As `KalmanBank.process`.
        measurement: As `KalmanBank.measurement`.
        relative: Whether noise scales with the size.
        size_aspect: Whether axes are (cx, cy, s, r).
    """
    x, y, w, h = centre_size_of(last)
    x2, y2, w2, h2 = centre_size_of(new)
    for step in range(1, steps + 1):
        part = step / steps
        virtual = (
            x + part * (x2 - x),
            y + part * (y2 - y),
            w + part * (w2 - w),
            h + part * (h2 - h),
        )
        update_row(state, virtual, 1.0, measurement, relative, size_aspect)
        if step < steps:
            predict_row(state, dt, process, relative)


@njit(cache=True)
def centre_size_of(xyxy: Array) -> tuple[float, float, float, float]:
    """Return (cx, cy, w, h) of one box."""
    w, h = xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]
    return xyxy[0] + w / 2, xyxy[1] + h / 2, w, h


@njit(cache=True)
def box_row(state: Array, size_aspect: bool, out: Array) -> None:
    """Write the box (left, top, right, bottom) of one filter, 5×4, to `out`."""
    w, h = state[0, 2], state[0, 3]
    if size_aspect:
        # The aspect has no floor of its own: a filter far off may carry r ≤ 0.
        w = np.sqrt(state[0, 2] * max(state[0, 3], 1e-6))
        h = state[0, 2] / w
    out[0], out[1] = state[0, 0] - w / 2, state[0, 1] - h / 2
    out[2], out[3] = state[0, 0] + w / 2, state[0, 1] + h / 2


@njit(cache=True)
def _predict(state: Array, dt: float, process: Array, relative: bool) -> None:
    for i in range(len(state)):
        predict_row(state[i], dt, process, relative)


@njit(cache=True)
def _update(
    state: Array,
    rows: Index,
    xyxy: Array,
    noise: Array,
    measurement: Array,
    relative: bool,
    size_aspect: bool,
) -> None:
    for k in range(len(rows)):
        box = centre_size_of(xyxy[k])
        update_row(state[rows[k]], box, noise[k], measurement, relative, size_aspect)


@njit(cache=True)
def _boxes(state: Array, size_aspect: bool) -> Array:
    out = np.empty((len(state), 4))
    for i in range(len(state)):
        box_row(state[i], size_aspect, out[i])
    return out
