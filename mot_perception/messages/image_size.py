"""Size of a JPEG, PNG or BMP picture from its header, before memory is spent on its pixels."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from mot_perception.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture: TypeAlias = bytes | NDArray[np.uint8]

MAX_VALUES = 256 << 20
"""Width × height × channels of the largest image that is accepted."""

PNG = b'\x89PNG\r\n\x1a\n'
JPEG = b'\xff\xd8'
BMP = b'BM'
TIFF = b'II*\0', b'MM\0*'
# Start-of-frame markers; C4, C8 and CC in between are something else.
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_STANDALONE = frozenset([0x01, *range(0xD0, 0xD9)])
STEPS = 100_000
"""Parts that a PNG may have, and stray bytes a JPEG before its frame: no one looks for long."""


def check_size(width: int, height: int, channels: int, where: str) -> None:
    """Refuse an image without pixels, or one larger than any camera makes.

    Raises:
        UserError: Naming `where` and the size.
    """
    if width <= 0 or height <= 0:
        raise UserError(f'{where}: image of {width}×{height} pixels; record it again')
    if width * height * channels > MAX_VALUES:
        raise UserError(f'{where}: image of {width}×{height} pixels is absurdly large; scale it')


def picture_size(data: Picture, where: str) -> tuple[int, int]:
    """Return width and height of a JPEG, PNG or BMP picture of sensible size.

    Raises:
        UserError: Naming `where` and what is wrong.
    """
    view = memoryview(data)  # type: ignore[arg-type, unused-ignore] # ndarray is a buffer
    head = bytes(view[:32])
    try:
        if head.startswith(PNG):
            width, height = _png_size(view)
        elif head.startswith(JPEG):
            width, height = _jpeg_size(view)
        elif head.startswith(BMP):
            width, height = map(abs, struct.unpack_from('<ii', head, 18))
        else:
            kind = 'TIFF, ' if head.startswith(TIFF) else ''
            raise UserError(f'{where}: {kind}neither JPEG, PNG nor BMP; convert it to one of them')
    except (struct.error, IndexError) as error:
        raise UserError(f'{where}: picture is damaged or cut off; record it again') from error
    check_size(width, height, 3, where)
    return width, height


def _png_size(data: memoryview) -> tuple[int, int]:
    """Return width and height; refuse parts longer than what is there, which OpenCV allocates."""
    at = len(PNG)
    for _ in range(STEPS):
        length, kind = struct.unpack_from('>I4s', data, at)
        at += length + 12
        if at > len(data):
            break
        if kind == b'IEND':
            width, height = struct.unpack_from('>II', data, 16)
            return width, height
    raise IndexError


def _jpeg_size(data: memoryview) -> tuple[int, int]:
    """Return width and height of the first frame, the one that libjpeg decodes."""
    at = 2
    for _ in range(STEPS):
        marker = data[at + 1]
        if data[at] != 0xFF or marker in {0x00, 0xFF}:
            at += 1  # between segments libjpeg skips whatever is no marker
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack_from('>HH', data, at + 5)
            return width, height
        elif marker in JPEG_STANDALONE:
            at += 2
        else:
            at += 2 + struct.unpack_from('>H', data, at + 2)[0]
    raise IndexError
