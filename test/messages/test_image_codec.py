from __future__ import annotations

import array
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.messages import image_size
from mot_perception.messages.images import COLOUR, decode_depth, decode_image, encode_image
from mot_perception.messages.pictures import (
    decode_compressed_depth,
    decode_compressed_image,
    decode_picture,
    encode_compressed_image,
)
from mot_perception.messages.typestore import message_classes

RNG = np.random.default_rng(5)
HEIGHT, WIDTH = 6, 8


def message(pixels, encoding, *, padding=0, big=False, cut=0, **fields):
    """An Image message whose rows have `padding` more bytes than they need."""
    height, width = pixels.shape[:2]
    if big:
        pixels = pixels.astype(pixels.dtype.newbyteorder('>'))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(height, -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99).ravel()
    values = {
        'height': height,
        'width': width,
        'encoding': encoding,
        'is_bigendian': int(big),
        'step': rows.shape[1] + padding,
        'data': padded[: len(padded) - cut],
    }
    return SimpleNamespace(**(values | fields))


def noise(channels, dtype=np.uint8):
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


BGR, FOUR, GREY, TWO = noise(3), noise(4), noise(1), noise(2)
BGR16, GREY16 = noise(3, np.uint16), noise(1, np.uint16)


def upper(pixels):
    return (pixels >> 8).astype(np.uint8)


# What OpenCV itself makes of the same bytes; OpenCV's Bayer names give the second row's pattern.
EXPECTED = {
    'bgr8': (BGR, BGR),
    '8UC3': (BGR, BGR),
    'rgb8': (BGR, BGR[..., ::-1]),
    'bgra8': (FOUR, FOUR[..., :3]),
    '8UC4': (FOUR, FOUR[..., :3]),
    'rgba8': (FOUR, FOUR[..., 2::-1]),
    'mono8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)),
    '8UC1': (GREY, np.repeat(GREY[..., None], 3, 2)),
    'bgr16': (BGR16, upper(BGR16)),
    'rgb16': (BGR16, upper(BGR16)[..., ::-1]),
    'mono16': (GREY16, np.repeat(upper(GREY16)[..., None], 3, 2)),
    'yuv422': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_Y422)),
    'uyvy': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_UYVY)),
    'yuv422_yuy2': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_YUYV)),
    'yuyv': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_YUNV)),
    'bayer_rggb8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerBG2BGR)),
    'bayer_bggr8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerRG2BGR)),
    'bayer_gbrg8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerGR2BGR)),
    'bayer_grbg8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerGB2BGR)),
}


def test_every_encoding_is_tested():
    assert EXPECTED.keys() == COLOUR.keys()


@pytest.mark.parametrize('padding', [0, 1, 5])
@pytest.mark.parametrize('encoding', COLOUR)
def test_colour(encoding, padding):
    pixels, expected = EXPECTED[encoding]
    big = pixels.dtype == np.uint16
    image = decode_image(message(pixels, encoding, padding=padding, big=big))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def test_yuv_orders_by_hand():
    """Two pixels: Y 235 (white), Y 16 (black), no colour."""
    uyvy = np.array([[[128, 235], [128, 16]]], np.uint8)
    for encoding, pixels in (('yuv422', uyvy), ('yuv422_yuy2', uyvy[..., ::-1])):
        image = decode_image(message(pixels, encoding))
        np.testing.assert_allclose(image[0], [[255] * 3, [0] * 3], atol=2)


def test_bayer_by_hand():
    """A red scene: only the red cells of the mosaic are lit."""
    for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'):
        cell = np.array([255 if c == 'r' else 0 for c in pattern], np.uint8).reshape(2, 2)
        image = decode_image(message(np.tile(cell, (4, 4)), f'bayer_{pattern}8'))
        np.testing.assert_array_equal(image[2:-2, 2:-2], np.broadcast_to([0, 0, 255], (4, 4, 3)))


def test_bgr8_is_not_copied():
    given_ = message(BGR, 'bgr8', padding=4)
    assert np.shares_memory(decode_image(given_), given_.data)


def test_data_of_rclpy():
    given_ = message(BGR, 'bgr8')
    given_.data = array.array('B', given_.data.tobytes())
    np.testing.assert_array_equal(decode_image(given_), BGR)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 3])
def test_depth(big, padding):
    millimetres = GREY16
    for encoding in '16UC1', 'mono16':
        depth = decode_depth(message(millimetres, encoding, big=big, padding=padding))
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, millimetres / 1000, rtol=1e-6)
    metres = RNG.random((HEIGHT, WIDTH), np.float32)
    metres[0, 0] = np.nan
    depth = decode_depth(message(metres, '32FC1', big=big, padding=padding))
    assert depth.dtype.isnative
    np.testing.assert_array_equal(depth, metres)


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'encoding': 'jpeg'}, "unknown encoding 'jpeg'; convert to one of bgr8"),
        ({'encoding': 'x' * 999}, 'unknown encoding'),
        ({'encoding': '32FC1'}, "unknown encoding '32FC1'"),  # depth is no picture
        ({'cut': 1}, 'do not hold'),
        ({'step': 3}, 'do not hold'),
        ({'height': 7}, 'do not hold'),
        ({'width': 9}, 'do not hold'),
        ({'width': 0}, '0×6'),
        ({'height': 0}, '8×0'),
        ({'width': 2**31, 'height': 2**31}, 'absurdly large'),
        ({'data': np.empty(0, np.uint8)}, '0 bytes'),
    ],
)
def test_bad_images(fields, says):
    cut = fields.pop('cut', 0)
    with pytest.raises(UserError, match='topic: ') as error:
        decode_image(message(BGR, **({'encoding': 'bgr8', 'cut': cut} | fields)), 'topic')
    assert says in str(error.value)


def test_other_bad_images():
    with pytest.raises(UserError, match='odd width'):
        decode_image(message(np.zeros((2, 3, 2), np.uint8), 'yuv422'))
    with pytest.raises(UserError, match='convert to one of 16UC1, mono16, 32FC1'):
        decode_depth(message(BGR, 'bgr8'))


def test_forgiven():
    """A last row without padding, and rows whose step is not given."""
    np.testing.assert_array_equal(decode_image(message(BGR, 'bgr8', padding=5, cut=5)), BGR)
    np.testing.assert_array_equal(decode_image(message(BGR, 'bgr8', step=0)), BGR)


@pytest.mark.parametrize(
    ('encoding', 'pixels'),
    [('bgr8', BGR), ('mono8', GREY), ('16UC1', GREY16), ('rgba8', FOUR)],
)
def test_encoding_comes_back(encoding, pixels):
    image = encode_image(pixels, encoding, None, message_classes().Image)
    back = decode_depth(image) * 1000 if encoding == '16UC1' else decode_image(image)
    expected = {'mono8': EXPECTED['mono8'][1], 'rgba8': EXPECTED['rgba8'][1]}.get(encoding, pixels)
    np.testing.assert_allclose(back, expected, rtol=1e-6)
    assert image.step == pixels.strides[0]


def test_metres_become_whole_millimetres():
    metres = np.array([[0, 1.2344, 1.2346, 65.535, 65.6, -1, np.nan, np.inf]], np.float32)
    image = encode_image(metres, '16UC1', None, message_classes().Image)
    assert np.frombuffer(image.data, '<u2').tolist() == [0, 1234, 1235, 65535, 0, 0, 0, 0]


def test_encoding_for_rclpy():
    image = encode_image(BGR, 'bgr8', None, SimpleNamespace)
    assert isinstance(image.data, array.array)
    np.testing.assert_array_equal(decode_image(image), BGR)
    with pytest.raises(ValueError, match='bgr8 needs'):
        encode_image(GREY, 'bgr8', None, SimpleNamespace)


# ---------------------------------------------------------------- compressed pictures


def compressed(picture, text):
    return SimpleNamespace(data=np.frombuffer(picture, np.uint8), format=text)


def encoded(suffix, pixels):
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.png', '.bmp'])
def test_lossless_pictures(suffix):
    np.testing.assert_array_equal(decode_picture(encoded(suffix, BGR), 'x'), BGR)


def test_jpeg_as_opencv_decodes_it():
    smooth = cv2.resize(BGR, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = encoded('.jpg', smooth)
    np.testing.assert_array_equal(
        decode_picture(data, 'x'), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )
    image = encode_compressed_image(smooth, None, message_classes().CompressedImage)
    assert np.abs(decode_compressed_image(image, 'x').astype(int) - smooth).mean() < 8


def test_compressed_colour_order():
    picture = encoded('.png', BGR)
    for text in ('png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8'):
        np.testing.assert_array_equal(decode_compressed_image(compressed(picture, text), 'x'), BGR)
    swapped = decode_compressed_image(compressed(picture, 'rgb8; png compressed rgb8'), 'x')
    np.testing.assert_array_equal(swapped, BGR[..., ::-1])


def test_compressed_depth():
    header = struct.pack('<iff', 0, 0.0, 0.0)
    picture = encoded('.png', GREY16)
    for text in ('16UC1; compressedDepth', '16UC1; compressedDepth png'):
        depth = decode_compressed_depth(compressed(header + picture, text), 'x')
        np.testing.assert_allclose(depth, GREY16 / 1000, rtol=1e-6)
    depth = decode_compressed_depth(compressed(picture, '16UC1; png compressed'), 'x')
    np.testing.assert_allclose(depth, GREY16 / 1000, rtol=1e-6)


def test_compressed_float_depth():
    """Stored as the transport does it: a/depth + b, 0 where unknown."""
    metres = np.array([[0.5, 1, 2, 4, 0]], np.float32)
    a, b = 100.0 * 101, 1 - 101.0 / 1
    with np.errstate(divide='ignore'):
        stored = np.where(metres > 0, a / metres + b, 0).astype(np.uint16)
    data = struct.pack('<iff', 1, a, b) + encoded('.png', stored)
    depth = decode_compressed_depth(compressed(data, '32FC1; compressedDepth png'), 'x')
    np.testing.assert_allclose(depth[0, :4], metres[0, :4], rtol=1e-3)
    assert np.isnan(depth[0, 4])


@pytest.mark.parametrize(
    ('data', 'text', 'says'),
    [
        (b'', '16UC1; compressedDepth png', 'cut off'),
        (bytes(40), '16UC1; compressedDepth rvl', 'rvl'),
        (bytes(40), '16UC1; compressedDepth png', 'neither JPEG'),
        (bytes(12) + encoded('.png', BGR), '16UC1; compressedDepth png', '16-bit'),
        (bytes(12) + encoded('.png', GREY), '16UC1; compressedDepth png', '16-bit'),
    ],
)
def test_bad_compressed_depth(data, text, says):
    with pytest.raises(UserError, match=says):
        decode_compressed_depth(compressed(data, text), 'x')


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
def test_size_is_read_before_pixels(suffix, monkeypatch):
    data = encoded(suffix, np.zeros((37, 50, 3), np.uint8))
    assert image_size.picture_size(data, 'x') == (50, 37)
    monkeypatch.setattr(image_size, 'MAX_VALUES', 50 * 37 * 3 - 1)
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(UserError, match='x: image of 50×37 pixels is absurdly large'):
        decode_picture(data, 'x')


@pytest.mark.parametrize('data', [b'', b'\xff\xd8', b'\xff\xd8\xff', b'BM', b'\x89PNG\r\n\x1a\n'])
def test_cut_off_headers(data):
    with pytest.raises(UserError, match='x: '):
        decode_picture(data, 'x')


VALID = [encoded(suffix, BGR) for suffix in ('.jpg', '.png', '.bmp')]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_mutated_pictures_are_decoded_or_refused(data):
    good = bytearray(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    try:
        image = decode_picture(bytes(good[:cut]), 'x')
    except UserError as error:
        assert '\n' not in str(error)
        return
    assert image.ndim == 3


@settings(deadline=None, max_examples=200)
@given(
    encoding=st.sampled_from([*COLOUR, '16UC1', 'nv12', '']),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    data=st.binary(max_size=200),
    big=st.booleans(),
)
def test_any_image_message_is_decoded_or_refused(encoding, width, height, step, data, big):
    fields = SimpleNamespace(
        width=width, height=height, step=step, data=data, encoding=encoding, is_bigendian=big
    )
    try:
        assert decode_image(fields, 'x').shape == (height, width, 3)
    except UserError as error:
        assert str(error).startswith('x: ')
