"""Compressed pictures (files, sensor_msgs/CompressedImage) to arrays and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.image_size import PNG, picture_size
from mot_perception.messages.images import (
    COLOUR,
    byte_field,
    millimetres_to_metres,
    pixels_to_bgr,
    to_millimetres,
)
from mot_perception.messages.rvl import decode_rvl, encode_rvl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.messages.image_size import Picture

DEPTH_HEADER = struct.Struct('<iff')
"""compressedDepth puts a format number and two quantisation parameters before the picture."""

# What image_transport quantises float depth with unless told otherwise.
FARTHEST = 10.0
QUANTISATION = 100.0

# As image_transport decodes: a camera's matrix is that of the pixels as they were stored.
BGR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode_picture(data: Picture, where: str) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or BMP picture to BGR, H×W×3.

    It is not turned upright where a phone noted how it was held.

    Raises:
        UserError: Naming `where`: another format, damaged, absurdly large.
    """
    return np.asarray(_decode(data, BGR, where), np.uint8)


def decode_depth_picture(data: Picture, where: str) -> NDArray[np.float32]:
    """Decode a 16-bit grey PNG of millimetres to metres, float32 H×W, 0 where unknown.

    Raises:
        UserError: Naming `where`: no such PNG, damaged, absurdly large.
    """
    return millimetres_to_metres(_sixteen_bits(data, where))


def decode_stored_picture(data: Picture, where: str) -> NDArray[Any]:
    """Decode a picture as it is stored: uint8 or uint16, H×W or H×W×C.

    Raises:
        UserError: Naming `where`: another format, damaged, absurdly large.
    """
    return _decode(data, cv2.IMREAD_UNCHANGED, where)


def decode_compressed_image(message: Any, where: str) -> NDArray[np.uint8]:
    """Return the picture of a sensor_msgs/CompressedImage as BGR.

    Its format says 'encoding; codec compressed pixels', or only 'jpeg', or nothing.

    Args:
        message: rosbags' or rclpy's message.
        where: Names it in errors.

    Raises:
        UserError: As `decode_picture`.
    """
    data = np.frombuffer(message.data, np.uint8)
    encoding, _, transport = message.format.partition(';')
    if encoding.startswith('bayer') and encoding in COLOUR and 'mono' not in transport:
        mosaic = _decode(data, cv2.IMREAD_UNCHANGED, where)
        if mosaic.ndim == 2:  # the transport stores what it does not take for colour as it is
            return pixels_to_bgr(mosaic, encoding, where)
    image = decode_picture(data, where)
    # A transport that was told to keep RGB says so: 'rgb8; jpeg compressed rgb8'.
    swapped = 'compressed rgb' in transport
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)) if swapped else image


def decode_compressed_depth(message: Any, where: str) -> NDArray[np.float32]:
    """Return the depth of a compressedDepth (PNG, rvl) or 16-bit PNG message in metres.

    16UC1 holds millimetres; 32FC1 was stored by inverse quantisation: a / (value − b).

    Args:
        message: rosbags' or rclpy's CompressedImage.
        where: Names it in errors.

    Returns:
        float32 H×W; 0 or NaN where unknown.

    Raises:
        UserError: Another codec, damaged, absurdly large.
    """
    data = np.frombuffer(message.data, np.uint8)
    if bytes(data[: len(PNG)]) == PNG:  # the 'compressed' transport: no header
        return decode_depth_picture(data, where)
    if len(data) <= DEPTH_HEADER.size:
        raise UserError(f'{where}: depth image is cut off; record it again')
    _, a, b = DEPTH_HEADER.unpack(data[: DEPTH_HEADER.size].tobytes())
    picture = data[DEPTH_HEADER.size :]
    raw = (decode_rvl if 'rvl' in message.format else _sixteen_bits)(picture, where)
    return _far(raw, a, b) if message.format.startswith('32FC1') else millimetres_to_metres(raw)


def encode_compressed_image(image: NDArray[np.uint8], header: Any, image_class: Any) -> Any:
    """Return a sensor_msgs/CompressedImage (JPEG) of a BGR picture."""
    data = cv2.imencode('.jpg', image)[1]
    text = 'bgr8; jpeg compressed bgr8'
    return image_class(header=header, format=text, data=byte_field(data, image_class))


def encode_compressed_depth(
    depth: NDArray[np.float32], text: str, header: Any, image_class: Any
) -> Any:
    """Return a sensor_msgs/CompressedImage as the compressedDepth transport publishes it.

    Args:
        depth: Metres, H×W; what is unknown or, as '32FC1', beyond 10 m becomes 'unknown'.
        text: '16UC1; compressedDepth png', or with 32FC1, or with rvl.
        header: The std_msgs/Header.
        image_class: rosbags' or rclpy's CompressedImage.
    """
    a = b = 0.0
    if text.startswith('32FC1'):
        a = QUANTISATION * (QUANTISATION + 1)
        b = 1 - a / FARTHEST
        raw = _near(depth, a, b)
    else:
        raw = to_millimetres(depth)
    picture = encode_rvl(raw) if 'rvl' in text else cv2.imencode('.png', raw)[1].tobytes()
    data = np.frombuffer(DEPTH_HEADER.pack(0, a, b) + picture, np.uint8)
    return image_class(header=header, format=text, data=byte_field(data, image_class))


def _near(depth: NDArray[np.float32], a: float, b: float) -> NDArray[np.uint16]:
    """Return a / depth + b, 0 where that is no depth or does not fit."""
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        inverse = a / depth + b
    fits = (depth > 0) & (depth < FARTHEST) & (inverse < 65_536)
    return np.where(fits, inverse, 0).astype(np.uint16)


def _far(raw: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    """Return a / (raw − b), NaN where raw is 0 or that is no depth."""
    depth = raw.astype(np.float32)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        depth -= np.float32(b)
        np.divide(np.float32(a), depth, out=depth)
    depth[(raw == 0) | ~((depth > 0) & (depth < np.inf))] = np.nan
    return depth


def _sixteen_bits(data: Picture, where: str) -> NDArray[np.uint16]:
    if bytes(data[: len(PNG)]) == PNG:
        raw = _decode(data, cv2.IMREAD_UNCHANGED, where)
        if raw.dtype == np.uint16 and raw.ndim == 2:
            return np.asarray(raw, np.uint16)
    raise UserError(f'{where}: depth must be a 16-bit grey PNG; convert it')


def _decode(data: Picture, flags: int, where: str) -> NDArray[Any]:
    picture_size(data, where)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UserError(f'{where}: picture cannot be decoded ({error.err}); replace it') from error
    if image is None:
        raise UserError(f'{where}: picture is damaged or cut off; replace it')
    return image
