"""Where objects are in 3D: box centres at their depth, smoothed over time, and how sure that is.

Every object has a Kalman filter with constant velocity, in the optical frame of its camera: x
right, y down, z forward, metres. It moves with the camera: velocities are those seen from it.

Two kinds of error are kept apart. *Noise* (a trembling box, a sensor's noise) is new in every
frame, and the filter averages it away. The *offset* stays: what is measured is the middle of the
box and the median of the visible surface, not the middle of the body; a lifted arm and the half
body behind the surface stay for many frames. So the offset takes no part in the filter's gain and
is added to the covariance that is reported; else the filter would claim, after a second, to know
the middle of a person to a centimetre.

That is also what the spread of depth over the surface is good for. It is four times too large for
the error of a median, which is noise; but it has the size of the offset, the depth of the body
behind its surface: 14 cm both for rendered walkers (`benchmarks/positions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import CameraModel, TrackedFrame, Tracks

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

PIXEL_NOISE, CENTRE_NOISE = 0.5, (0.05, 0.02)
"""Noise of the box centre: pixels, and a share of the box's width and height."""
CENTRE_OFFSET = (0.07, 0.03)
"""Standard deviation of the body's middle from the box's, as a share of its width and height."""
DEPTH_NOISE, SPREAD_NOISE = 0.01, 0.25
"""Noise of a median depth: a share of the depth, and of the spread over the object's surface."""
SPREAD_OFFSET = 1.0
"""Standard deviation of the body's middle from the median of its surface, in spreads."""

ACCELERATION = 4.0
"""Spectral density of the acceleration, m²/s³: within t seconds a speed changes by 2 √t m/s."""
FIRST_SPEED = 2.0
"""Standard deviation of the velocity of an object that has just been seen, m/s."""

DOUBTFUL = 6.0
"""Squared Mahalanobis distance beyond which a measurement counts less, in proportion."""
GATE = 25.0
"""The same, with the offset, beyond which a measurement is another object's."""
RESTART = 0.25
"""Seconds: depths that do not fit for so much longer than others do are right after all."""
FORGET_NS = 3 * NANOSECONDS
"""Without a depth for so long nothing is known."""
STILL_PERIOD = 1 / 30
"""Seconds for which an object may have walked at `FIRST_SPEED` while stamps stand still."""

_UNKNOWN_DEPTH = 100.0
"""Standard deviation of a depth that is not known: only the direction counts."""
_ROUNDING, _ROUNDING_SHARE = 1e-3, 1e-9
"""Metres, and a share of the variance: keeps covariances regular, whatever cameras say."""
_NEAREST, _FARTHEST = 1e-3, 1e4
"""Metres between which an object, and how sure one is of it, must be."""


class SpatialFilter:
    """Follows the objects of one camera in 3D.

    Attributes:
        states: What is known of each track that has been seen with its depth, by the last frame.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all objects."""
        self.states = States(np.empty(0, np.int64))
        self._reset_count: int | None = None
        self._newest_ns: int | None = None

    def update(self, tracked: TrackedFrame) -> TrackedFrame:
        """Return the same frame with positions, velocities and covariances filled in.

        Objects with a depth are measured, those whose depth is missing (a hole, or one that cannot
        be theirs) are corrected in their direction only, and unseen ones predicted. NaN for what
        has never had a depth with metres and intrinsics, or not for `FORGET_NS`. A velocity needs
        two frames.

        Args:
            tracked: The tracker's answer with depths, in the order of time. Another `reset_count`
                than before makes a new start; tracks that are not in it are forgotten.
        """
        if tracked.reset_count != self._reset_count:
            self.reset()
            self._reset_count = tracked.reset_count
        tracks, camera = tracked.tracks, _camera_of(tracked)
        passed, now = self._tick(tracked.frame.stamp_ns)
        states = self.states.carried_to(tracks.id)
        states['known'][now - states['measured_ns'] > FORGET_NS] = False
        self.states = states
        if camera is None and not states['known'].any():
            return tracked
        states.predict(passed)
        if camera is not None:
            _correct(states, tracks, camera, now, passed)
        return replace(tracked, tracks=_reported(tracks, states))

    def _tick(self, stamp_ns: int) -> tuple[float, int]:
        """Return the seconds since the newest stamp, at least 0, and what is the newest now."""
        before = stamp_ns if self._newest_ns is None else self._newest_ns
        self._newest_ns = max(before, stamp_ns)
        return (self._newest_ns - before) / NANOSECONDS, self._newest_ns


_ROW = np.dtype(
    [
        ('id', np.int64),
        ('known', np.bool_),  # the rest means nothing in other rows
        ('moved', np.bool_),  # measured at two times: it has a velocity
        ('measured_ns', np.int64),  # when a depth was last accepted
        ('doubt', np.float64),  # seconds with depths that did not fit, less fitting ones
        ('mean', np.float64, 6),  # position, m, and velocity, m/s
        ('covariance', np.float64, (6, 6)),  # of that mean: noise only
        ('offset', np.float64, (3, 3)),  # of the body's middle around that position, m²
    ]
)


class States:
    """The filters of K tracks; `states['name']` is a view of one column of `_ROW`.

    Args:
        ids: K; nothing is known of them yet.
    """

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._rows = np.zeros(len(ids), _ROW)
        self._rows['id'] = ids

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self._rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a view of one column."""
        view: NDArray[Any] = self._rows[column]
        return view

    def carried_to(self, ids: NDArray[np.int64]) -> States:
        """Return filters of these ids, in their order; blank ones for those not known here."""
        new, old = States(ids), self._rows[np.argsort(self['id'], kind='stable')]
        if len(old):
            place = np.searchsorted(old['id'], ids).clip(max=len(old) - 1)
            same = (old['id'][place] == ids) & old['known'][place]
            new._rows[same] = old[place[same]]
        return new

    def predict(self, passed: float) -> None:
        """Move on by some seconds; where the clock stands still, positions become less sure."""
        covariance = self['covariance']
        if passed <= 0:
            covariance[:, :3, :3] += (FIRST_SPEED * STILL_PERIOD) ** 2 * np.eye(3)
            return
        passed = min(passed, FORGET_NS / NANOSECONDS)  # all that is older has been forgotten
        step = np.eye(6) + passed * np.eye(6, k=3)
        self['mean'][:] = self['mean'] @ step.T
        covariance[:] = step @ covariance @ step.T + _process(passed)

    def start(self, rows: Mask, measured: Measured) -> None:
        """Begin anew where some rows are measured."""
        mean, covariance = self['mean'], self['covariance']
        mean[rows, :3], mean[rows, 3:] = measured.point[rows], 0
        covariance[rows] = np.diag(np.repeat([0.0, FIRST_SPEED**2], 3))
        covariance[rows, :3, :3] = measured.noise[rows]
        self['known'][rows], self['moved'][rows] = True, False

    def correct(self, rows: Mask, measured: Measured) -> None:
        """Take in measured points: the Kalman update in Joseph's form, which stays positive."""
        prior, noise = self['covariance'][rows], measured.noise[rows]
        apart = measured.point[rows] - self['mean'][rows, :3]
        distance = _distance(apart, prior[:, :3, :3] + noise)
        noise = noise * np.maximum(distance / DOUBTFUL, 1)[:, None, None]
        gain = prior[:, :, :3] @ np.linalg.inv(prior[:, :3, :3] + noise)
        kept = np.eye(6) - np.concatenate([gain, np.zeros_like(gain)], axis=2)
        self['mean'][rows] += (gain @ apart[..., None])[..., 0]
        after = kept @ prior @ _transposed(kept) + gain @ noise @ _transposed(gain)
        self['covariance'][rows] = (after + _transposed(after)) / 2

    def fits(self, measured: Measured) -> Mask:
        """Return which points are near enough to be those of their rows."""
        apart = measured.point - self['mean'][:, :3]
        expected = self['covariance'][:, :3, :3] + self['offset'] + measured.noise
        near = _distance(apart, expected) < GATE
        return np.asarray(measured.usable & self['known'] & near)


@dataclass(frozen=True, slots=True)
class Measured:
    """Box centres at a depth.

    Attributes:
        usable: bool K; the other rows are harmless numbers.
        point: K×3, metres.
        noise: K×3×3, covariance of what is new in every frame, m².
        offset: K×3×3, covariance of the body's middle around that point, m².
    """

    usable: Mask
    point: Array
    noise: Array
    offset: Array


def measure(xyxy: Array, depth: Array, spread: Array, camera: CameraModel) -> Measured:
    """Back-project the centres of K boxes, with first-order propagation of their errors.

    The point is `depth · ray`, so its covariance is `σ_depth² ray rayᵀ` and, across,
    `depth² diag(σ_u² / fx², σ_v² / fy², 0)`.

    Args:
        xyxy: K×4, pixels.
        depth: K, metres along the optical axis; NaN where unknown.
        spread: K, standard deviation of depth over the object's surface; NaN counts as 0.
        camera: Intrinsics.
    """
    focal = np.array([camera.fx, camera.fy])
    with np.errstate(all='ignore'):  # boxes, depths and intrinsics may be anything
        centre, size = (xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]
        ray = np.ones((len(xyxy), 3))
        ray[:, :2] = (centre - (camera.cx, camera.cy)) / focal
        point = depth[:, None] * ray
        scale, spread = depth[:, None] / focal, np.nan_to_num(spread)
        noise = _along_and_across(
            ray,
            (DEPTH_NOISE * depth) ** 2 + (SPREAD_NOISE * spread) ** 2,
            scale**2 * (PIXEL_NOISE**2 + (np.array(CENTRE_NOISE) * size) ** 2),
        )
        offset = _along_and_across(
            ray, (SPREAD_OFFSET * spread) ** 2, (scale * CENTRE_OFFSET * size) ** 2
        )
        total = np.trace(noise + offset, axis1=1, axis2=2)
        near = (np.abs(point) < _FARTHEST).all(1) & (depth > _NEAREST)
        usable = near & (total < _FARTHEST**2)
    point[~usable], noise[~usable], offset[~usable], total[~usable] = 0, 0, 0, 0
    noise += (_ROUNDING**2 + _ROUNDING_SHARE * total)[:, None, None] * np.eye(3)
    return Measured(usable, point, noise, offset)


def _along_and_across(ray: Array, along: Array, across: Array) -> Array:
    """Return K×3×3: a variance (K) along the rays, and two (K×2) along x and y."""
    covariance = along[:, None, None] * (ray[:, :, None] * ray[:, None, :])
    covariance[:, [0, 1], [0, 1]] += across
    return covariance


def _correct(states: States, tracks: Tracks, camera: CameraModel, now: int, passed: float) -> None:
    """Start and correct filters by what is measured in this frame."""
    seen = (tracks.misses == 0) & (tracks.state != TrackState.REMOVED)
    full = measure(tracks.xyxy, tracks.depth, tracks.depth_stddev, camera)
    fitting = seen & states.fits(full)
    strange = seen & full.usable & ~fitting
    doubt = states['doubt']
    doubt += (passed or STILL_PERIOD) * (strange.astype(float) - fitting)
    late = now - states['measured_ns'] > RESTART * NANOSECONDS
    fresh = strange & (~states['known'] | late | (doubt > RESTART))
    doubt[fresh | (doubt < 0)] = 0
    states.correct(fitting, full)
    aside = seen & states['known'] & ~fitting & ~fresh
    if aside.any():
        direction = _directions(tracks, states, camera)
        states.correct(aside & states.fits(direction), direction)
    states.start(fresh, full)
    states['moved'][fitting & (passed > 0)] = True
    accepted = fitting | fresh
    states['offset'][accepted] = full.offset[accepted]
    states['measured_ns'][accepted] = now


def _directions(tracks: Tracks, states: States, camera: CameraModel) -> Measured:
    """Return box centres at the expected depths, which say nothing of the depth."""
    unsure = np.full(len(states), _UNKNOWN_DEPTH / SPREAD_NOISE)
    return measure(tracks.xyxy, states['mean'][:, 2], unsure, camera)


def _reported(tracks: Tracks, states: States) -> Tracks:
    known = states['known'][:, None]
    mean, moving = states['mean'], known & states['moved'][:, None]
    total = states['covariance'][:, :3, :3] + states['offset']
    total = (total + _transposed(total)) / 2  # predicting rounds the two halves differently
    return replace(
        tracks,
        position=np.where(known, mean[:, :3], np.nan),
        linear_velocity=np.where(moving, mean[:, 3:], np.nan),
        position_covariance=np.where(known, total.reshape(-1, 9), np.nan),
    )


def _camera_of(tracked: TrackedFrame) -> CameraModel | None:
    """Return the intrinsics that this frame's boxes and depths belong to, if there are any."""
    camera, frame = tracked.frame.camera, tracked.frame
    if camera is None or not tracked.depth_is_metric:
        return None
    # Drivers that know no size write 0; intrinsics of another size belong to another image.
    size = camera.width, camera.height
    return camera if size in {(frame.width, frame.height), (0, 0)} else None


def _process(passed: float) -> Array:
    """Return the 6×6 covariance that white acceleration adds in some seconds."""
    terms = np.array([[passed**3 / 3, passed**2 / 2], [passed**2 / 2, passed]])
    return ACCELERATION * np.kron(terms, np.eye(3))


def _distance(apart: Array, covariance: Array) -> Array:
    """Return the squared Mahalanobis length of K×3 vectors."""
    return np.asarray(np.einsum('ki,kij,kj->k', apart, np.linalg.inv(covariance), apart))


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, 1, 2)
