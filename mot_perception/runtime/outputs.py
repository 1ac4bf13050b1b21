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
from mot_perception.messages.cdr_layout import COUNT, LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.images import image_to_cdr
from mot_perception.messages.mapping import ObjectExtras, name_of
from mot_perception.messages.mask_rle import cells_of_pixels, track_runs
from mot_perception.messages.tracks_cdr import header_values
from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mot_perception.config import StreamConfig
    from mot_perception.trackers.contract import Tracker
    from mot_perception.types import TrackedFrame

MOST_LABELS = 2**16 - 1

_HEADER = CdrLayout('iIs')


def object_extras(
    tracked: TrackedFrame, tracker: Tracker, stream: StreamConfig
) -> ObjectExtras | None:
    """Return what the settings want to be published of each object beside its numbers.

    Args:
        tracked: What the tracker said of the frame.
        tracker: It, still at that frame.
        stream: The settings.
    """
    if not (stream.publish_masks or stream.publish_embeddings):
        return None
    return ObjectExtras(
        track_runs(tracked) if stream.publish_masks else None,
        tracker.appearance_of(tracked.tracks.id) if stream.publish_embeddings else None,
    )


def mask_image(tracked: TrackedFrame) -> bytes:
    """Return who is where: a `sensor_msgs/Image` of the frame's size, 16UC1.

    A pixel of nobody is 0, one of a track is its id; after 65535 labels begin again at 1:
    (id − 1) mod 65535 + 1. Where masks overlap, the object with the smallest depth is in front;
    objects of unknown depth are behind all others; of equal ones the later row is in front.

    Raises:
        ValueError: The frame has no masks.
    """
    frame, tracks, masks = tracked.frame, tracked.tracks, tracked.masks
    if masks is None:
        raise ValueError('the frame has no masks')
    labels = ((tracks.id - 1) % MOST_LABELS + 1).tolist()
    detection = tracks.detection.tolist()
    _, height, width = masks.shape
    cells = np.zeros((height, width), np.uint16)
    far = np.where(np.isnan(tracks.depth), np.inf, tracks.depth)
    for row in np.argsort(-far, kind='stable').tolist():
        if detection[row] >= 0:
            cells[masks[detection[row]]] = labels[row]
    rows = cells_of_pixels(frame.height, height)
    columns = cells_of_pixels(frame.width, width)
    pixels = cells.take(columns, 1).take(rows, 0)  # a tenth of the time of cells[:, columns][rows]
    return image_to_cdr(pixels, '16UC1', frame.stamp_ns, frame.frame_id)


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
