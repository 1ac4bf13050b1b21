"""Pictures and sensor_msgs images to arrays and back, without cv_bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.bags.image_size import PNG, check_picture
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLIMETRE = np.float32(1e-3)


def decode_picture(data: bytes | memoryview, where: str) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or BMP picture to BGR, H×W×3.

    Raises:
        UserError: Naming `where`: another format, damaged, absurdly large.
    """
    check_picture(data, where)
    return np.asarray(_imdecode(data, cv2.IMREAD_COLOR, where), np.uint8)


def decode_depth_png(data: bytes | memoryview, where: str) -> NDArray[np.float32]:
    """Decode a 16-bit single-channel PNG of millimetres to metres, float32 H×W, 0 unknown.

    Raises:
        UserError: Naming `where`: no such PNG, damaged, absurdly large.
    """
    check_picture(data, where)
    raw = _imdecode(data, cv2.IMREAD_UNCHANGED, where) if bytes(data[:8]) == PNG else None
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        raise UserError(f'{where}: depth must be a 16-bit grey PNG in millimetres; convert it')
    return raw.astype(np.float32) * MILLIMETRE


def _imdecode(data: bytes | memoryview, flags: int, where: str) -> NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UserError(f'{where}: image cannot be decoded ({error.err}); replace it') from error
    if image is None:
        raise UserError(f'{where}: image is damaged or cut off; replace it')
    return image
