"""Depth of a camera's frames: how often it is estimated, and when everything starts anew."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.perception.depth_stream import OLDEST, DepthStream
from mot_perception.perception.protocols import Depth
from mot_perception.types import CameraModel, Frame

PERIOD_NS = 33_000_000


class Estimator:
    """Sees a slope; remembers which images and focal lengths it was given."""

    def __init__(self, scales=None):
        self.images, self.focals = [], []
        self._scales = iter(scales or [])

    def estimate(self, image, focal=None):
        self.images.append(int(image[0, 0, 0]))
        self.focals.append(focal)
        slope = np.linspace(1, 9, image.shape[0] * image.shape[1], dtype=np.float32)
        return Depth(slope.reshape(image.shape[:2]) * np.float32(next(self._scales, 1)), True)


def frame(number, *, stamp_ns=None, size=(90, 160), camera=None):
    image = np.full((*size, 3), number, np.uint8)
    stamp_ns = number * PERIOD_NS if stamp_ns is None else stamp_ns
    return Frame(stamp_ns, number, size[1], size[0], image, camera=camera)


@pytest.fixture
def estimator():
    return Estimator()


@pytest.mark.parametrize(
    ('every', 'looked_at'), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6]), (5, [0, 5]), (100, [0])]
)
def test_every_so_manieth_frame(every, looked_at, estimator):
    stream = DepthStream(estimator, every=every)
    for number in range(7):
        depth = stream.estimate(frame(number))
        assert depth.metric
        assert depth.map.shape == (90, 160)
        assert stream.age_ns == (number - max(n for n in looked_at if n <= number)) * PERIOD_NS
    assert estimator.images == looked_at


def test_never_old(estimator):
    """At one frame per second, every fifth would be five seconds old."""
    stream = DepthStream(estimator, every=5)
    step = int(OLDEST * 1e9)
    for number, stamp_ns in enumerate([0, step, step + 1, step + 2, 3 * step]):
        stream.estimate(frame(number, stamp_ns=stamp_ns))
    assert estimator.images == [0, 2, 4]


def test_stamps_that_stand_still(estimator):
    stream = DepthStream(estimator, every=2, align=True)
    for number in range(5):
        assert np.isfinite(stream.estimate(frame(number, stamp_ns=7)).map).all()
    assert estimator.images == [0, 2, 4]


def test_without_an_image(estimator):
    stream = DepthStream(estimator, every=2)
    assert stream.estimate(Frame(0, 0, 160, 90)) is None
    stream.estimate(frame(1))
    assert stream.estimate(Frame(2 * PERIOD_NS, 2, 160, 90)) is None
    stream.estimate(frame(3))
    stream.estimate(frame(4))
    assert estimator.images == [1, 4]


def test_two_cameras_share_an_estimator(estimator):
    left, right = DepthStream(estimator, every=2), DepthStream(estimator, every=2)
    near, far = left.estimate(frame(1)), right.estimate(frame(2, size=(40, 40)))
    assert left.estimate(frame(3)) is near
    assert right.estimate(frame(4, size=(40, 40))) is far


ANEW = {
    'another size': {'size': (64, 64)},
    'clock jumped back': {'stamp_ns': -1},
}


@pytest.mark.parametrize('odd', ANEW.values(), ids=ANEW)
def test_starts_anew(odd):
    """Depth is estimated at once, and not aligned to what was there before."""
    estimator = Estimator(scales=[1, 1.1, 1.1])
    stream = DepthStream(estimator, every=3, align=True)
    for number in range(4):
        aligned = stream.estimate(frame(number)).map
    assert aligned.max() < 9.5
    after = stream.estimate(frame(4, **odd))
    assert estimator.images == [0, 3, 4]
    assert after.map.max() == pytest.approx(9.9)
    stream.estimate(frame(5, **odd))
    assert estimator.images == [0, 3, 4]


def test_reset(estimator):
    stream = DepthStream(estimator, every=3, align=True)
    stream.estimate(frame(0))
    stream.reset()
    assert stream.age_ns == 0
    stream.estimate(frame(1))
    assert estimator.images == [0, 1]


def test_without_alignment_nothing_is_touched():
    stream = DepthStream(Estimator(scales=[1, 1.1]))
    stream.estimate(frame(0))
    assert stream.estimate(frame(1)).map.max() == pytest.approx(9.9)


class TestFocal:
    @pytest.mark.parametrize(
        ('width', 'fx', 'expected'),
        [
            (160, 120, 120),
            (1280, 960, 120),  # calibrated at full size
            (160, 0, None),  # nobody has calibrated it
            (160, float('nan'), None),
            (160, float('inf'), None),
            (160, -120, None),
            (0, 120, None),
        ],
    )
    def test_of_the_image(self, width, fx, expected, estimator):
        camera = CameraModel(width, 90, fx, fx, 80, 45)
        DepthStream(estimator).estimate(frame(0, camera=camera))
        assert estimator.focals == [expected]

    def test_unknown(self, estimator):
        DepthStream(estimator).estimate(frame(0))
        assert estimator.focals == [None]
