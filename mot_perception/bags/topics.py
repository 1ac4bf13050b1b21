"""Which topics of a bag are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of a bag by what they carry; None: the only one of the fitting type is taken.

    Attributes:
        image: `sensor_msgs/Image` or `CompressedImage`, colour or grey.
        depth: `sensor_msgs/Image` (16UC1, 32FC1) or `CompressedImage` (compressedDepth).
        camera_info: `sensor_msgs/CameraInfo`.
        detections: `vision_msgs/Detection2DArray`.
        ground_truth: `mot_perception/TrackedObjectArray`.
    """

    image: str | None = None
    depth: str | None = None
    camera_info: str | None = None
    detections: str | None = None
    ground_truth: str | None = None
