"""Messages written field by field: a run of numbers and texts in one call of `struct`.

For messages that are made up anew for every frame: no message object is built, so that writing a
hundred objects takes a fraction of what a serialiser takes to walk through them.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import TypeAlias

LITTLE_ENDIAN = b'\x00\x01\x00\x00'
"""The encapsulation that messages of these layouts begin with."""

Value: TypeAlias = 'int | float | bytes'

LAYOUTS_KEPT = 4096
"""Texts of other lengths make other layouts; so many are remembered."""


class CdrLayout:
    """A run of fields of a message (XCDR1, little endian).

    Args:
        fields: Codes of `struct`, repeated by a number before them: `iI` is a time, `3d` a vector,
            `I` a count. `s` is a string, which takes the two values that `text` returns.
    """

    def __init__(self, fields: str) -> None:
        pairs = re.findall(r'(\d*)([bBhHiIqQfd?s])', fields)
        self._codes = ''.join(code * int(count or 1) for count, code in pairs)
        before = (self._codes[:place] for place, code in enumerate(self._codes) if code == 's')
        self._lengths = [len(codes) + codes.count('s') for codes in before]
        self._struct = lru_cache(LAYOUTS_KEPT)(self._make)

    def append(self, body: bytearray, *values: Value) -> None:
        """Write the fields behind what is there already.

        Args:
            body: The message so far, without its 4 bytes of encapsulation: alignment counts from
                its beginning.
            values: One for each number, two for each string.
        """
        lengths = [values[place] for place in self._lengths]
        body += self._struct(len(body) % 8, *lengths).pack(*values)

    def _make(self, phase: int, *lengths: int) -> struct.Struct:
        """Return the layout of fields that begin `phase` bytes beyond a multiple of 8."""
        parts, at, left = ['<'], phase, list(lengths)
        for code in self._codes:
            size = 4 if code == 's' else struct.calcsize(f'<{code}')
            padding = -at % size
            parts.append(f'{padding}x' + ('I' if code == 's' else code))
            at += padding + size
            if code == 's':
                parts.append(f'{left[0]}s')
                at += left.pop(0)
        return struct.Struct(''.join(parts))


def text(string: str) -> tuple[int, bytes]:
    """Return the two values that a string's field takes: length with final zero, and bytes."""
    raw = string.encode()
    return len(raw) + 1, raw


COUNT = CdrLayout('I')
"""The number of elements before a sequence."""
