"""Images of two planes, as video decoders and libcamera give them: nv12, nv21, nv24.

First the brightness of all pixels, then pairs of colour differences: of every pixel (nv24), or
one for each 2×2 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.image_rows import image_rows
from mot_perception.messages.image_size import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANAR = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21, 'nv24': None}
"""Encodings, and OpenCV's conversion; it has none for nv24."""

# ITU-R BT.601, Y 16 … 235, as OpenCV converts the others: blue, green and red of Y, U, V, 1.
GAIN = np.array([[1.164, 2.018, 0], [1.164, -0.391, -0.813], [1.164, 0, 1.596]])
TO_BGR = np.column_stack([GAIN, GAIN @ np.array([-16, -128, -128])])


def decode_planar(message: Any, where: str) -> NDArray[np.uint8]:
    """Return the picture of a sensor_msgs/Image of two planes as uint8 BGR, H×W×3.

    `step` is the length of a row of brightness. Planes that fill the data without padding are
    taken as such whatever it says: publishers write one to two times the width.

    Args:
        message: rosbags' or rclpy's message, its encoding one of `PLANAR`.
        where: Names it in errors.

    Raises:
        UserError: The size is odd where it must be even, or the fields contradict each other.
    """
    height, width, to_bgr = int(message.height), int(message.width), PLANAR[message.encoding]
    check_size(width, height, 3, where)
    share = 1 if to_bgr is None else 2
    if width % share or height % share:
        raise UserError(f'{where}: {message.encoding} image of odd size; publish it as rgb8')
    rows, length = height // share, width * 2 // share
    step = int(message.step) or width
    if len(message.data) == width * height + length * rows:
        step = width
    bright = image_rows(message, (height, width), step, where)
    colour = image_rows(message, (rows, length), step * 2 // share, where, start=step * height)
    colour = colour.reshape(rows, -1, 2)
    if to_bgr is None:
        pixels = cv2.merge([np.maximum(bright, 16), colour])
        return np.asarray(cv2.transform(pixels, TO_BGR), np.uint8)
    return np.asarray(cv2.cvtColorTwoPlane(bright, colour, to_bgr), np.uint8)
