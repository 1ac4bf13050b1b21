"""`TrackedFrame` to `TrackedObjectArray` and back, for rosbags' classes and for ROS's own.

Both kinds of classes take their fields as keyword arguments. All numbers are handed over as plain
Python numbers: rclpy publishes others as zero or fails.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.types import NANOSECONDS, CameraModel, Frame, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MessageClasses:
    """The message classes that the mapping fills: rosbags' or ROS's, by their own names."""

    TrackedObject: Any
    TrackedObjectArray: Any
    Detection2D: Any
    Detection2DArray: Any
    ObjectHypothesis: Any
    ObjectHypothesisWithPose: Any
    BoundingBox2D: Any
    Pose2D: Any
    Point2D: Any
    Point: Any
    Quaternion: Any
    Vector3: Any
    Pose: Any
    PoseWithCovariance: Any
    Header: Any
    Time: Any
    Duration: Any
    Image: Any
    CompressedImage: Any
    CameraInfo: Any
    RegionOfInterest: Any


@dataclass(frozen=True, slots=True)
class ObjectExtras:
    """What a node publishes only on demand; row k belongs to track k.

    Attributes:
        mask_rle: uint32 run lengths of each track's mask, or None for no masks.
        embedding: float32 vector of each track, empty where there is none, or None for none.
    """

    mask_rle: Sequence[NDArray[np.uint32]] | None = None
    embedding: Sequence[NDArray[np.float32]] | NDArray[np.float32] | None = None


def tracked_frame_to_message(
    tracked: TrackedFrame,
    classes: MessageClasses,
    class_names: Sequence[str] = (),
    extras: ObjectExtras | None = None,
) -> Any:
    """Fill a `TrackedObjectArray`; removed tracks are in it, as the tracker reports them.

    Args:
        tracked: What a tracker says of one frame.
        classes: rosbags' or ROS's message classes.
        class_names: Name of class 0, 1, …; classes beyond have an empty name.
        extras: Masks and embeddings, if they are wanted.
    """
    frame, make = tracked.frame, classes
    return make.TrackedObjectArray(
        header=header_of(frame, make),
        source=tracked.source,
        reset_count=int(tracked.reset_count),
        frame_index=int(tracked.frame_index),
        dropped_frames=int(tracked.dropped_frames),
        image_width=int(frame.width),
        image_height=int(frame.height),
        depth_is_metric=bool(tracked.depth_is_metric),
        processing_time=to_time(tracked.processing_ns, make.Duration),
        objects=_objects(tracked, make, class_names, extras or ObjectExtras()),
    )


def message_to_tracked_frame(message: Any) -> TrackedFrame:
    """Read a `TrackedObjectArray`: the frame has no image, tracks no row of their detection.

    Masks and embeddings stay in the message; `mask_rle.decode_runs` reads a mask.
    """
    stamp = from_time(message.header.stamp)
    frame = Frame(
        stamp_ns=stamp,
        index=int(message.frame_index),
        width=int(message.image_width),
        height=int(message.image_height),
        frame_id=message.header.frame_id,
    )
    return TrackedFrame(
        frame=frame,
        tracks=_tracks(message.objects),
        reset_count=int(message.reset_count),
        frame_index=int(message.frame_index),
        dropped_frames=int(message.dropped_frames),
        depth_is_metric=bool(message.depth_is_metric),
        processing_ns=from_time(message.processing_time),
        source=message.source,
    )


def to_time(nanoseconds: int, make: Any) -> Any:
    """Return a Time or Duration message; negative times have negative seconds."""
    sec, nanosec = divmod(int(nanoseconds), NANOSECONDS)
    return make(sec=sec, nanosec=nanosec)


def from_time(message: Any) -> int:
    """Return the nanoseconds of a Time or Duration message."""
    return int(message.sec) * NANOSECONDS + int(message.nanosec)


def camera_model(message: Any) -> CameraModel | None:
    """Read a CameraInfo: the intrinsics of its image; None if the camera is not calibrated.

    Where the image is a part of the sensor (`roi`) or made of several sensor pixels each
    (`binning`), intrinsics and size are brought to it. Distortion is not looked at: boxes are
    right on rectified images and, in the middle, on others.
    """
    fx, fy, cx, cy = (float(message.k[entry]) for entry in (0, 4, 2, 5))
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or fx <= 0 or fy <= 0:
        return None
    roi, x_bin, y_bin = message.roi, int(message.binning_x) or 1, int(message.binning_y) or 1
    return CameraModel(
        width=(int(roi.width) or int(message.width)) // x_bin,
        height=(int(roi.height) or int(message.height)) // y_bin,
        fx=fx / x_bin,
        fy=fy / y_bin,
        cx=(cx - int(roi.x_offset)) / x_bin,
        cy=(cy - int(roi.y_offset)) / y_bin,
    )


def camera_info_message(camera: CameraModel, header: Any, make: MessageClasses) -> Any:
    """Fill a CameraInfo of a camera without distortion."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return make.CameraInfo(
        header=header,
        height=int(camera.height),
        width=int(camera.width),
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float64),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], np.float64),
        binning_x=0,
        binning_y=0,
        roi=make.RegionOfInterest(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def header_of(frame: Frame, make: MessageClasses) -> Any:
    """Return the Header of a frame: its stamp and its optical frame."""
    return make.Header(stamp=to_time(frame.stamp_ns, make.Time), frame_id=frame.frame_id)


def name_of(label: int, class_names: Sequence[str]) -> str:
    """Return the name of a class, or nothing where the list does not reach."""
    return class_names[label] if 0 <= label < len(class_names) else ''


def bounding_box(xyxy: Sequence[float], make: MessageClasses) -> Any:
    """Return an upright BoundingBox2D of (left, top, right, bottom), plain floats."""
    left, top, right, bottom = xyxy
    centre = make.Point2D(x=(left + right) / 2, y=(top + bottom) / 2)
    pose = make.Pose2D(position=centre, theta=0.0)
    return make.BoundingBox2D(center=pose, size_x=right - left, size_y=bottom - top)


def _objects(
    tracked: TrackedFrame, make: MessageClasses, class_names: Sequence[str], extras: ObjectExtras
) -> list[Any]:
    tracks = tracked.tracks
    n = len(tracks)
    masks = [np.empty(0, np.uint32)] * n if extras.mask_rle is None else extras.mask_rle
    embeddings = np.empty((n, 0), np.float32) if extras.embedding is None else extras.embedding
    # Columns become plain Python numbers here, at once; a covariance stays an array.
    names = [name_of(label, class_names) for label in tracks.label.tolist()]
    columns = [getattr(tracks, column.name) for column in fields(tracks)]
    plain = [column.tolist() for column in columns[:-1]]
    rows = zip(*plain, tracks.position_covariance, names, masks, embeddings, strict=True)
    return [_object(make, *row) for row in rows]


def _object(
    make: MessageClasses,
    identity: int, state: int, xyxy: list[float], score: float, similarity: float, label: int,
    _detection: int, velocity: list[float], age: int, hits: int, misses: int,
    first_ns: int, last_ns: int, depth: float, stddev: float,
    position: list[float], linear_velocity: list[float], covariance: NDArray[np.float64],
    name: str, mask: NDArray[np.uint32], embedding: NDArray[np.float32],
) -> Any:  # fmt: skip
    return make.TrackedObject(
        id=identity,
        state=state,
        class_id=label,
        class_name=name,
        score=score,
        association_score=similarity,
        bbox=bounding_box(xyxy, make),
        velocity=make.Point2D(x=velocity[0], y=velocity[1]),
        depth=depth,
        depth_stddev=stddev,
        position=make.Point(x=position[0], y=position[1], z=position[2]),
        linear_velocity=make.Vector3(
            x=linear_velocity[0], y=linear_velocity[1], z=linear_velocity[2]
        ),
        position_covariance=covariance,
        age=age,
        hits=hits,
        frames_since_update=misses,
        first_seen=to_time(first_ns, make.Time),
        last_seen=to_time(last_ns, make.Time),
        mask_rle=mask,
        embedding=embedding,
    )


def _tracks(objects: Sequence[Any]) -> Tracks:
    def column(dtype: Any, read: Any) -> NDArray[Any]:
        return np.array([read(item) for item in objects], dtype)

    def point(item: Any) -> tuple[float, float]:
        return item.x, item.y

    def space(item: Any) -> tuple[float, float, float]:
        return item.x, item.y, item.z

    n = len(objects)
    centre = column(np.float64, lambda item: point(item.bbox.center.position)).reshape(n, 2)
    half = column(np.float64, lambda item: (item.bbox.size_x, item.bbox.size_y)).reshape(n, 2) / 2
    return Tracks(
        id=column(np.int64, lambda item: item.id),
        state=column(np.uint8, lambda item: item.state).astype(np.int8),  # 255 is none of them
        xyxy=np.concatenate([centre - half, centre + half], 1),
        score=column(np.float64, lambda item: item.score),
        association_score=column(np.float64, lambda item: item.association_score),
        label=column(np.int32, lambda item: item.class_id),
        detection=np.full(n, -1, np.int64),
        velocity=column(np.float64, lambda item: point(item.velocity)).reshape(n, 2),
        age=column(np.int64, lambda item: item.age),
        hits=column(np.int64, lambda item: item.hits),
        misses=column(np.int64, lambda item: item.frames_since_update),
        first_seen_ns=column(np.int64, lambda item: from_time(item.first_seen)),
        last_seen_ns=column(np.int64, lambda item: from_time(item.last_seen)),
        depth=column(np.float64, lambda item: item.depth),
        depth_stddev=column(np.float64, lambda item: item.depth_stddev),
        position=column(np.float64, lambda item: space(item.position)).reshape(n, 3),
        linear_velocity=column(np.float64, lambda item: space(item.linear_velocity)).reshape(n, 3),
        position_covariance=column(np.float64, lambda item: item.position_covariance).reshape(
            n, 9
        ),
    )
