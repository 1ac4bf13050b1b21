"""Serialised messages of one moment to a `Frame` and its detections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.cdr import read_message
from mot_perception.messages.detections import ClassIndex, message_to_detections
from mot_perception.messages.image_size import check_size, picture_size
from mot_perception.messages.images import decode_depth, decode_image
from mot_perception.messages.mapping import camera_model
from mot_perception.messages.pictures import decode_compressed_depth, decode_compressed_image
from mot_perception.messages.scores import ADVICE, normalised
from mot_perception.messages.typestore import CAMERA_INFO, COMPRESSED_IMAGE, typestore
from mot_perception.types import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mot_perception.messages.synchronise import Stamped
    from mot_perception.types import CameraModel, Detections

DECODERS: dict[tuple[str, bool], Callable[[Any, str], NDArray[Any]]] = {
    ('image', False): decode_image,
    ('image', True): decode_compressed_image,
    ('depth', False): decode_depth,
    ('depth', True): decode_compressed_depth,
}


class FrameReader:
    """Reads what belongs to one frame; remembers the camera and the names of classes.

    Args:
        types: Message type of each role.
        where: Name of each role's topic, for errors.
        class_index: Numbers the class names of detections.
        score_range: (low, high) of the detections' scores; None: they are in [0, 1] as they are.
    """

    def __init__(
        self,
        types: Mapping[str, str],
        where: Mapping[str, str],
        class_index: ClassIndex | None = None,
        score_range: tuple[float, float] | None = None,
    ) -> None:
        self.classes = class_index or ClassIndex()
        self._types, self._where = types, where
        self._score_range = score_range
        self.camera: CameraModel | None = None
        typestore()  # takes half a second: not while the first image waits for its detections

    def latch_camera(self, raw: bytes) -> None:
        """Take a CameraInfo: it holds for all frames to come.

        Raises:
            UserError: The bytes are no CameraInfo.
        """
        self.camera = camera_model(read_message(raw, CAMERA_INFO, self._where['camera_info']))

    def read(
        self, found: Mapping[str, Stamped], index: int, *, pixels: bool = True
    ) -> tuple[Frame, Detections | None]:
        """Return the frame, and its detections or None if it has none.

        Args:
            found: The messages by role; the leading one is the image, else the detections.
            index: Number of the frame in its source.
            pixels: Whether image and depth are decoded, or only measured.

        Raises:
            UserError: One of them cannot be read.
        """
        image = depth = detections = None
        width, height = (self.camera.width, self.camera.height) if self.camera else (0, 0)
        leader = 'image' if 'image' in found else 'detections'
        if 'detections' in found:
            message = self._message(found['detections'])
            header = message.header
            detections = self._scored(message_to_detections(message, self.classes), index)
        if 'image' in found:
            message = self._message(found['image'])
            header = message.header
            width, height = self._size(message)
            image = self._pixels(message, 'image') if pixels else None
        if 'depth' in found and pixels:
            depth = self._pixels(self._message(found['depth']), 'depth')
        frame = Frame(
            stamp_ns=found[leader].stamp_ns,
            index=index,
            width=width,
            height=height,
            image=image,
            depth=depth,
            camera=self.camera,
            frame_id=header.frame_id,
        )
        return frame, detections

    def _message(self, stamped: Stamped) -> Any:
        return read_message(stamped.raw, self._types[stamped.role], self._where[stamped.role])

    def _size(self, message: Any) -> tuple[int, int]:
        if self._types['image'] == COMPRESSED_IMAGE:
            return picture_size(message.data, self._where['image'])
        width, height = int(message.width), int(message.height)
        check_size(width, height, 1, self._where['image'])
        return width, height

    def _pixels(self, message: Any, role: str) -> NDArray[Any]:
        decode = DECODERS[role, self._types[role] == COMPRESSED_IMAGE]
        return decode(message, self._where[role])

    def _scored(self, found: Detections, index: int) -> Detections:
        if self._score_range is not None:
            return replace(found, score=normalised(found.score, self._score_range))
        if (np.abs(found.score - 0.5) > 0.5).any():
            raise UserError(
                f'{self._where["detections"]}: frame {index} has scores from {found.score.min():g}'
                f' to {found.score.max():g}, which must be in [0, 1]; {ADVICE}'
            )
        return found
