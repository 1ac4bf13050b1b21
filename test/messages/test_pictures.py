from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.messages import image_size
from mot_perception.messages.pictures import (
    decode_compressed_depth,
    decode_compressed_image,
    decode_depth_picture,
    decode_picture,
    encode_compressed_depth,
    encode_compressed_image,
)
from mot_perception.messages.rvl import encode_rvl
from mot_perception.messages.typestore import message_classes

RNG = np.random.default_rng(5)
BGR = RNG.integers(0, 256, (6, 8, 3), np.uint8)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
GREY16 = RNG.integers(0, 65536, (6, 8)).astype(np.uint16)


def compressed(picture, text):
    return SimpleNamespace(data=np.frombuffer(picture, np.uint8), format=text)


def encoded(suffix, pixels):
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.png', '.bmp'])
def test_lossless_pictures(suffix):
    np.testing.assert_array_equal(decode_picture(encoded(suffix, BGR), 'x'), BGR)
    grey = decode_picture(encoded(suffix, GREY), 'x')
    np.testing.assert_array_equal(grey, np.repeat(GREY[..., None], 3, 2))


def test_jpeg_as_opencv_decodes_it():
    smooth = cv2.resize(BGR, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = encoded('.jpg', smooth)
    np.testing.assert_array_equal(
        decode_picture(data, 'x'), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )
    image = encode_compressed_image(smooth, None, message_classes().CompressedImage)
    assert np.abs(decode_compressed_image(image, 'x').astype(int) - smooth).mean() < 8


def test_pictures_are_not_turned():
    """A phone's note 'turn by 90°' (EXIF) is no part of the pixels that a camera matrix is of."""
    tag = struct.pack('<HHIHxx', 0x0112, 3, 1, 6)
    exif = b'Exif\0\0II*\0' + struct.pack('<IH', 8, 1) + tag + bytes(4)
    jpeg = encoded('.jpg', np.zeros((10, 20, 3), np.uint8))
    turned = jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), 1).shape == (20, 10, 3)  # the note works
    assert decode_picture(turned, 'x').shape == (10, 20, 3)


@pytest.mark.parametrize(
    'text',
    [
        'png',
        '',
        'bgr8; png compressed bgr8',
        'rgb8; png compressed bgr8',
        'rgba8; png compressed bgr8',
        'yuv422_yuy2; png compressed bgr8',
    ],
)
def test_compressed_colours(text):
    given_ = compressed(encoded('.png', BGR), text)
    np.testing.assert_array_equal(decode_compressed_image(given_, 'x'), BGR)


@pytest.mark.parametrize('text', ['rgb8; png compressed rgb8', 'bgr8; jpeg compressed rgb8'])
def test_compressed_with_red_first(text):
    image = decode_compressed_image(compressed(encoded('.png', BGR), text), 'x')
    np.testing.assert_array_equal(image, BGR[..., ::-1])


def test_compressed_grey():
    for text in ('mono8; png compressed ', 'mono8; png compressed mono8', 'png'):
        image = decode_compressed_image(compressed(encoded('.png', GREY), text), 'x')
        np.testing.assert_array_equal(image, np.repeat(GREY[..., None], 3, 2))
    jpeg = compressed(encoded('.jpg', GREY), 'mono8; jpeg compressed ')
    assert decode_compressed_image(jpeg, 'x').shape == (6, 8, 3)
    deep = compressed(encoded('.png', GREY16), 'mono16; png compressed ')
    upper = (GREY16 >> 8).astype(np.uint8)
    np.testing.assert_array_equal(
        decode_compressed_image(deep, 'x'), np.repeat(upper[..., None], 3, 2)
    )


def test_compressed_mosaic():
    """The transport stores a Bayer image as it is, unless it says that it made it grey."""
    picture = encoded('.png', GREY)
    image = decode_compressed_image(compressed(picture, 'bayer_rggb8; png compressed '), 'x')
    np.testing.assert_array_equal(image, cv2.cvtColor(GREY, cv2.COLOR_BayerBG2BGR))
    grey = decode_compressed_image(compressed(picture, 'bayer_rggb8; png compressed mono8'), 'x')
    np.testing.assert_array_equal(grey, np.repeat(GREY[..., None], 3, 2))
    made = compressed(encoded('.png', BGR), 'bayer_rggb8; png compressed ')
    np.testing.assert_array_equal(decode_compressed_image(made, 'x'), BGR)


def test_tiff_is_refused_by_name():
    data = b'II*\0' + bytes(60)
    with pytest.raises(UserError, match='x: TIFF, neither JPEG, PNG nor BMP; convert it'):
        decode_compressed_image(compressed(data, '32FC1; tiff compressed '), 'x')


# ---------------------------------------------------------------- depth


@pytest.mark.parametrize(
    'text', ['16UC1; compressedDepth', '16UC1; compressedDepth png', 'mono16; compressedDepth', '']
)
def test_compressed_depth(text):
    data = struct.pack('<iff', 0, 0.0, 0.0) + encoded('.png', GREY16)
    depth = decode_compressed_depth(compressed(data, text), 'x')
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, GREY16 / 1000, rtol=1e-6)


def test_rvl_depth():
    data = bytes(12) + encode_rvl(GREY16)
    depth = decode_compressed_depth(compressed(data, '16UC1; compressedDepth rvl'), 'x')
    np.testing.assert_allclose(depth, GREY16 / 1000, rtol=1e-6)


@pytest.mark.parametrize('text', ['16UC1; png compressed ', 'mono16; png compressed ', 'png'])
def test_depth_through_the_transport_of_colours(text):
    depth = decode_compressed_depth(compressed(encoded('.png', GREY16), text), 'x')
    np.testing.assert_allclose(depth, GREY16 / 1000, rtol=1e-6)


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_compressed_float_depth(codec):
    """Stored as the transport does it: a/depth + b, 0 where unknown."""
    metres = np.array([[0.5, 1, 2, 4, 0]], np.float32)
    a, b = 100.0 * 101, 1 - 100.0 * 101 / 10
    with np.errstate(divide='ignore'):
        stored = np.where(metres > 0, a / metres + b, 0).astype(np.uint16)
    picture = encoded('.png', stored) if codec == 'png' else encode_rvl(stored)
    data = struct.pack('<iff', 0, a, b) + picture
    depth = decode_compressed_depth(compressed(data, f'32FC1; compressedDepth {codec}'), 'x')
    np.testing.assert_allclose(depth[0, :4], metres[0, :4], rtol=1e-3)
    assert np.isnan(depth[0, 4])


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_depth_comes_back(codec):
    metres = np.array([[0.2, 0.7, 9.99, 0], [np.nan, -1, np.inf, 0.01]], np.float32)
    make = message_classes().CompressedImage
    text = f'16UC1; compressedDepth {codec}'
    depth = decode_compressed_depth(encode_compressed_depth(metres, text, None, make), 'x')
    np.testing.assert_allclose(depth, [[0.2, 0.7, 9.99, 0], [0, 0, 0, 0.01]], rtol=1e-6)
    text = f'32FC1; compressedDepth {codec}'
    depth = decode_compressed_depth(encode_compressed_depth(metres, text, None, make), 'x')
    nan = np.nan
    np.testing.assert_allclose(depth, [[0.2, 0.7, 9.99, nan], [nan] * 4], rtol=1e-2)


@pytest.mark.parametrize('a', [0.0, -1.0, np.nan, np.inf, 1e38])
@pytest.mark.parametrize('b', [5.0, -1e38, np.nan, np.inf, 65535.0])
def test_absurd_quantisation_gives_depth_or_nothing(a, b):
    data = struct.pack('<iff', 0, a, b) + encoded('.png', GREY16)
    depth = decode_compressed_depth(compressed(data, '32FC1; compressedDepth png'), 'x')
    assert (np.isnan(depth) | ((depth > 0) & np.isfinite(depth))).all()


@pytest.mark.parametrize(
    ('data', 'text', 'says'),
    [
        (b'', '16UC1; compressedDepth png', 'cut off'),
        (bytes(12), '16UC1; compressedDepth png', 'cut off'),
        (bytes(40), '16UC1; compressedDepth rvl', '0×0'),
        (bytes(15), '16UC1; compressedDepth rvl', 'cut off'),
        (bytes(40), '16UC1; compressedDepth png', '16-bit grey PNG'),
        (bytes(40), '16UC1; compressedDepth zstd', '16-bit grey PNG'),
        (bytes(12) + encoded('.png', BGR), '16UC1; compressedDepth png', '16-bit'),
        (bytes(12) + encoded('.png', GREY), '16UC1; compressedDepth png', '16-bit'),
        (encoded('.jpg', GREY), 'mono8; jpeg compressed ', '16-bit'),
    ],
)
def test_bad_compressed_depth(data, text, says):
    with pytest.raises(UserError, match='x: ') as error:
        decode_compressed_depth(compressed(data, text), 'x')
    assert says in str(error.value)


# ---------------------------------------------------------------- sizes and damage


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
def test_size_is_read_before_pixels(suffix, monkeypatch):
    data = encoded(suffix, np.zeros((37, 50, 3), np.uint8))
    assert image_size.picture_size(data, 'x') == (50, 37)
    monkeypatch.setattr(image_size, 'MAX_VALUES', 50 * 37 * 3 - 1)
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(UserError, match='x: image of 50×37 pixels is absurdly large'):
        decode_picture(data, 'x')


@pytest.mark.parametrize('length', [2**32 - 1, 2**31 - 1, 1 << 20])
def test_parts_longer_than_a_png_are_never_decoded(length, monkeypatch):
    """OpenCV would allocate as much before it reads."""
    data = bytearray(encoded('.png', BGR))
    struct.pack_into('>I', data, data.index(b'IDAT') - 4, length)
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(UserError, match='x: picture is damaged or cut off'):
        decode_picture(bytes(data), 'x')


@pytest.mark.parametrize('between', [b'stray', b'\xff', b'\xff\x00', b'\xff\xff\x00\xff'])
def test_size_of_a_jpeg_is_that_of_the_frame_that_is_decoded(between):
    """libjpeg skips what stands between segments; a false frame in it is no frame."""
    jpeg = encoded('.jpg', np.zeros((9, 7, 3), np.uint8))
    odd = jpeg[:20] + between + jpeg[20:]  # after the first segment
    assert image_size.picture_size(odd, 'x') == (7, 9)
    assert decode_picture(odd, 'x').shape == (9, 7, 3)


def test_no_one_looks_long_for_a_frame():
    steps = []

    class Counted(np.ndarray):
        def __getitem__(self, at):
            steps.append(at)
            return super().__getitem__(at)

    zeros = np.zeros(10 << 20, np.uint8)
    zeros[:2] = 0xFF, 0xD8
    with pytest.raises(IndexError):
        image_size._jpeg_size(zeros.view(Counted))
    assert len(steps) <= 2 * image_size.STEPS


@pytest.mark.parametrize('data', [b'', b'\xff\xd8', b'\xff\xd8\xff', b'BM', b'\x89PNG\r\n\x1a\n'])
def test_cut_off_headers(data):
    with pytest.raises(UserError, match='x: '):
        decode_picture(data, 'x')


VALID = [encoded(suffix, BGR) for suffix in ('.jpg', '.png', '.bmp')]
VALID_DEPTH = [
    bytes(
        encode_compressed_depth(
            BGR[..., 0] / np.float32(9), text, None, message_classes().CompressedImage
        ).data
    )
    for text in ('16UC1; compressedDepth png', '16UC1; compressedDepth rvl')
]


def mutated(data, sources):
    """Return one of the sources with some bytes changed, and maybe its end cut off."""
    good = bytearray(data.draw(st.sampled_from(sources)))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    return bytes(good[: data.draw(st.integers(0, len(good)))])


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_mutated_pictures_are_decoded_or_refused(data):
    picture = mutated(data, VALID)
    try:
        image = decode_picture(picture, 'x')
    except UserError as error:
        assert '\n' not in str(error)
        return
    # What was judged before decoding is what came of it.
    assert image.shape == (*reversed(image_size.picture_size(picture, 'x')), 3)


@settings(deadline=None, max_examples=200)
@given(
    data=st.data(),
    decode=st.sampled_from([decode_compressed_depth, decode_compressed_image]),
    text=st.sampled_from(
        ['16UC1; compressedDepth png', '32FC1; compressedDepth rvl', '32FC1; compressedDepth', '']
    ),
)
def test_mutated_depth_is_decoded_or_refused(data, decode, text):
    try:
        assert decode(compressed(mutated(data, VALID_DEPTH), text), 'x').ndim >= 2
    except UserError as error:
        assert str(error).startswith('x: ')
        assert '\n' not in str(error)


def test_depth_picture_of_a_file():
    np.testing.assert_allclose(
        decode_depth_picture(encoded('.png', GREY16), 'x'), GREY16 / 1000, rtol=1e-6
    )
