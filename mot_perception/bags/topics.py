"""Which topics of a bag are to be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of a bag by what they carry; None: found by type; '': not read.

    Attributes:
        image: `sensor_msgs/Image` or `CompressedImage`, colour or grey.
        depth: `sensor_msgs/Image` (16UC1, 32FC1) or `CompressedImage` (compressedDepth).
        camera_info: `sensor_msgs/CameraInfo`; the one beside the image topic if there are several.
        detections: `vision_msgs/Detection2DArray`.
        ground_truth: `mot_perception/TrackedObjectArray`; found by the name `…/ground_truth`.
    """

    image: str | None = None
    depth: str | None = None
    camera_info: str | None = None
    detections: str | None = None
    ground_truth: str | None = None
