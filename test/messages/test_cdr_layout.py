"""Fields written at once, against a writer that takes them one by one."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.messages.cdr_layout import COUNT, CdrLayout, text

VALUES = {
    'B': st.integers(0, 255),
    'h': st.integers(-9, 9),
    'i': st.integers(-(2**31), 2**31 - 1),
    'I': st.integers(0, 2**32 - 1),
    'Q': st.integers(0, 2**64 - 1),
    'f': st.floats(width=32, allow_nan=False),
    'd': st.floats(allow_nan=False),
    '?': st.booleans(),
    's': st.text(max_size=20),
}


def one_by_one(body, codes, values):
    for code, value in zip(codes, values, strict=True):
        if code == 's':
            raw = value.encode() + b'\0'
            body += bytes(-len(body) % 4) + struct.pack('<I', len(raw)) + raw
        else:
            body += bytes(-len(body) % struct.calcsize('<' + code))
            body += struct.pack('<' + code, value)


@given(
    st.lists(st.sampled_from(sorted(VALUES)), max_size=12),
    st.integers(0, 9),
    st.data(),
)
def test_every_field_is_aligned(codes, before, data):
    layout, expected, found = CdrLayout(''.join(codes)), bytearray(before), bytearray(before)
    for _ in range(2):
        values = [data.draw(VALUES[code]) for code in codes]
        one_by_one(expected, codes, values)
        flat = [
            part
            for code, value in zip(codes, values, strict=True)
            for part in (text(value) if code == 's' else (value,))
        ]
        layout.append(found, *flat)
    assert found == expected


def test_repeated_fields_and_spaces():
    body = bytearray()
    CdrLayout('B 3d 2s').append(body, 1, 2.0, 3.0, 4.0, *text('é'), *text(''))
    assert bytes(body) == struct.pack('<B7x3dI3sxI1s', 1, 2, 3, 4, 3, 'é\0'.encode(), 1, b'\0')


def test_count():
    body = bytearray(b'x')
    COUNT.append(body, 7)
    assert bytes(body) == b'x\0\0\0\7\0\0\0'


@pytest.mark.parametrize('values', [(), (1, 2), (2**32,), (np.nan,)])
def test_values_that_do_not_fit_raise(values):
    with pytest.raises(struct.error):
        COUNT.append(bytearray(), *values)
