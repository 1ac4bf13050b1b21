"""A world around an engine: serialised messages in, recorded messages out."""

from __future__ import annotations

from threading import Condition
from typing import Any

import numpy as np

from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.detections import detections_to_message
from mot_perception.messages.images import encode_image
from mot_perception.messages.mapping import camera_info_message, message_to_tracked_frame, to_time
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    DETECTIONS,
    IMAGE,
    TRACKS,
    message_classes,
)
from mot_perception.types import CameraModel, Detections, TrackedFrame

MS = 1_000_000
START = 1_700_000_000_000 * MS
"""Stamp of the first frame; zero would be no stamp."""
MAKE = message_classes()


def header(stamp_ns: int, frame_id: str = 'camera_optical_frame') -> Any:
    return MAKE.Header(stamp=to_time(stamp_ns, MAKE.Time), frame_id=frame_id)


def image(ms: float, pixels: Any = None, encoding: str = 'bgr8') -> bytes:
    pixels = np.zeros((48, 64, 3), np.uint8) if pixels is None else pixels
    stamp = header(START + int(ms * MS))
    return write_message(encode_image(pixels, encoding, stamp, MAKE.Image), IMAGE)


def boxes(ms: float, xyxy: Any, score: Any = None) -> bytes:
    found = Detections.of(xyxy, score)
    message = detections_to_message(
        found, header(START + int(ms * MS)), MAKE, class_names=['person']
    )
    return write_message(message, DETECTIONS)


def camera_info(width: int = 64, height: int = 48, focal: float = 60.0) -> bytes:
    camera = CameraModel(width, height, focal, focal, width / 2, height / 2)
    return write_message(camera_info_message(camera, header(START), MAKE), CAMERA_INFO)


class World:
    """Ports that remember; what is published can be waited for."""

    def __init__(self, listened: set[str] | None = None) -> None:
        self.listened = listened or set()
        self.sent: list[tuple[str, str, bytes]] = []
        self.lines: list[tuple[str, str]] = []
        self.time_ns = START
        self._changed = Condition()

    def publish(self, camera: str, output: str, data: bytes) -> None:
        with self._changed:
            self.sent.append((camera, output, data))
            self._changed.notify_all()

    def wanted(self, camera: str, output: str) -> bool:
        return output in self.listened

    def has_field(self, output: str, field: str) -> bool:
        return True

    def topic(self, camera: str, role: str) -> str:
        return f'/{camera}/{role}' if camera else f'/{role}'

    def now_ns(self) -> int:
        return self.time_ns

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def wait(self, count: int, output: str = 'tracks') -> None:
        """Wait until so many messages of an output have been published in all."""

        def there() -> bool:
            return sum(name == output for _, name, _ in self.sent) >= count

        with self._changed:
            assert self._changed.wait_for(there, timeout=20), (
                f'{len(self.sent)} came: {self.lines}'
            )

    def tracks(self, camera: str = '') -> list[TrackedFrame]:
        return [
            message_to_tracked_frame(read_message(data, TRACKS))
            for owner, output, data in self.sent
            if (owner, output) == (camera, 'tracks')
        ]
