"""RVL, the lossless compression of depth images that image_transport's compressedDepth offers.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017. In turns: how many pixels are
zero, how many are not, and of each of those the difference to the one before, its sign in the
lowest bit. Every number is cut into groups of three bits, lowest first; with a fourth bit that
says 'more to come' a group makes a nibble, and eight nibbles fill a 32-bit word from the top.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mot_perception.errors import UserError
from mot_perception.messages.image_size import check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = struct.Struct('<II')
"""image_transport writes width and height before the words."""


def decode_rvl(data: NDArray[np.uint8], where: str) -> NDArray[np.uint16]:
    """Return the depth image H×W of width, height and RVL words.

    Args:
        data: Any bytes; nothing is read beyond them, nor written beyond the image.
        where: Names them in errors.

    Raises:
        UserError: They end early, hold more pixels than they say, or are absurdly large.
    """
    if len(data) < SIZE.size:
        raise UserError(f'{where}: rvl image is cut off in its header; record it again')
    width, height = SIZE.unpack(data[: SIZE.size].tobytes())
    check_size(width, height, 3, where)
    whole = len(data) // 4 * 4
    words = np.frombuffer(data[SIZE.size : whole].tobytes(), np.dtype('<u4'))
    pixels = np.empty(width * height, np.uint16)
    if not _unpack(words, pixels):
        raise UserError(f'{where}: rvl image of {width}×{height} is damaged; record it again')
    return pixels.reshape(height, width)


def encode_rvl(pixels: NDArray[np.uint16]) -> bytes:
    """Return width, height and RVL words of a depth image H×W."""
    height, width = pixels.shape
    # A value takes 6 nibbles at most, a run less than its pixels could; 3 words for the ends.
    words = np.zeros(pixels.size * 6 // 8 + 3, np.dtype('<u4'))
    count = _pack(np.ascontiguousarray(pixels).ravel(), words)
    return SIZE.pack(width, height) + words[:count].tobytes()


@njit(cache=True)
def _unpack(words: NDArray[np.uint32], pixels: NDArray[np.uint16]) -> bool:
    """Fill the pixels; False if the words make fewer or more."""
    zero = np.int64(0)
    done, value, number, shift = zero, zero, zero, 0
    others = zero  # pixels other than zero that are still to come
    zeros_next = True
    for word in words:
        for place in range(28, -1, -4):
            nibble = np.int64(word >> place) & 15
            number |= (nibble & 7) << shift
            shift += 3
            if nibble & 8:
                if shift > 30:  # more than 32 bits
                    return False
                continue
            if others:
                value = (value + ((number >> 1) ^ -(number & 1))) & 0xFFFF
                pixels[done] = value
                done += 1
                others -= 1
            elif number > len(pixels) - done:
                return False
            elif zeros_next:
                pixels[done : done + number] = 0
                done += number
                zeros_next = False
            else:
                others = number
                zeros_next = True
            number, shift = zero, 0
            if done == len(pixels):
                return True
    return False


@njit(cache=True)
def _write(value: np.int64, words: NDArray[np.uint32], at: int) -> int:
    """Write a number at a nibble; return the nibble after it."""
    while True:
        nibble = value & 7
        value >>= 3
        if value:
            nibble |= 8
        words[at >> 3] |= np.uint32(nibble << (28 - 4 * (at & 7)))
        at += 1
        if not value:
            return at


@njit(cache=True)
def _pack(pixels: NDArray[np.uint16], words: NDArray[np.uint32]) -> int:
    """Fill the words; return how many there are."""
    at, done, before = 0, 0, np.int64(0)
    while done < len(pixels):
        start = done
        while done < len(pixels) and pixels[done] == 0:
            done += 1
        at = _write(np.int64(done - start), words, at)
        end = done
        while end < len(pixels) and pixels[end] != 0:
            end += 1
        at = _write(np.int64(end - done), words, at)
        for index in range(done, end):
            delta = np.int64(pixels[index]) - before
            at = _write((delta << 1) ^ (delta >> 63), words, at)  # its sign in the lowest bit
            before = np.int64(pixels[index])
        done = end
    return (at + 7) // 8
