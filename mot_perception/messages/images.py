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
from mot_perception.messages.image_size import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLIMETRES = 1000


class _Layout(NamedTuple):
    """How an encoding lays out one pixel, and what makes BGR of it (None: it is BGR)."""

    dtype: str
    channels: int
    to_bgr: int | None


# 'yuv422' and 'yuv422_yuy2' are the older ROS names of 'uyvy' and 'yuyv'.
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
    'mono16': _Layout('u2', 1, cv2.COLOR_GRAY2BGR),
    'yuv422': _Layout('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': _Layout('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': _Layout('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': _Layout('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'bayer_rggb8': _Layout('u1', 1, cv2.COLOR_BayerRGGB2BGR),
    'bayer_bggr8': _Layout('u1', 1, cv2.COLOR_BayerBGGR2BGR),
    'bayer_gbrg8': _Layout('u1', 1, cv2.COLOR_BayerGBRG2BGR),
    'bayer_grbg8': _Layout('u1', 1, cv2.COLOR_BayerGRBG2BGR),
}
DEPTH = {
    '16UC1': _Layout('u2', 1, None),
    'mono16': _Layout('u2', 1, None),
    '32FC1': _Layout('f4', 1, None),
}


def decode_image(message: Any, where: str = 'image') -> NDArray[np.uint8]:
    """Return the picture of a sensor_msgs/Image as uint8 BGR, H×W×3.

    16-bit encodings keep their upper eight bits. A `bgr8` image shares memory with the message.

    Args:
        message: The message.
        where: Names it in errors, such as topic and bag.

    Raises:
        UserError: The encoding is unknown, or the fields contradict each other.
    """
    layout = _layout(message.encoding, COLOUR, where)
    if layout.to_bgr in {cv2.COLOR_YUV2BGR_UYVY, cv2.COLOR_YUV2BGR_YUY2} and message.width % 2:
        raise UserError(f'{where}: {message.encoding} image of odd width; record it as rgb8')
    pixels = _pixels(message, layout, where)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if layout.to_bgr is not None:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), layout.to_bgr)
    return pixels


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
        return pixels.astype(np.float32) / np.float32(MILLIMETRES)
    return pixels


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
    layout = (DEPTH | COLOUR)[encoding]
    if encoding == '16UC1' and pixels.dtype.kind == 'f':
        pixels = to_millimetres(pixels)
    dtype = np.dtype(layout.dtype)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != dtype or channels != layout.channels:
        raise ValueError(f'{encoding} needs {dtype}×{layout.channels}, not {pixels.dtype}')
    height, width = pixels.shape[:2]
    return image_class(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels * dtype.itemsize,
        data=byte_field(pixels, image_class),
    )


def byte_field(values: NDArray[Any], message_class: Any) -> Any:
    """Return what the class takes as uint8[]: rosbags an ndarray, rclpy fastest an array.array."""
    raw = np.frombuffer(np.ascontiguousarray(values), np.uint8)
    if is_dataclass(message_class):  # rosbags' classes are, rclpy's are not
        return raw
    field = array.array('B')
    field.frombytes(raw.data)
    return field


def to_millimetres(metres: NDArray[Any]) -> NDArray[np.uint16]:
    """Round metres to uint16 millimetres; what is unknown or out of range becomes 0."""
    rounded = np.rint(np.nan_to_num(metres * MILLIMETRES, nan=0.0, posinf=0.0, neginf=0.0))
    return np.where((rounded < 0) | (rounded > 65_535), 0, rounded).astype(np.uint16)


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
    step = int(message.step) or row
    data = np.frombuffer(message.data, np.uint8)
    if step < row or len(data) < step * (height - 1) + row:
        raise UserError(
            f'{where}: {len(data)} bytes in rows of {step} do not hold {width}×{height} pixels '
            f'of {message.encoding}; record it again'
        )
    # The last row may come without padding.
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    pixels = rows.view(dtype).astype(dtype.newbyteorder('='), copy=False)
    return pixels.reshape(height, width, channels) if channels > 1 else pixels
