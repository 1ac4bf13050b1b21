"""sensor_msgs/Image to arrays and back, without cv_bridge.

Messages may be rosbags' or rclpy's: only their fields are used.
"""

from __future__ import annotations

import array
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from mot_perception.errors import UserError
from mot_perception.messages.cdr_layout import LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.image_rows import image_rows
from mot_perception.messages.image_size import check_size
from mot_perception.messages.planar import PLANAR, decode_planar
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLIMETRES = 1000

_IMAGE = CdrLayout('iIs IIsBII')
"""A sensor_msgs/Image up to the number of its bytes."""


class _Layout(NamedTuple):
    """How an encoding lays out one pixel, and what makes BGR of it (None: it is BGR)."""

    dtype: str
    channels: int
    to_bgr: int | None


# All of sensor_msgs/image_encodings.hpp that has a colour or a grey value. OpenCV's newer Bayer
# names (BayerRGGB) are ROS's: the first row's pattern, then the second's. 'yuv422' and
# 'yuv422_yuy2' are the older ROS names of 'uyvy' and 'yuyv'.
COLOUR = {
    'bgr8': _Layout('u1', 3, None),
    '8UC3': _Layout('u1', 3, None),
    'rgb8': _Layout('u1', 3, cv2.COLOR_RGB2BGR),
    'bgra8': _Layout('u1', 4, cv2.COLOR_BGRA2BGR),
    '8UC4': _Layout('u1', 4, cv2.COLOR_BGRA2BGR),
    'rgba8': _Layout('u1', 4, cv2.COLOR_RGBA2BGR),
    'mono8': _Layout('u1', 1, cv2.COLOR_GRAY2BGR),
    '8UC1': _Layout('u1', 1, cv2.COLOR_GRAY2BGR),
    'bgr16': _Layout('u2', 3, None),
    'rgb16': _Layout('u2', 3, cv2.COLOR_RGB2BGR),
    'bgra16': _Layout('u2', 4, cv2.COLOR_BGRA2BGR),
    'rgba16': _Layout('u2', 4, cv2.COLOR_RGBA2BGR),
    'mono16': _Layout('u2', 1, cv2.COLOR_GRAY2BGR),
    'yuv422': _Layout('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': _Layout('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': _Layout('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': _Layout('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'bayer_rggb8': _Layout('u1', 1, cv2.COLOR_BayerRGGB2BGR),
    'bayer_bggr8': _Layout('u1', 1, cv2.COLOR_BayerBGGR2BGR),
    'bayer_gbrg8': _Layout('u1', 1, cv2.COLOR_BayerGBRG2BGR),
    'bayer_grbg8': _Layout('u1', 1, cv2.COLOR_BayerGRBG2BGR),
    'bayer_rggb16': _Layout('u2', 1, cv2.COLOR_BayerRGGB2BGR),
    'bayer_bggr16': _Layout('u2', 1, cv2.COLOR_BayerBGGR2BGR),
    'bayer_gbrg16': _Layout('u2', 1, cv2.COLOR_BayerGBRG2BGR),
    'bayer_grbg16': _Layout('u2', 1, cv2.COLOR_BayerGRBG2BGR),
}
DEPTH = {
    '16UC1': _Layout('u2', 1, None),
    'mono16': _Layout('u2', 1, None),
    '32FC1': _Layout('f4', 1, None),
}


def decode_image(message: Any, where: str = 'image') -> NDArray[np.uint8]:
    """Return the picture of a sensor_msgs/Image as uint8 BGR, H×W×3.

    16-bit encodings keep their upper eight bits. A `bgr8` image shares memory with the message
    and cannot be written to.

    Args:
        message: The message.
        where: Names it in errors, such as topic and bag.

    Raises:
        UserError: The encoding is unknown, or the fields contradict each other.
    """
    if message.encoding in PLANAR:
        return decode_planar(message, where)
    pixels = _pixels(message, _layout(message.encoding, COLOUR, where), where)
    return pixels_to_bgr(pixels, message.encoding, where)


def pixels_to_bgr(pixels: NDArray[Any], encoding: str, where: str) -> NDArray[np.uint8]:
    """Return the pixels of an encoding of `COLOUR`, H×W(×C), as BGR.

    Raises:
        UserError: Naming `where`: there are too few pixels for their colours to be told.
    """
    layout = COLOUR[encoding]
    height, width = pixels.shape[:2]
    if layout.channels == 2 and width % 2:
        raise UserError(f'{where}: {encoding} image of odd width; publish it as rgb8')
    if encoding.startswith('bayer') and min(height, width) < 3:
        raise UserError(f'{where}: {encoding} image of {width}×{height} pixels; publish a larger')
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if layout.to_bgr is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, layout.to_bgr), np.uint8)


def decode_depth(message: Any, where: str = 'depth image') -> NDArray[np.float32]:
    """Return the depth of a sensor_msgs/Image in metres, float32 H×W; 0 or NaN where unknown.

    As REP 118 has it: 16-bit depth is in millimetres, 32-bit depth in metres.

    Args:
        message: The message.
        where: Names it in errors.

    Raises:
        UserError: The encoding is no depth, or the fields contradict each other.
    """
    pixels = _pixels(message, _layout(message.encoding, DEPTH, where), where)
    if pixels.dtype == np.uint16:
        return millimetres_to_metres(pixels)
    # OpenCV and torch refuse rows that begin between two values.
    return np.require(pixels, requirements=['C', 'A'])


def encode_image(pixels: NDArray[Any], encoding: str, header: Any, image_class: Any) -> Any:
    """Return a sensor_msgs/Image.

    Args:
        pixels: H×W or H×W×C, in the type and order of the encoding; for '16UC1' also float
            metres, which are rounded to millimetres, NaN and more than 65 m becoming 0.
        encoding: 'bgr8', 'rgb8', 'mono8', '16UC1', '32FC1', or any other of this module.
        header: The std_msgs/Header.
        image_class: rosbags' or rclpy's Image.

    Raises:
        ValueError: The array does not fit the encoding.
    """
    pixels = _fitted(pixels, encoding)
    height, width = pixels.shape[:2]
    return image_class(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=byte_field(pixels, image_class),
    )


def image_to_cdr(pixels: NDArray[Any], encoding: str, stamp_ns: int, frame_id: str) -> bytes:
    """Return a sensor_msgs/Image as CDR bytes; the pixels are copied once.

    The same bytes as `encode_image` through rosbags' serialiser, which copies them three times.

    Args:
        pixels: As for `encode_image`.
        encoding: As for `encode_image`.
        stamp_ns: Time of the header.
        frame_id: Frame of the header.

    Raises:
        ValueError: The array does not fit the encoding.
    """
    pixels = _fitted(pixels, encoding)
    height, width = pixels.shape[:2]
    stamp, is_bigendian, head = divmod(int(stamp_ns), NANOSECONDS), 0, bytearray()
    _IMAGE.append(
        head, *stamp, *text(frame_id), height, width, *text(encoding), is_bigendian,
        pixels.nbytes // height, pixels.nbytes,
    )  # fmt: skip
    return b''.join([LITTLE_ENDIAN, head, pixels.data])


def _fitted(pixels: NDArray[Any], encoding: str) -> NDArray[Any]:
    """Return pixels as an encoding stores them: little endian, without gaps.

    Raises:
        ValueError: Another number of channels or type, no pixels, or no such encoding.
    """
    layout = (DEPTH | COLOUR).get(encoding)
    if layout is None:
        raise ValueError(f'cannot write {encoding}')
    if encoding == '16UC1' and pixels.dtype.kind == 'f':
        pixels = to_millimetres(pixels)
    dtype = np.dtype(layout.dtype).newbyteorder('<')
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != dtype or channels != layout.channels or not pixels.size:
        raise ValueError(f'{encoding} needs {dtype}×{layout.channels}, not {pixels.dtype}')
    return np.ascontiguousarray(pixels)


def byte_field(values: NDArray[Any], message_class: Any) -> Any:
    """Return what the class takes as uint8[]: rosbags an ndarray, rclpy fastest an array.array."""
    raw = np.frombuffer(np.ascontiguousarray(values), np.uint8)
    if is_dataclass(message_class):  # rosbags' classes are, rclpy's are not
        return raw
    field = array.array('B')
    field.frombytes(raw.data)
    return field


def millimetres_to_metres(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return whole millimetres as metres."""
    metres = pixels.astype(np.float32, order='C')
    metres /= np.float32(MILLIMETRES)
    return metres


def to_millimetres(metres: NDArray[Any]) -> NDArray[np.uint16]:
    """Round metres to uint16 millimetres; what is unknown or out of range becomes 0."""
    with np.errstate(over='ignore', invalid='ignore'):  # inf × 1000, NaN
        rounded = np.rint(metres * MILLIMETRES)
        known = (rounded >= 0) & (rounded <= 65_535)
    return np.where(known, rounded, 0).astype(np.uint16)


def _layout(encoding: str, known: dict[str, _Layout], where: str) -> _Layout:
    if encoding not in known:
        names = ', '.join(known)
        raise UserError(f'{where}: unknown encoding {encoding[:40]!r}; convert to one of {names}')
    return known[encoding]


def _pixels(message: Any, layout: _Layout, where: str) -> NDArray[Any]:
    """Return a view H×W(×C) of the message's data, rows without their padding."""
    height, width, channels = int(message.height), int(message.width), layout.channels
    check_size(width, height, channels, where)
    dtype = np.dtype(layout.dtype).newbyteorder('>' if message.is_bigendian else '<')
    row = width * channels * dtype.itemsize
    rows = image_rows(message, (height, row), int(message.step) or row, where)
    pixels = rows.view(dtype).astype(dtype.newbyteorder('='), copy=False)
    return pixels.reshape(height, width, channels) if channels > 1 else pixels
