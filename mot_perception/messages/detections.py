"""`Detections` to `vision_msgs/Detection2DArray` and back, for rosbags' classes and ROS's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.messages.mapping import bounding_box, name_of
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.messages.mapping import MessageClasses


class ClassIndex:
    """Numbers for class names: a whole number stands for itself, names count up from 0.

    Args:
        names: Names that are known beforehand: class 0, 1, ….
        most: Names beyond so many share the last number; a topic cannot fill the memory.

    Attributes:
        names: Name of class 0, 1, …; grows with what comes.
    """

    def __init__(self, names: Sequence[str] = (), most: int = 10_000) -> None:
        self.names = list(names)
        self._index = {name: number for number, name in enumerate(names)}
        self._most = most

    def __call__(self, name: str) -> int:
        """Return the number of a name, a new one for a new name."""
        if name in self._index:
            return self._index[name]
        if name.isdecimal() and len(name) < 10:
            return int(name)
        if len(self._index) < self._most:
            self._index[name] = len(self._index)
            self.names.append(name)
        return self._index.get(name, self._most)


def detections_to_message(
    detections: Detections,
    header: Any,
    classes: MessageClasses,
    ids: NDArray[np.int64] | None = None,
    class_names: Sequence[str] = (),
) -> Any:
    """Fill a `Detection2DArray`.

    Args:
        detections: N boxes.
        header: The image's header, used for the array and for each detection.
        classes: rosbags' or ROS's message classes.
        ids: Identity of each box, or None: `id` stays empty.
        class_names: Name of class 0, 1, …; a class beyond is written as its number.
    """
    make = classes
    names = [name_of(label, class_names) or str(label) for label in detections.label.tolist()]
    texts = [''] * len(detections) if ids is None else [str(number) for number in ids.tolist()]
    unknown = _unknown_pose(make)
    found = [
        make.Detection2D(
            header=header,
            results=[
                make.ObjectHypothesisWithPose(
                    hypothesis=make.ObjectHypothesis(class_id=name, score=score), pose=unknown
                )
            ],
            bbox=bounding_box(xyxy, make),
            id=text,
        )
        for xyxy, score, name, text in zip(
            detections.xyxy.tolist(), detections.score.tolist(), names, texts, strict=True
        )
    ]
    return make.Detection2DArray(header=header, detections=found)


def message_to_detections(message: Any, class_index: ClassIndex) -> Detections:
    """Read a `Detection2DArray`: each one's best hypothesis; score 1, class 0 where it has none.

    A rotated box becomes the upright box around it. Values are not judged: see `Detections.valid`.

    Args:
        message: rosbags' or rclpy's message.
        class_index: Numbers the class names, the same one for all messages of a topic.
    """
    n = len(message.detections)
    values = np.empty((n, 6))
    labels = np.zeros(n, np.int32)
    for row, found in enumerate(message.detections):
        box, centre = found.bbox, found.bbox.center.position
        best = max((it.hypothesis for it in found.results), key=_score, default=None)
        score = 1.0 if best is None else best.score
        values[row] = centre.x, centre.y, box.size_x, box.size_y, box.center.theta, score
        labels[row] = 0 if best is None else class_index(best.class_id)
    with np.errstate(all='ignore'):  # a topic may carry NaN and infinity
        half = _half_extent(values[:, 2:4], values[:, 4])
        xyxy = np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1)
    return Detections(xyxy, values[:, 5].copy(), labels)


def _half_extent(size: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the width and height of the upright boxes around rotated ones, N×2."""
    if not angle.any():
        return size / 2
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    width, height = size[:, 0], size[:, 1]
    return np.column_stack([width * cos + height * sin, width * sin + height * cos]) / 2


def _score(hypothesis: Any) -> float:
    score = float(hypothesis.score)
    return -math.inf if math.isnan(score) else score


def _unknown_pose(make: MessageClasses) -> Any:
    nan = math.nan
    point = make.Point(x=nan, y=nan, z=nan)
    pose = make.Pose(position=point, orientation=make.Quaternion(x=nan, y=nan, z=nan, w=nan))
    return make.PoseWithCovariance(pose=pose, covariance=np.full(36, nan))
