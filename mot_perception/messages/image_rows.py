"""Rows of bytes in a sensor_msgs/Image, whatever padding stands between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def image_rows(
    message: Any, shape: tuple[int, int], step: int, where: str, start: int = 0
) -> NDArray[np.uint8]:
    """Return a read-only view of the message's data: rows × bytes of a row.

    Args:
        message: The image; its data may be longer, and its last row may lack the padding.
        shape: Number of rows, and bytes of each without padding; both positive.
        step: Bytes from one row to the next.
        where: Names the image in errors.
        start: Byte where the first row begins.

    Raises:
        UserError: Rows overlap, or the data end before they do.
    """
    rows, length = shape
    data = np.frombuffer(message.data, np.uint8)
    if step < length or len(data) < start + step * (rows - 1) + length:
        raise UserError(
            f'{where}: {len(data)} bytes in rows of {message.step} do not hold '
            f'{message.width}×{message.height} pixels of {message.encoding}; record it again'
        )
    # No rows × step: that many bytes need not exist.
    return np.lib.stride_tricks.as_strided(
        data[start:], (rows, length), (step, 1), writeable=False
    )
