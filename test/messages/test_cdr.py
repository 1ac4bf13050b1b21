from __future__ import annotations

import numpy as np
import pytest

from mot_perception.errors import UserError
from mot_perception.messages import cdr
from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    DETECTIONS,
    IMAGE,
    message_classes,
    typestore,
)

MAKE = message_classes()


def header():
    return MAKE.Header(stamp=MAKE.Time(sec=5, nanosec=6), frame_id='optical')


def image():
    return MAKE.Image(
        header=header(),
        height=2,
        width=3,
        encoding='mono8',
        is_bigendian=0,
        step=3,
        data=np.arange(6, dtype=np.uint8),
    )


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_comes_back(kind):
    back = read_message(kind(write_message(image(), IMAGE)), IMAGE)
    assert (back.header.stamp.nanosec, back.header.frame_id, back.step) == (6, 'optical', 3)
    np.testing.assert_array_equal(back.data, np.arange(6))


def test_big_endian():
    data = bytes(typestore().serialize_cdr(image(), IMAGE, little_endian=False))
    assert read_message(data, IMAGE).header.stamp.sec == 5


def test_pixels_are_not_copied():
    data = write_message(image(), IMAGE)
    assert np.shares_memory(read_message(data, IMAGE).data, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ('data', 'msgtype'),
    [
        (b'', IMAGE),
        (b'\0\1\0\0', IMAGE),
        (b'\0\3\0\0' + bytes(90), IMAGE),  # another encapsulation
        (write_message(image(), IMAGE)[:-1], IMAGE),
        (write_message(image(), IMAGE) + bytes(4), IMAGE),
        (write_message(image(), IMAGE), CAMERA_INFO),
        (write_message(image(), IMAGE).replace(b'mono8', b'\xff\xfe\n\xfd8'), IMAGE),
        (write_message(image(), IMAGE), 'sensor_msgs/msg/Imagine'),
    ],
)
def test_refused(data, msgtype):
    with pytest.raises(UserError, match='/camera: ') as error:
        read_message(data, msgtype, '/camera')
    assert msgtype in str(error.value)
    assert '\n' not in str(error.value)


def test_counts_are_not_believed():
    """Four billion detections in 100 bytes."""
    start = write_message(MAKE.Detection2DArray(header=header(), detections=[]), DETECTIONS)
    with pytest.raises(UserError, match='sequence length 4294967295'):
        read_message(start[:-4] + b'\xff' * 4 + bytes(100), DETECTIONS)


def test_only_pictures_may_be_large(monkeypatch):
    monkeypatch.setattr(cdr, 'MOST_BYTES', 8)
    assert read_message(write_message(image(), IMAGE), IMAGE).height == 2
    with pytest.raises(UserError, match='absurdly large'):
        read_message(bytes(9), DETECTIONS)
