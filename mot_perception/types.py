"""What flows through the package: frames, detections, tracks. Arrays with shapes and units."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NANOSECONDS = 1_000_000_000

FARTHEST = 1e9
"""Pixels from the origin beyond which a box is nonsense: areas and variances would overflow."""


class TrackState(IntEnum):
    """Life cycle of a track, with the values of `TrackedObject.msg`."""

    TENTATIVE = 0
    """Seen, not yet often enough to count."""
    CONFIRMED = 1
    """Matched to a detection of this frame."""
    COASTING = 2
    """Not seen in this frame: the box is predicted."""
    REMOVED = 3
    """Reported for the last time."""


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A pinhole camera: focal lengths and principal point in pixels of a width×height image."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image with everything that was measured beside it.

    Attributes:
        stamp_ns: Time of capture in nanoseconds, from the source, never from the wall clock.
        index: Position in the source, counted from 0; dropped frames leave gaps.
        width: Image width in pixels, known also where there is no image.
        height: Image height in pixels.
        image: uint8 H×W×3, BGR, or None when only detections are replayed.
        depth: float32 H×W, metres; 0 or NaN where unknown.
        camera: Intrinsics, or None.
        frame_id: Name of the camera's optical frame.
    """

    stamp_ns: int
    index: int
    width: int
    height: int
    image: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None
    camera: CameraModel | None = None
    frame_id: str = ''

    @property
    def stamp(self) -> float:
        """Time of capture in seconds."""
        return self.stamp_ns / NANOSECONDS


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes a detector found in one frame.

    Attributes:
        xyxy: float64 N×4, pixels: left, top, right, bottom. May reach outside the image.
        score: float64 N, confidence in [0, 1].
        label: int32 N, class index.
    """

    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    label: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Check that the three arrays describe the same N boxes."""
        n = len(self.xyxy)
        if self.xyxy.shape != (n, 4) or self.score.shape != (n,) or self.label.shape != (n,):
            shapes = self.xyxy.shape, self.score.shape, self.label.shape
            raise ValueError(f'xyxy, score, label must be N×4, N, N; they are {shapes}')

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.xyxy)

    @classmethod
    def empty(cls) -> Detections:
        """Return a frame without boxes; it is stepped like any other."""
        return cls(np.empty((0, 4)), np.empty(0), np.empty(0, np.int32))

    @classmethod
    def of(cls, xyxy: Any, score: Any = None, label: Any = None) -> Detections:
        """Build from anything array-like; score defaults to 1, label to 0."""
        boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
        scores = np.ones(len(boxes)) if score is None else np.asarray(score, np.float64)
        labels = np.zeros(len(boxes), np.int32) if label is None else np.asarray(label, np.int32)
        return cls(boxes, scores, labels)

    def select(self, index: NDArray[Any]) -> Detections:
        """Return the rows that a boolean mask or an index array picks."""
        return Detections(self.xyxy[index], self.score[index], self.label[index])

    def valid(self) -> NDArray[np.bool_]:
        """Return which rows can be tracked: within `FARTHEST`, not inverted, score in [0, 1]."""
        near = (np.abs(self.xyxy) < FARTHEST).all(1)
        upright = (self.xyxy[:, 2] > self.xyxy[:, 0]) & (self.xyxy[:, 3] > self.xyxy[:, 1])
        return near & upright & (self.score >= 0) & (self.score <= 1)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What is known of each of the N detections beside its box; None: that cue is off.

    Attributes:
        appearance: float32 N×D unit vectors.
        depthseg: float32 N×E unit vectors, depth × mask of the object at t (kept by its track).
        depthseg_previous: float32 N×E unit vectors, the same object as it looked at t−1
            (compared with the tracks).
        depthseg_valid: bool N; False where the mask is empty: that row is no evidence.
    """

    appearance: NDArray[np.float32] | None = None
    depthseg: NDArray[np.float32] | None = None
    depthseg_previous: NDArray[np.float32] | None = None
    depthseg_valid: NDArray[np.bool_] | None = None

    def select(self, index: NDArray[Any]) -> Embeddings:
        """Return the rows that a boolean mask or an index array picks."""

        def pick(array: Any) -> Any:
            return None if array is None else array[index]

        return Embeddings(
            pick(self.appearance),
            pick(self.depthseg),
            pick(self.depthseg_previous),
            pick(self.depthseg_valid),
        )


def _column(dtype: Any, *shape: int) -> Any:
    return field(default_factory=lambda: np.empty((0, *shape), dtype))


_NOT_GIVEN: Any = None
_NAN = np.full((1024, 9), np.nan)
_NAN.setflags(write=False)  # all tracks share it


def _unknown(rows: int, columns: int) -> NDArray[np.float64]:
    """Return a read-only array of NaN; a slice costs a tenth of what a new array does."""
    return _NAN[:rows, :columns] if rows <= len(_NAN) else np.full((rows, columns), np.nan)


_SPATIAL = ('position', 3), ('linear_velocity', 3), ('position_covariance', 9)


@dataclass(frozen=True, slots=True)
class Tracks:
    """K tracks of one frame as columns: row k of every array is one track.

    Attributes:
        id: int64 K, from 1, never used again before the next reset.
        state: int8 K, values of `TrackState`.
        xyxy: float64 K×4, pixels; the detection's box where matched, else predicted.
        score: float64 K, detector confidence of the last match.
        association_score: float64 K, similarity of the last match; NaN at birth.
        label: int32 K.
        detection: int64 K, row of the matched detection in this frame's `Detections`, or −1.
        velocity: float64 K×2, of the box centre, pixels per second (x, y).
        age: int64 K, frames since birth.
        hits: int64 K, frames with a match.
        misses: int64 K, frames since the last match.
        first_seen_ns: int64 K, stamp of the birth.
        last_seen_ns: int64 K, stamp of the last match.
        depth: float64 K, median depth of the object; NaN where unknown.
        depth_stddev: float64 K, robust spread of it; NaN where unknown.
        position: float64 K×3, in the camera's optical frame, metres; NaN where unknown, as in
            all rows if it is not given.
        linear_velocity: float64 K×3, of that position relative to the camera, m/s, the same.
        position_covariance: float64 K×9, of that position, row-major 3×3, m², the same.
    """

    id: NDArray[np.int64] = _column(np.int64)
    state: NDArray[np.int8] = _column(np.int8)
    xyxy: NDArray[np.float64] = _column(np.float64, 4)
    score: NDArray[np.float64] = _column(np.float64)
    association_score: NDArray[np.float64] = _column(np.float64)
    label: NDArray[np.int32] = _column(np.int32)
    detection: NDArray[np.int64] = _column(np.int64)
    velocity: NDArray[np.float64] = _column(np.float64, 2)
    age: NDArray[np.int64] = _column(np.int64)
    hits: NDArray[np.int64] = _column(np.int64)
    misses: NDArray[np.int64] = _column(np.int64)
    first_seen_ns: NDArray[np.int64] = _column(np.int64)
    last_seen_ns: NDArray[np.int64] = _column(np.int64)
    depth: NDArray[np.float64] = _column(np.float64)
    depth_stddev: NDArray[np.float64] = _column(np.float64)
    position: NDArray[np.float64] = _NOT_GIVEN
    linear_velocity: NDArray[np.float64] = _NOT_GIVEN
    position_covariance: NDArray[np.float64] = _NOT_GIVEN

    def __post_init__(self) -> None:
        """Fill in what is not known in 3D."""
        for name, columns in _SPATIAL:
            if getattr(self, name) is _NOT_GIVEN:
                object.__setattr__(self, name, _unknown(len(self.id), columns))

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.id)

    def select(self, index: NDArray[Any]) -> Tracks:
        """Return the rows that a boolean mask or an index array picks."""
        return Tracks(*(getattr(self, column.name)[index] for column in fields(self)))

    def confirmed(self) -> Tracks:
        """Return the tracks that a benchmark counts: confirmed and matched in this frame."""
        return self.select(self.state == TrackState.CONFIRMED)

    def with_depth(self, depth: NDArray[np.float64], stddev: NDArray[np.float64]) -> Tracks:
        """Return the same tracks with depth and its spread filled in."""
        return replace(self, depth=depth, depth_stddev=stddev)


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """What a tracker says of one frame; the content of `TrackedObjectArray.msg`.

    Attributes:
        frame: The frame, as it was given.
        tracks: All live tracks, and the ones that end with this frame (REMOVED).
        reset_count: Resets so far; ids start again at each.
        frame_index: Frames processed since the last reset, from 0.
        dropped_frames: Frames received and skipped since the previous message.
        depth_is_metric: Whether `tracks.depth` is in metres.
        processing_ns: Time spent on this frame, nanoseconds.
        source: The association method, 'selftrencmot' or 'fdta'.
        masks: bool N×h×w, where the N detections are on a grid of cells over the whole frame;
            `tracks.detection` holds the row of each track. None: there are no masks.
    """

    frame: Frame
    tracks: Tracks
    reset_count: int = 0
    frame_index: int = 0
    dropped_frames: int = 0
    depth_is_metric: bool = False
    processing_ns: int = 0
    source: str = 'selftrencmot'
    masks: NDArray[np.bool_] | None = None
