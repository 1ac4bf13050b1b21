from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.messages.images import (
    COLOUR,
    decode_depth,
    decode_image,
    encode_image,
    image_to_cdr,
)
from mot_perception.messages.planar import PLANAR
from mot_perception.messages.typestore import IMAGE, message_classes, typestore

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
BGR16, FOUR16, GREY16 = (noise(channels, np.uint16) for channels in (3, 4, 1))


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
    'bgra16': (FOUR16, upper(FOUR16)[..., :3]),
    'rgba16': (FOUR16, upper(FOUR16)[..., 2::-1]),
    'mono16': (GREY16, np.repeat(upper(GREY16)[..., None], 3, 2)),
    'yuv422': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_Y422)),
    'uyvy': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_UYVY)),
    'yuv422_yuy2': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_YUYV)),
    'yuyv': (TWO, cv2.cvtColor(TWO, cv2.COLOR_YUV2BGR_YUNV)),
    'bayer_rggb8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerBG2BGR)),
    'bayer_bggr8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerRG2BGR)),
    'bayer_gbrg8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerGR2BGR)),
    'bayer_grbg8': (GREY, cv2.cvtColor(GREY, cv2.COLOR_BayerGB2BGR)),
    'bayer_rggb16': (GREY16, cv2.cvtColor(upper(GREY16), cv2.COLOR_BayerBG2BGR)),
    'bayer_bggr16': (GREY16, cv2.cvtColor(upper(GREY16), cv2.COLOR_BayerRG2BGR)),
    'bayer_gbrg16': (GREY16, cv2.cvtColor(upper(GREY16), cv2.COLOR_BayerGR2BGR)),
    'bayer_grbg16': (GREY16, cv2.cvtColor(upper(GREY16), cv2.COLOR_BayerGB2BGR)),
}


def test_every_encoding_is_tested():
    assert EXPECTED.keys() == COLOUR.keys()


def test_every_colour_of_ros():
    """All that isColor, isMono and isBayer of sensor_msgs/image_encodings.hpp know."""
    colours = [
        f'{name}{bits}' for name in ('rgb', 'rgba', 'bgr', 'bgra', 'mono') for bits in (8, 16)
    ]
    bayer = [
        f'bayer_{cells}{bits}' for cells in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)
    ]
    yuv = ['yuv422', 'yuv422_yuy2', 'uyvy', 'yuyv', 'nv21', 'nv24']
    assert {*colours, *bayer, *yuv} <= COLOUR.keys() | PLANAR.keys()


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 1, 5])
@pytest.mark.parametrize('encoding', COLOUR)
def test_colour(encoding, padding, big):
    pixels, expected = EXPECTED[encoding]
    image = decode_image(message(pixels, encoding, padding=padding, big=big))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def bt601(y, u, v):
    """BGR of ITU-R BT.601 with 16 … 235 and 16 … 240, in real numbers, from its definition."""
    red, blue, green = 0.299, 0.114, 0.587
    luma, cb, cr = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / green
    return np.clip(np.stack([b, g, r], -1) * 255, 0, 255)


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')],
)
def test_yuv_by_the_standard(encoding, order):
    """Bytes of two pixels as V4L2 names them: UYVY is U Y0 V Y1, YUYV is Y0 U Y1 V."""
    u, v = noise(1)[:, ::2], noise(1)[:, ::2]
    y = np.maximum(noise(1), 16)  # below is no brightness
    bytes_of = {'u': iter([u]), 'v': iter([v]), 'y': iter([y[:, ::2], y[:, 1::2]])}
    packed = np.stack([next(bytes_of[letter]) for letter in order], -1).reshape(HEIGHT, WIDTH, 2)
    expected = bt601(*(np.float64(p) for p in (y, u.repeat(2, 1), v.repeat(2, 1))))
    np.testing.assert_allclose(decode_image(message(packed, encoding)), expected, atol=2)


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


@pytest.mark.parametrize('size', [(40, 60), (41, 59), (3, 3)])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('cells', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_by_definition(cells, bits, size):
    """Of each pixel of a smooth picture only the colour that ROS's name gives: row, then row."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    picture = np.stack([20 + 0 * x, 90 + x, 230 - y], -1)  # hardly blue, quite red
    colour = np.array(['bgr'.index(cell) for cell in cells]).reshape(2, 2)[y % 2, x % 2]
    mosaic = np.take_along_axis(picture, colour[..., None], -1)[..., 0]
    mosaic = mosaic.astype(np.uint8) if bits == 8 else (mosaic * 256 + 77).astype(np.uint16)
    image = decode_image(message(mosaic, f'bayer_{cells}{bits}'))
    inner = image[1:-1, 1:-1].astype(int) - picture[1:-1, 1:-1]
    assert np.abs(inner).max() <= 1
    assert np.abs(image.astype(int) - picture).max() <= 3  # the border repeats its neighbour


def planes(encoding, height, width, padding):
    """Return (data, y, u, v): random planes, and each pixel's values."""
    share = 1 if encoding == 'nv24' else 2
    y = RNG.integers(16, 256, (height, width), np.uint8)
    pairs = RNG.integers(0, 256, (height // share, width // share, 2), np.uint8)
    u, v = (pairs.repeat(share, 0).repeat(share, 1)[..., k] for k in (0, 1))
    if encoding == 'nv21':
        u, v = v, u
    bright = np.pad(y, ((0, 0), (0, padding)))
    colour = np.pad(pairs.reshape(height // share, -1), ((0, 0), (0, padding * 2 // share)))
    return np.concatenate([bright.ravel(), colour.ravel()]), y, u, v


def planar_message(data, encoding, height, width, step):
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=0, step=step, data=data
    )


@pytest.mark.parametrize('padding', [0, 1, 6])
@pytest.mark.parametrize('encoding', PLANAR)
def test_planar(encoding, padding):
    data, y, u, v = planes(encoding, 6, 8, padding)
    image = decode_image(planar_message(data, encoding, 6, 8, 8 + padding))
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image, bt601(*(np.float64(p) for p in (y, u, v))), atol=2)
    if encoding == 'nv24':  # OpenCV knows only a colour for each 2×2 pixels
        y = y.repeat(2, 0).repeat(2, 1)
        pairs = np.stack([u, v], -1)
        expected = cv2.cvtColorTwoPlane(y, pairs, cv2.COLOR_YUV2BGR_NV12)[::2, ::2]
        np.testing.assert_allclose(image.astype(int), expected, atol=1)


def test_darker_than_black_is_black():
    dark, pairs = np.zeros((2, 2), np.uint8), np.full((2, 2, 2), (255, 90), np.uint8)
    data = np.append(dark, pairs)
    expected = cv2.cvtColorTwoPlane(dark, pairs[:1, :1], cv2.COLOR_YUV2BGR_NV12)
    image = decode_image(planar_message(data, 'nv24', 2, 2, 2))
    np.testing.assert_allclose(image.astype(int), expected, atol=1)


@pytest.mark.parametrize('step', [0, 8, 12, 16])
def test_planar_without_padding_whatever_its_step(step):
    data, *_ = planes('nv12', 6, 8, 0)
    expected = cv2.cvtColor(data.reshape(9, 8), cv2.COLOR_YUV2BGR_NV12)
    image = decode_image(planar_message(data, 'nv12', 6, 8, step))
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ('encoding', 'height', 'width', 'step', 'length', 'says'),
    [
        ('nv12', 5, 8, 8, 99, 'odd size'),
        ('nv21', 6, 7, 7, 99, 'odd size'),
        ('nv12', 6, 8, 8, 71, 'do not hold'),
        ('nv12', 6, 8, 9, 79, 'do not hold'),
        ('nv12', 6, 8, 7, 99, 'do not hold'),
        ('nv12', 6, 8, 2**32 - 1, 99, 'do not hold'),
        ('nv24', 5, 7, 7, 104, 'do not hold'),
        ('nv12', 0, 8, 8, 0, '8×0'),
        ('nv24', 2**31, 2**31, 0, 0, 'absurdly large'),
    ],
)
def test_bad_planar(encoding, height, width, step, length, says):
    given_ = planar_message(np.zeros(length, np.uint8), encoding, height, width, step)
    with pytest.raises(UserError, match=says):
        decode_image(given_)


def test_bgr8_is_not_copied():
    given_ = message(BGR, 'bgr8', padding=4)
    image = decode_image(given_)
    assert np.shares_memory(image, given_.data)
    assert not image.flags.writeable


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
    assert depth.flags.c_contiguous
    np.testing.assert_array_equal(depth, metres)
    np.testing.assert_array_equal(cv2.flip(depth, -1), metres[::-1, ::-1])


def test_depth_at_an_odd_address():
    raw = np.ones((HEIGHT, WIDTH), np.float32).tobytes()
    given_ = message(np.ones((HEIGHT, WIDTH), np.float32), '32FC1')
    given_.data = memoryview(b'?' + raw)[1:]
    assert decode_depth(given_).flags.aligned


def test_aligned_depth_is_not_copied():
    given_ = message(np.ones((HEIGHT, WIDTH), np.float32), '32FC1')
    assert np.shares_memory(decode_depth(given_), given_.data)


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'encoding': 'jpeg'}, "unknown encoding 'jpeg'; convert to one of bgr8"),
        ({'encoding': 'x' * 999}, 'unknown encoding'),
        ({'encoding': '32FC1'}, "unknown encoding '32FC1'"),  # depth is no picture
        ({'cut': 1}, 'do not hold'),
        ({'step': 3}, 'do not hold'),
        ({'step': 2**32 - 1}, 'do not hold'),
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
    for size in ((2, 8), (8, 2), (1, 1)):  # OpenCV would make them black
        with pytest.raises(UserError, match='publish a larger'):
            decode_image(message(np.zeros(size, np.uint8), 'bayer_rggb8'))
    with pytest.raises(UserError, match='convert to one of 16UC1, mono16, 32FC1'):
        decode_depth(message(BGR, 'bgr8'))


def test_forgiven():
    """A last row without padding, rows whose step is not given, more data than pixels."""
    np.testing.assert_array_equal(decode_image(message(BGR, 'bgr8', padding=5, cut=5)), BGR)
    np.testing.assert_array_equal(decode_image(message(BGR, 'bgr8', step=0)), BGR)
    longer = np.append(BGR.ravel(), [1, 2, 3]).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(message(BGR, 'bgr8', data=longer)), BGR)
    row = message(BGR[:1], 'bgr8', step=2**32 - 1)
    np.testing.assert_array_equal(decode_image(row), BGR[:1])


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
    metres = np.array([[0, 1.2344, 1.2346, 65.535, 65.6, -1, np.nan, 3e38]], np.float32)
    image = encode_image(metres, '16UC1', None, message_classes().Image)
    assert np.frombuffer(image.data, '<u2').tolist() == [0, 1234, 1235, 65535, 0, 0, 0, 0]


def test_encoding_for_rclpy():
    image = encode_image(BGR, 'bgr8', None, SimpleNamespace)
    assert isinstance(image.data, array.array)
    np.testing.assert_array_equal(decode_image(image), BGR)
    for pixels in (GREY, BGR16, BGR[:0], FOUR):
        with pytest.raises(ValueError, match='bgr8 needs'):
            encode_image(pixels, 'bgr8', None, SimpleNamespace)
    with pytest.raises(ValueError, match='cannot write nv12'):
        encode_image(GREY, 'nv12', None, SimpleNamespace)


@pytest.mark.parametrize('frame_id', ['', 'a', 'optical', 'camera_öptical_frame'])
@pytest.mark.parametrize(
    ('encoding', 'pixels'),
    [
        ('bgr8', BGR),
        ('mono8', GREY[::2, 1:6:2]),
        ('16UC1', np.array([[1.5, np.nan, 70]], np.float32)),
        ('32FC1', np.ones((3, 5), np.float32).T),
        ('rgba16', FOUR16),
    ],
)
def test_bytes_of_an_image_are_those_of_rosbags(encoding, pixels, frame_id):
    make, stamp_ns = message_classes(), 1_700_000_000_123_456_789
    header = make.Header(stamp=make.Time(*divmod(stamp_ns, 10**9)), frame_id=frame_id)
    image = encode_image(pixels, encoding, header, make.Image)
    expected = bytes(typestore().serialize_cdr(image, IMAGE))
    assert image_to_cdr(pixels, encoding, stamp_ns, frame_id) == expected


def test_bytes_of_what_fits_no_image():
    with pytest.raises(ValueError, match='mono8 needs'):
        image_to_cdr(BGR, 'mono8', 0, '')


@settings(deadline=None, max_examples=200)
@given(
    encoding=st.sampled_from([*COLOUR, *PLANAR, '16UC1', 'nv16', '']),
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
