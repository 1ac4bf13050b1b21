"""Depth of a real RGB-D camera, with its holes, as it comes out of messages."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mot_perception.messages.images import decode_depth
from mot_perception.perception.depth import box_depth, object_depth
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.types import Frame

FRAMES = 0, 15, 29


@pytest.fixture(params=FRAMES)
def taken(request, shared_data):
    """Millimetres H×W with 0 in holes, and which pixels are the person's."""
    stem = shared_data / 'rgbd' / 'kinect_person' / f'{request.param:010}'
    if not (file := stem.with_name(f'{stem.name}_depth.png')).is_file():
        pytest.skip(f'real depth is not there: {file}')
    mask = cv2.imread(str(stem.with_name(f'{stem.name}_mask.jpg')), cv2.IMREAD_GRAYSCALE)
    return cv2.imread(str(file), cv2.IMREAD_UNCHANGED), mask > 128


def published(millimetres, encoding):
    """Return the message of a driver that says holes as this encoding has it."""
    pixels = millimetres
    if encoding == '32FC1':
        metres = millimetres.astype(np.float32) / 1000
        pixels = np.where(millimetres > 0, metres, np.float32(np.nan))
    height, width = pixels.shape
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.itemsize * width,
        data=pixels.tobytes(),
    )


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_holes_are_no_depth(taken, encoding):
    """Medians, spreads and masks are those of what is known, in metres."""
    millimetres, person = taken
    assert (millimetres == 0).mean() > 0.02
    depth = decode_depth(published(millimetres, encoding))
    cells, mask = sample(depth), sample(person)
    median, spread = object_depth(cells, mask[None])
    known = [d for d in cells[mask].tolist() if d > 0]
    np.testing.assert_allclose(median, np.median(known), rtol=1e-6)
    assert 0 <= spread[0] < 1

    rows, columns = np.nonzero(person)
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
    middle, _ = box_depth(depth, box, depth.shape[1], depth.shape[0])
    np.testing.assert_allclose(middle, median, atol=0.1)

    frame = Frame(0, 0, depth.shape[1], depth.shape[0], depth=depth)
    found = DepthConsistentMasks().step(frame, frame, box).current[0]
    assert found.any()
    assert (found & ~(cells > 0)).sum() == 0
