"""Compressed pictures (files, sensor_msgs/CompressedImage) to arrays and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.image_size import PNG, picture_size
from mot_perception.messages.images import MILLIMETRES, byte_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.messages.image_size import Picture

DEPTH_HEADER = struct.Struct('<iff')
"""compressedDepth puts a format number and two quantisation parameters before the picture."""


def decode_picture(data: Picture, where: str) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or BMP picture to BGR, H×W×3.

    Raises:
        UserError: Naming `where`: another format, damaged, absurdly large.
    """
    return np.asarray(_decode(data, cv2.IMREAD_COLOR, where), np.uint8)


def decode_depth_picture(data: Picture, where: str) -> NDArray[np.float32]:
    """Decode a 16-bit grey PNG of millimetres to metres, float32 H×W, 0 where unknown.

    Raises:
        UserError: Naming `where`: no such PNG, damaged, absurdly large.
    """
    return _sixteen_bits(data, where).astype(np.float32) / np.float32(MILLIMETRES)


def decode_compressed_image(message: Any, where: str) -> NDArray[np.uint8]:
    """Return the picture of a sensor_msgs/CompressedImage as BGR.

    Args:
        message: rosbags' or rclpy's message.
        where: Names it in errors.

    Raises:
        UserError: As `decode_picture`.
    """
    image = decode_picture(np.frombuffer(message.data, np.uint8), where)
    # A transport that was told to keep RGB says so: 'rgb8; jpeg compressed rgb8'.
    swapped = 'compressed rgb' in message.format
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)) if swapped else image


def decode_compressed_depth(message: Any, where: str) -> NDArray[np.float32]:
    """Return the depth of a compressedDepth (PNG) or 16-bit PNG message in metres.

    16UC1 holds millimetres; 32FC1 was stored by inverse quantisation: a / (value − b).

    Args:
        message: rosbags' or rclpy's CompressedImage.
        where: Names it in errors.

    Raises:
        UserError: Not a PNG (such as rvl), damaged, absurdly large.
    """
    data = np.frombuffer(message.data, np.uint8)
    if 'compressedDepth' not in message.format:
        return decode_depth_picture(data, where)
    if len(data) <= DEPTH_HEADER.size:
        raise UserError(f'{where}: depth image is cut off; record it again')
    if 'rvl' in message.format:
        raise UserError(f'{where}: compressedDepth with rvl is not known; record it with png')
    _, a, b = DEPTH_HEADER.unpack(data[: DEPTH_HEADER.size].tobytes())
    picture = data[DEPTH_HEADER.size :]
    if not message.format.startswith('32FC1'):
        return decode_depth_picture(picture, where)
    raw = _sixteen_bits(picture, where)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        return np.where(raw == 0, np.nan, a / (raw.astype(np.float32) - b)).astype(np.float32)


def encode_compressed_image(image: NDArray[np.uint8], header: Any, image_class: Any) -> Any:
    """Return a sensor_msgs/CompressedImage (JPEG) of a BGR picture."""
    data = cv2.imencode('.jpg', image)[1]
    text = 'bgr8; jpeg compressed bgr8'
    return image_class(header=header, format=text, data=byte_field(data, image_class))


def _sixteen_bits(data: Picture, where: str) -> NDArray[np.uint16]:
    raw = _decode(data, cv2.IMREAD_UNCHANGED, where)
    if bytes(data[:8]) != PNG or raw.dtype != np.uint16 or raw.ndim != 2:
        raise UserError(f'{where}: depth must be a 16-bit grey PNG; convert it')
    return np.asarray(raw, np.uint16)


def _decode(data: Picture, flags: int, where: str) -> NDArray[Any]:
    picture_size(data, where)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UserError(f'{where}: picture cannot be decoded ({error.err}); replace it') from error
    if image is None:
        raise UserError(f'{where}: picture is damaged or cut off; replace it')
    return image
