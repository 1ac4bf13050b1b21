"""What a tracked frame becomes: serialised messages for people and programs.

All of them have the header of the image. Numbers are pixels of that image, and metres in its
optical frame (x right, y down, z forward). Objects that ended with the frame are in none but the
tracks.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.drawing import TrackPainter
from mot_perception.messages.cdr import write_message
from mot_perception.messages.cdr_layout import COUNT, LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.images import image_to_cdr
from mot_perception.messages.mapping import ObjectExtras, name_of, tracked_frame_to_message
from mot_perception.messages.tracks_cdr import header_values, tracked_frame_to_cdr
from mot_perception.messages.typestore import TRACKS, message_classes
from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mot_perception.types import TrackedFrame

_HEADER = CdrLayout('iIs')


def tracked_objects(
    tracked: TrackedFrame,
    class_names: Sequence[str] = (),
    embeddings: Sequence[NDArray[np.float32]] | None = None,
) -> bytes:
    """Return a `mot_perception/TrackedObjectArray`.

    Args:
        tracked: What the tracker said of the frame.
        class_names: Name of class 0, 1, ….
        embeddings: Vector of each track, empty where there is none; None: they are not published.
    """
    if embeddings is None:
        return tracked_frame_to_cdr(tracked, class_names)
    extras = ObjectExtras(embedding=embeddings)
    message = tracked_frame_to_message(tracked, message_classes(), class_names, extras)
    return write_message(message, TRACKS)


_DETECTION = CdrLayout('iIs I sd 7d 36d 2dd2d s')


def matched_detections(tracked: TrackedFrame, class_names: Sequence[str] = ()) -> bytes:
    """Return a `vision_msgs/Detection2DArray` of the objects that this frame's detections are of.

    `id` is the track's; a class without a name is called by its number. The pose of the hypothesis
    is the track's position, where it is known, of unknown orientation.

    Args:
        tracked: What the tracker said of the frame.
        class_names: Name of class 0, 1, ….
    """
    seen = tracked.tracks
    seen = seen.select((seen.misses == 0) & (seen.state != TrackState.REMOVED))
    header = header_values(tracked.frame)
    body = bytearray()
    _HEADER.append(body, *header)
    COUNT.append(body, len(seen))
    covariance = np.full((len(seen), 6, 6), nan)
    covariance[:, :3, :3] = seen.position_covariance.reshape(-1, 3, 3)
    for identity, label, score, box, position, spread in zip(
        seen.id.tolist(),
        seen.label.tolist(),
        seen.score.tolist(),
        _centre_size(seen.xyxy),
        seen.position.tolist(),
        covariance.reshape(-1, 36).tolist(),
        strict=True,
    ):
        name = name_of(label, class_names) or str(label)
        _DETECTION.append(
            body, *header, 1, *text(name), score, *position, nan, nan, nan, nan, *spread,
            box[0], box[1], 0.0, box[2], box[3], *text(str(identity)),
        )  # fmt: skip
    return LITTLE_ENDIAN + body


def _centre_size(xyxy: NDArray[np.float64]) -> list[list[float]]:
    left_top, right_bottom = xyxy[:, :2], xyxy[:, 2:]
    table = np.hstack([(left_top + right_bottom) / 2, right_bottom - left_top])
    return [[float(value) for value in row] for row in table.tolist()]


class DebugImage:
    """Draws tracked frames, in their order, on copies of their pictures: `sensor_msgs/Image`."""

    def __init__(self) -> None:
        self._painter = TrackPainter()
        self._resets = 0

    def __call__(self, tracked: TrackedFrame) -> bytes:
        """Return the picture with tracks, bgr8.

        Raises:
            ValueError: The frame has no image.
        """
        frame = tracked.frame
        if frame.image is None:
            raise ValueError('the frame has no image')
        if tracked.reset_count != self._resets:  # ids begin again, trails must not go on
            self._painter, self._resets = TrackPainter(), tracked.reset_count
        canvas = np.array(frame.image)
        self._painter.paint(canvas, tracked)
        return image_to_cdr(canvas, 'bgr8', frame.stamp_ns, frame.frame_id)


_STATUS = CdrLayout('iIs I B3s I')
_PAIR = CdrLayout('ss')


def diagnostics_message(
    stamp_ns: int,
    node_name: str,
    hardware_id: str,
    level: int,
    message: str,
    values: Mapping[str, str],
) -> bytes:
    """Return a `diagnostic_msgs/DiagnosticArray` with one status.

    Args:
        stamp_ns: Now.
        node_name: Name of the status; `diagnostic_updater` writes 'node: what it is about'.
        hardware_id: Which camera.
        level: 0 OK, 1 warning, 2 error.
        message: One line.
        values: What was measured.
    """
    body = bytearray()
    stamp = divmod(int(stamp_ns), NANOSECONDS)
    _STATUS.append(
        body, *stamp, *text(''), 1, level, *text(node_name), *text(message), *text(hardware_id),
        len(values),
    )  # fmt: skip
    for key, value in values.items():
        _PAIR.append(body, *text(key), *text(str(value)))
    return LITTLE_ENDIAN + body
