"""Size of a JPEG, PNG or BMP picture from its header, before memory is spent on its pixels."""

from __future__ import annotations

import struct

from mot_perception.errors import UserError

MAX_VALUES = 256 << 20
"""Width × height × channels of the largest image that is accepted."""

PNG = b'\x89PNG\r\n\x1a\n'
JPEG = b'\xff\xd8'
BMP = b'BM'
# Start-of-frame markers; C4, C8 and CC in between are something else.
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_STANDALONE = frozenset([0x01, *range(0xD0, 0xD9)])


def check_size(width: int, height: int, channels: int, where: str) -> None:
    """Refuse an image without pixels, or one larger than any camera makes.

    Raises:
        UserError: Naming `where` and the size.
    """
    if width <= 0 or height <= 0:
        raise UserError(f'{where}: image of {width}×{height} pixels; record it again')
    if width * height * channels > MAX_VALUES:
        raise UserError(f'{where}: image of {width}×{height} pixels is absurdly large; scale it')


def check_picture(data: bytes | memoryview, where: str) -> None:
    """Refuse what is no JPEG, PNG or BMP picture, or one of absurd size.

    Raises:
        UserError: Naming `where` and what is wrong.
    """
    head = bytes(data[:32])
    try:
        if head.startswith(PNG):
            width, height = struct.unpack_from('>II', head, 16)
        elif head.startswith(JPEG):
            width, height = _jpeg_size(data)
        elif head.startswith(BMP):
            width, height = map(abs, struct.unpack_from('<ii', head, 18))
        else:
            raise UserError(f'{where}: neither JPEG, PNG nor BMP; convert it to one of them')
    except (struct.error, IndexError) as error:
        raise UserError(f'{where}: image is cut off in its header; record it again') from error
    check_size(width, height, 3, where)


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            at += 1  # fill bytes between segments
            continue
        marker = data[at + 1]
        if marker in JPEG_FRAMES:
            height, width = struct.unpack_from('>HH', data, at + 5)
            return width, height
        if marker == 0xFF or marker in JPEG_STANDALONE:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + struct.unpack_from('>H', data, at + 2)[0]
