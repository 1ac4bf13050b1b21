"""Time from the bytes of an image message to pixels, and back; 1920×1080, one thread.

    python benchmarks/codec.py

Each row takes turns with its reference, OpenCV's own function on arrays that lie ready: 'ratio'
is how many times its time ours takes; for 16-bit images the array is of their upper bytes. Ours
begins with the serialised message (CDR) and ends with BGR, or metres. Milliseconds; memory is
reused, as it is by a node that keeps few frames.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.images import (
    COLOUR,
    decode_depth,
    decode_image,
    encode_image,
    image_to_cdr,
)
from mot_perception.messages.pictures import (
    decode_compressed_depth,
    decode_compressed_image,
    encode_compressed_depth,
    encode_compressed_image,
)
from mot_perception.messages.planar import PLANAR
from mot_perception.messages.typestore import COMPRESSED_IMAGE, IMAGE, message_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WIDTH, HEIGHT = 1920, 1080
SECONDS = 1.5
"""How long a row and its reference take turns."""
RNG = np.random.default_rng(0)
MAKE = message_classes()
HEADER = MAKE.Header(stamp=MAKE.Time(sec=1_700_000_000, nanosec=5), frame_id='camera_optical')


def scene() -> NDArray[np.uint8]:
    """Return a picture that compresses about as a real one: soft shapes under slight noise."""
    shapes = cv2.resize(RNG.integers(0, 256, (27, 48, 3), np.uint8), (WIDTH, HEIGHT))
    return cv2.add(shapes, RNG.integers(0, 6, shapes.shape, np.uint8))


def depth_of_scene() -> NDArray[np.float32]:
    """Return metres: sloping planes, noise of a stereo camera, 10 % unknown."""
    planes = cv2.resize(RNG.uniform(0.6, 9, (9, 16)).astype(np.float32), (WIDTH, HEIGHT))
    noisy = planes + RNG.normal(0, 0.001, planes.shape).astype(np.float32) * planes**2
    holes = cv2.resize(RNG.random((54, 96), np.float32), (WIDTH, HEIGHT)) < 0.25
    return np.where(holes, 0, noisy).astype(np.float32)


def take_turns(ours: Callable[[], Any], reference: Callable[[], Any] | None) -> list[list[float]]:
    """Return the milliseconds of each call of both, after one call that does not count."""
    both = [ours] if reference is None else [ours, reference]
    times: list[list[float]] = [[] for _ in both]
    for call in both:
        call()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < 15:
        for call, spent in zip(both, times, strict=True):
            start = time.perf_counter()
            call()
            spent.append((time.perf_counter() - start) * 1e3)
    return times


def add(
    table: Table, name: str, ours: Callable[[], Any], of: str, reference: Callable[[], Any] | None
) -> None:
    """Measure and add a row."""
    times = take_turns(ours, reference)
    cells = [f'{statistics.median(times[0]):.2f}', f'{min(times[0]):.2f}']
    if reference is not None:
        cells += [of, f'{statistics.median(times[1]):.2f}']
        cells.append(f'{statistics.median(times[0]) / statistics.median(times[1]):.2f}')
    table.add_row(name, *cells)


def colours(table: Table) -> None:
    """Raw images of every encoding."""
    for encoding, (kind, channels, to_bgr) in COLOUR.items():
        shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
        pixels = RNG.integers(0, np.iinfo(kind).max, shape, kind)
        raw = image_to_cdr(pixels, encoding, 0, 'camera')
        ready = pixels if kind == 'u1' else (pixels >> 8).astype(np.uint8)
        reference = None if to_bgr is None else lambda a=ready, code=to_bgr: cv2.cvtColor(a, code)
        add(
            table,
            encoding,
            lambda r=raw: decode_image(read_message(r, IMAGE)),
            'cvtColor',
            reference,
        )
    for encoding in PLANAR:
        planes = RNG.integers(
            0, 256, (HEIGHT * (6 if encoding == 'nv24' else 3) // 2, WIDTH), np.uint8
        )
        raw = planar_cdr(planes, encoding)
        code = PLANAR[encoding]
        reference = None if code is None else lambda a=planes, c=code: cv2.cvtColor(a, c)
        add(
            table,
            encoding,
            lambda r=raw: decode_image(read_message(r, IMAGE)),
            'cvtColor',
            reference,
        )


def planar_cdr(planes: NDArray[np.uint8], encoding: str) -> bytes:
    """Return a message of two planes."""
    image = encode_image(planes, 'mono8', HEADER, MAKE.Image)
    image.height, image.encoding = HEIGHT, encoding
    return write_message(image, IMAGE)


def depths(table: Table) -> None:
    """Raw and compressed depth."""
    metres = depth_of_scene()
    for encoding in ('16UC1', '32FC1'):
        raw = image_to_cdr(metres, encoding, 0, 'camera')
        add(table, encoding, lambda r=raw: decode_depth(read_message(r, IMAGE)), '', None)
    millimetres = (metres * 1000).astype(np.uint16)
    png = cv2.imencode('.png', millimetres)[1]
    for text in (
        '16UC1; compressedDepth png',
        '32FC1; compressedDepth png',
        '16UC1; compressedDepth rvl',
        '32FC1; compressedDepth rvl',
    ):
        message = encode_compressed_depth(metres, text, HEADER, MAKE.CompressedImage)
        raw = write_message(message, COMPRESSED_IMAGE)
        add(
            table,
            f'{text}, {len(raw) / 1e6:.1f} MB',
            lambda r=raw: decode_compressed_depth(read_message(r, COMPRESSED_IMAGE), 'depth'),
            'imdecode of the PNG in mm',
            lambda: cv2.imdecode(png, cv2.IMREAD_UNCHANGED),
        )


def pictures(table: Table) -> None:
    """Compressed pictures."""
    picture = scene()
    for suffix, text in (
        ('.jpg', 'bgr8; jpeg compressed bgr8'),
        ('.png', 'bgr8; png compressed bgr8'),
    ):
        data = cv2.imencode(suffix, picture)[1]
        message = encode_compressed_image(picture, HEADER, MAKE.CompressedImage)
        message.data, message.format = data, text
        raw = write_message(message, COMPRESSED_IMAGE)
        add(
            table,
            f'{text}, {len(raw) / 1e6:.1f} MB',
            lambda r=raw: decode_compressed_image(read_message(r, COMPRESSED_IMAGE), 'image'),
            'imdecode',
            lambda d=data: cv2.imdecode(d, cv2.IMREAD_COLOR),
        )


def writing(table: Table) -> None:
    """From pixels to the bytes of a message."""
    picture, metres = scene(), depth_of_scene()
    add(table, 'bgr8', lambda: image_to_cdr(picture, 'bgr8', 0, 'camera'), 'copy', picture.copy)
    add(
        table,
        'bgr8 by rosbags',
        lambda: write_message(encode_image(picture, 'bgr8', HEADER, MAKE.Image), IMAGE),
        'copy',
        picture.copy,
    )
    add(table, '32FC1', lambda: image_to_cdr(metres, '32FC1', 0, 'camera'), 'copy', metres.copy)
    add(
        table,
        '16UC1 of metres',
        lambda: image_to_cdr(metres, '16UC1', 0, 'camera'),
        'copy',
        metres.copy,
    )
    add(
        table,
        'bgr8; jpeg',
        lambda: write_message(
            encode_compressed_image(picture, HEADER, MAKE.CompressedImage), COMPRESSED_IMAGE
        ),
        'imencode',
        lambda: cv2.imencode('.jpg', picture),
    )


def main() -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    for title, fill in (
        ('raw images to BGR', colours),
        ('depth to metres', depths),
        ('compressed images to BGR', pictures),
        ('pixels to messages', writing),
    ):
        table = Table(
            'message', 'median ms', 'best', 'reference', 'median ms', 'ratio', title=title
        )
        fill(table)
        Console(width=110).print(table)


if __name__ == '__main__':
    main()
