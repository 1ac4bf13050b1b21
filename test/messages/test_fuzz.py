"""Whatever bytes a topic carries: the readers give a sound result or a UserError of one line."""

from __future__ import annotations

import math
import struct
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.detections import (
    ClassIndex,
    detections_to_message,
    message_to_detections,
)
from mot_perception.messages.images import COLOUR, decode_depth, decode_image
from mot_perception.messages.mapping import (
    ObjectExtras,
    camera_info_message,
    camera_model,
    message_to_tracked_frame,
    tracked_frame_to_message,
)
from mot_perception.messages.mask_rle import decode_runs, run_lengths
from mot_perception.messages.pictures import (
    decode_compressed_depth,
    decode_compressed_image,
    encode_compressed_depth,
    encode_compressed_image,
)
from mot_perception.messages.planar import PLANAR
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    TRACKS,
    message_classes,
    typestore,
)
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import CameraModel, Detections, Frame

MAKE = message_classes()
HEADER = MAKE.Header(stamp=MAKE.Time(sec=5, nanosec=6), frame_id='camera_optical_frame')
PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
CAMERA = CameraModel(640, 480, 500, 500, 320, 240)
METRES = np.linspace(0, 9, 48, dtype=np.float32).reshape(6, 8)


def image(encoding, data, step=0, height=6, width=8):
    return MAKE.Image(
        header=HEADER,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=np.frombuffer(data, np.uint8),
    )


def tracks():
    boxes = Detections.of(np.array([[0, 0, 9, 9], [20, 20, 40, 40]]), np.array([0.9, 0.8]))
    frame = Frame(10**9, 0, 640, 480, camera=CAMERA)
    tracked = SelfTrEncMotTracker().update(frame, boxes)
    masks = np.tri(3, dtype=np.bool_)[None].repeat(len(tracked.tracks), 0)
    extras = ObjectExtras(run_lengths(masks, 640, 480))
    return tracked_frame_to_message(tracked, MAKE, ['person'], extras)


def detections():
    boxes = Detections(
        np.array([[0, 0, 9, 9], [math.nan, 1, 2, math.inf]]),
        np.array([0.5, math.nan]),
        np.array([0, 3], np.int32),
    )
    message = detections_to_message(boxes, HEADER, MAKE, np.array([4, 5]), ['person'])
    message.detections[1].results.clear()
    return message


def read_image(message):
    return decode_image(message, 'topic')


def read_depth(message):
    return decode_depth(message, 'topic')


def read_compressed(message):
    return decode_compressed_image(message, 'topic')


def read_compressed_depth(message):
    return decode_compressed_depth(message, 'topic')


def read_camera(message):
    camera = camera_model(message)
    assert camera is None or (camera.fx > 0 and math.isfinite(camera.cx))


def read_detections(message):
    found = message_to_detections(message, ClassIndex(['person']))
    assert found.xyxy.shape == (len(message.detections), 4)


def read_tracks(message):
    assert len(message_to_tracked_frame(message).tracks) == len(message.objects)
    for found in message.objects:
        decode_runs(found.mask_rle, message.image_width, message.image_height, 'topic')


PNG, RVL = '16UC1; compressedDepth png', '32FC1; compressedDepth rvl'
COMPRESSED = MAKE.CompressedImage
CASES = [
    (IMAGE, image('rgb8', PICTURE.tobytes(), 24), read_image),
    (IMAGE, image('bayer_gbrg16', PICTURE[..., :2].tobytes(), 16), read_image),
    (IMAGE, image('nv12', PICTURE[..., 0].tobytes() + bytes(24), 8), read_image),
    (IMAGE, image('32FC1', METRES.tobytes(), 32), read_depth),
    (IMAGE, image('16UC1', METRES.astype(np.uint16).tobytes()), read_depth),
    (COMPRESSED_IMAGE, encode_compressed_image(PICTURE, HEADER, COMPRESSED), read_compressed),
    (
        COMPRESSED_IMAGE,
        encode_compressed_depth(METRES, PNG, HEADER, COMPRESSED),
        read_compressed_depth,
    ),
    (
        COMPRESSED_IMAGE,
        encode_compressed_depth(METRES, RVL, HEADER, COMPRESSED),
        read_compressed_depth,
    ),
    (CAMERA_INFO, camera_info_message(CAMERA, HEADER, MAKE), read_camera),
    (DETECTIONS, detections(), read_detections),
    (TRACKS, tracks(), read_tracks),
]
BYTES = [
    (msgtype, bytes(typestore().serialize_cdr(message, msgtype, little_endian=little)), read)
    for msgtype, message, read in CASES
    for little in (True, False)
]
EXTREMES = 0, 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1


def attempt(data, msgtype, read):
    """Read; whatever is wrong with the bytes must come out as one line for the user."""
    try:
        read(read_message(data, msgtype, 'topic'))
    except UserError as error:
        assert str(error).startswith('topic: ')
        assert '\n' not in str(error)
        assert len(str(error)) < 600


@pytest.mark.parametrize('case', CASES, ids=lambda case: case[2].__name__)
def test_sound_messages_are_read(case):
    msgtype, message, read = case
    read(read_message(write_message(message, msgtype), msgtype))


@settings(max_examples=600)
@given(data=st.data())
def test_changed_bytes(data):
    """Some bytes other, some bits flipped, some 32-bit numbers extreme, the end cut off."""
    msgtype, sound, read = data.draw(st.sampled_from(BYTES))
    raw = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(['byte', 'bit', 'number']))
        if kind == 'byte':
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == 'bit':
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif at // 4 * 4 + 4 <= len(raw):
            struct.pack_into('<I', raw, at // 4 * 4, data.draw(st.sampled_from(EXTREMES)))
    attempt(bytes(raw), msgtype, read)
    attempt(bytes(raw[: data.draw(st.integers(0, len(raw)))]), msgtype, read)


@settings(max_examples=200)
@given(raw=st.binary(max_size=400), little=st.booleans(), case=st.sampled_from(CASES))
def test_any_bytes(raw, little, case):
    attempt(bytes([0, little, 0, 0]) + raw, case[0], case[2])
    attempt(raw, case[0], case[2])


@pytest.mark.parametrize('case', BYTES[::2], ids=lambda case: case[2].__name__)
def test_every_number_extreme(case):
    """Every 32-bit number, counts among them: nothing large is made, and nothing raises."""
    msgtype, sound, read = case
    read_message(sound, msgtype)  # what is made once is not counted
    tracemalloc.start()
    try:
        for at in range(4, min(len(sound), 1500) - 3, 4):
            for value in EXTREMES[3:]:
                raw = bytearray(sound)
                struct.pack_into('<I', raw, at, value)
                attempt(bytes(raw), msgtype, lambda message: message)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    for at in range(4, min(len(sound), 1500) - 3, 4):
        raw = bytearray(sound)
        struct.pack_into('<I', raw, at, 2**32 - 1)
        attempt(bytes(raw), msgtype, read)


@settings(max_examples=300)
@given(
    encoding=st.sampled_from([*COLOUR, *PLANAR, '16UC1', '32FC1', '', 'nv16', 'x\ny', 'é' * 99]),
    size=st.tuples(*[st.integers(0, 7) | st.sampled_from(EXTREMES)] * 2),
    step=st.integers(0, 60) | st.sampled_from(EXTREMES),
    data=st.binary(max_size=300),
    big=st.integers(0, 255),
)
def test_any_image(encoding, size, step, data, big):
    message = image(encoding, data, step, *size)
    message.is_bigendian = big
    raw = write_message(message, IMAGE)
    attempt(raw, IMAGE, read_image)
    attempt(raw, IMAGE, read_depth)


@settings(max_examples=200)
@given(
    text=st.sampled_from(['jpeg', '', 'bayer_rggb8; png compressed ', PNG, RVL])
    | st.text(max_size=20),
    start=st.sampled_from([b'', bytes(12), b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'BM']),
    data=st.binary(max_size=100),
)
def test_any_compressed_image(text, start, data):
    picture = np.frombuffer(start + data, np.uint8)
    message = MAKE.CompressedImage(header=HEADER, format=text, data=picture)
    raw = write_message(message, COMPRESSED_IMAGE)
    attempt(raw, COMPRESSED_IMAGE, read_compressed)
    attempt(raw, COMPRESSED_IMAGE, read_compressed_depth)


@pytest.mark.parametrize('value', [0.0, -1.0, math.nan, math.inf, 1e308])
def test_cameras_of_nothing(value):
    message = camera_info_message(CameraModel(0, 0, value, value, value, value), HEADER, MAKE)
    attempt(write_message(message, CAMERA_INFO), CAMERA_INFO, read_camera)
    assert camera_model(message) is None or value == 1e308


def test_a_bomb_is_not_unpacked():
    """A few bytes that say they are a picture of four billion pixels."""
    for text, picture in (
        ('16UC1; compressedDepth rvl', bytes(12) + struct.pack('<III', 65535, 65535, 0xFFFFFFFF)),
        (
            'png',
            cv2.imencode('.png', PICTURE)[1].tobytes().replace(b'\0\0\0\x08', b'\0\0\xff\xff'),
        ),
    ):
        message = MAKE.CompressedImage(
            header=HEADER, format=text, data=np.frombuffer(picture, np.uint8)
        )
        read = read_compressed_depth if 'rvl' in text else read_compressed
        with pytest.raises(UserError, match=r'absurdly large|damaged'):
            read(message)
