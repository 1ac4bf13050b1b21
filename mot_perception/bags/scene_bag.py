"""A scene as a rosbag2 bag: images, depth, camera, detections, ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.bag_writer import BagWriter
from mot_perception.messages.detections import detections_to_message
from mot_perception.messages.images import encode_image
from mot_perception.messages.mapping import (
    camera_info_message,
    header_of,
    tracked_frame_to_message,
)
from mot_perception.messages.pictures import encode_compressed_image
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    TRACKS,
    message_classes,
)
from mot_perception.types import TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.bags.sequence import GroundTruth, Item

IMAGE_TOPIC = '/camera/image_raw'
COMPRESSED_TOPIC = '/camera/image_raw/compressed'
DEPTH_TOPIC = '/camera/depth/image_raw'
CAMERA_INFO_TOPIC = '/camera/camera_info'
DETECTIONS_TOPIC = '/detections'
GROUND_TRUTH_TOPIC = '/ground_truth'


class SceneBagWriter(BagWriter):
    """Writes items so that `open_source` reads them back; a context manager.

    Args:
        path: Folder of the bag to make.
        force: Replace what is there.
        jpeg: Write images compressed (small, not quite the same when read back).
        class_names: Name of class 0, 1, ….

    Raises:
        UserError: On entering: `path` exists and `force` is off; then: it cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        force: bool = False,
        jpeg: bool = False,
        class_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__(path, force=force)
        self._jpeg = jpeg
        self._class_names = class_names

    def write(self, item: Item) -> None:
        """Append what the item has, all at the stamp of its frame; depth in whole millimetres."""
        frame, make = item.frame, message_classes()
        stamp, header = frame.stamp_ns, header_of(frame, make)
        if frame.camera is not None:
            info = camera_info_message(frame.camera, header, make)
            self.put(CAMERA_INFO_TOPIC, CAMERA_INFO, stamp, info)
        if frame.image is not None and self._jpeg:
            picture = encode_compressed_image(frame.image, header, make.CompressedImage)
            self.put(COMPRESSED_TOPIC, COMPRESSED_IMAGE, stamp, picture)
        elif frame.image is not None:
            image = encode_image(frame.image, 'bgr8', header, make.Image)
            self.put(IMAGE_TOPIC, IMAGE, stamp, image)
        if frame.depth is not None:
            depth = encode_image(frame.depth, '16UC1', header, make.Image)
            self.put(DEPTH_TOPIC, IMAGE, stamp, depth)
        if item.detections is not None:
            found = detections_to_message(
                item.detections, header, make, class_names=self._class_names
            )
            self.put(DETECTIONS_TOPIC, DETECTIONS, stamp, found)
        if item.ground_truth is not None:
            truth = TrackedFrame(
                frame, _as_tracks(item.ground_truth, stamp), source='ground_truth'
            )
            message = tracked_frame_to_message(truth, make, self._class_names)
            self.put(GROUND_TRUTH_TOPIC, TRACKS, stamp, message)


def _as_tracks(truth: GroundTruth, stamp_ns: int) -> Tracks:
    n = len(truth.ids)
    unknown, zeros, seen = np.full(n, np.nan), np.zeros(n, np.int64), np.full(n, stamp_ns)
    return Tracks(
        id=truth.ids,
        state=np.full(n, TrackState.CONFIRMED, np.int8),
        xyxy=truth.xyxy,
        score=np.ones(n),
        association_score=unknown,
        label=np.zeros(n, np.int32),
        detection=np.full(n, -1),
        velocity=np.full((n, 2), np.nan),
        age=zeros,
        hits=zeros,
        misses=zeros,
        first_seen_ns=seen,
        last_seen_ns=seen,
        depth=unknown,
        depth_stddev=unknown,
    )
