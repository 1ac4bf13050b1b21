from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mot_perception.errors import UserError
from mot_perception.messages.rvl import decode_rvl, encode_rvl

RNG = np.random.default_rng(8)


def nibbles_of(number):
    """The paper's variable length code of one number, as a list of nibbles."""
    groups = [int(bits, 8) for bits in reversed(f'{number:o}')]
    return [8 | group for group in groups[:-1]] + groups[-1:]


def by_the_paper(pixels):
    """RVL of a list of pixels, nibble by nibble."""
    text, before = [], 0
    at = 0
    while at < len(pixels):
        zeros = next((k for k, p in enumerate(pixels[at:]) if p), len(pixels) - at)
        at += zeros
        run = next((k for k, p in enumerate(pixels[at:]) if not p), len(pixels) - at)
        text += nibbles_of(zeros) + nibbles_of(run)
        for pixel in pixels[at : at + run]:
            delta = pixel - before
            text += nibbles_of(2 * delta if delta >= 0 else -2 * delta - 1)
            before = pixel
        at += run
    text += [0] * (-len(text) % 8)
    words = [int(''.join(f'{n:x}' for n in text[k : k + 8]), 16) for k in range(0, len(text), 8)]
    return struct.pack(f'<{len(words)}I', *words)


def rvl(width, height, words):
    return np.frombuffer(struct.pack('<II', width, height) + words, np.uint8)


def test_by_hand():
    """Two zeros, three others: 5, one more, two less: nibbles 2, 3, A 1, 2, 3."""
    pixels = np.array([[0, 0, 5, 6, 4]], np.uint16)
    data = encode_rvl(pixels)
    assert data == struct.pack('<III', 5, 1, 0x23A12300)
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(data, np.uint8), 'x'), pixels)


@settings(deadline=None, max_examples=100)
@given(
    arrays.arrays(
        np.uint16,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 0, 0, 1, 2, 700, 710, 65535]),
    )
)
def test_as_the_paper_says_and_back(pixels):
    data = encode_rvl(pixels)
    assert data[8:] == by_the_paper(pixels.ravel().tolist())
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(data, np.uint8), 'x'), pixels)


@pytest.mark.parametrize(
    'row', [[0] * 4, [65535] * 4, [1, 65535], [65535, 1], [0, 65535], [65535, 0], [0, 0, 1]]
)
def test_extremes(row):
    """Long runs, and the largest differences: six nibbles for each pixel."""
    pixels = np.tile(np.array(row, np.uint16), (50, 40))
    data = encode_rvl(pixels)
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(data, np.uint8), 'x'), pixels)
    assert len(data) <= 8 + 3 * pixels.size + 12


def test_encodes_a_part_of_an_image():
    whole = RNG.integers(0, 999, (20, 30)).astype(np.uint16)
    part = np.frombuffer(encode_rvl(whole[3:9, ::2]), np.uint8)
    np.testing.assert_array_equal(decode_rvl(part, 'x'), whole[3:9, ::2])


def test_every_cut_is_noticed():
    pixels = RNG.integers(1, 999, (6, 7)).astype(np.uint16)
    data = np.frombuffer(encode_rvl(pixels), np.uint8)
    for end in range(len(data)):
        with pytest.raises(UserError, match='x: rvl image'):
            decode_rvl(data[:end], 'x')


def test_what_follows_is_ignored():
    pixels = np.full((2, 2), 9, np.uint16)
    data = np.frombuffer(encode_rvl(pixels) + b'rest!', np.uint8)
    np.testing.assert_array_equal(decode_rvl(data, 'x'), pixels)


@pytest.mark.parametrize(
    ('data', 'says'),
    [
        (rvl(4, 1, struct.pack('<I', 0x50000000)), 'damaged'),  # five zeros for four pixels
        (rvl(4, 1, struct.pack('<I', 0x05222220)), 'damaged'),  # five others
        (rvl(4, 1, b'\xff' * 64), 'damaged'),  # a number without end
        (rvl(4, 1, bytes(64)), 'damaged'),  # nothing but empty runs
        (rvl(4, 1, b''), 'damaged'),
        (rvl(4, 0, bytes(4)), '4×0'),
        (rvl(2**32 - 1, 2**32 - 1, bytes(4)), 'absurdly large'),
        (rvl(2**31, 2, bytes(4)), 'absurdly large'),
        (np.zeros(7, np.uint8), 'cut off'),
    ],
)
def test_malformed(data, says):
    with pytest.raises(UserError, match='topic: ') as error:
        decode_rvl(data, 'topic')
    assert says in str(error.value)


@settings(deadline=None, max_examples=300)
@given(width=st.integers(0, 40), height=st.integers(0, 40), words=st.binary(max_size=120))
def test_any_bytes_are_decoded_or_refused(width, height, words):
    try:
        pixels = decode_rvl(rvl(width, height, words), 'x')
    except UserError as error:
        assert str(error).startswith('x: ')
        return
    assert pixels.shape == (height, width)
    again = np.frombuffer(encode_rvl(pixels), np.uint8)
    np.testing.assert_array_equal(decode_rvl(again, 'x'), pixels)
