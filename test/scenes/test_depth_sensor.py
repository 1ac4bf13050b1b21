"""The depth sensor: millimetres, noise that grows with the square, holes where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.scenes.sensor import (
    EDGE_HOLE_RATE,
    HOLE_RATE,
    LARGEST,
    NOISE_AT_ZERO,
    NOISE_PER_SQUARE,
    DepthSensor,
)

HEIGHT, WIDTH = 200, 300


@pytest.fixture(scope='module')
def sensor():
    return DepthSensor(WIDTH, HEIGHT, seed=4)


def flat(depth: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth, np.float32)


@pytest.mark.parametrize('depth', [0.5, 2.0, 6.0, 20.0])
def test_noise_grows_with_the_square(sensor, depth):
    read = sensor.measure(flat(depth), 0)
    error = read[read > 0] - depth
    wanted = NOISE_AT_ZERO + NOISE_PER_SQUARE * depth**2
    assert error.std() == pytest.approx(wanted, rel=0.05)
    assert abs(error.mean()) < 0.02 * wanted + 1e-4


def test_16uc1_round_trip_is_exact(sensor):
    ramp = np.linspace(0.3, 60, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    read = sensor.measure(ramp, 3)
    assert read.dtype == np.float32
    millimetres = np.rint(read * 1000).astype(np.uint16)
    assert np.array_equal(millimetres.astype(np.float32) / np.float32(1000), read)
    assert len(np.unique(millimetres)) > 20_000


def test_every_reading_survives_16_bits():
    millimetres = np.arange(65536).astype(np.uint16)
    metres = millimetres.astype(np.float32) / np.float32(1000)
    assert np.array_equal(np.rint(metres * 1000).astype(np.uint16), millimetres)


def test_holes_are_rare_on_a_plane_and_common_at_edges(sensor):
    step = flat(3.0)
    step[:, 150:] = 5.0
    reads = np.stack([sensor.measure(step, k) for k in range(20)])
    inside = reads[:, :-1, :140]
    edge = reads[:, :-1, 149]
    assert (inside == 0).mean() == pytest.approx(HOLE_RATE, rel=0.2)
    assert (edge == 0).mean() == pytest.approx(EDGE_HOLE_RATE, abs=0.05)
    assert (reads[:, :, -1] == 0).all()
    assert (reads[:, -1] == 0).all()


@pytest.mark.parametrize('depth', [LARGEST + 1, np.inf, np.nan])
def test_nothing_is_read_beyond_reach(sensor, depth):
    assert not sensor.measure(flat(depth), 0).any()


def test_frames_differ_and_repeat(sensor):
    one, again, other = (sensor.measure(flat(2), k) for k in (1, 1, 2))
    assert np.array_equal(one, again)
    assert (one != other).mean() > 0.5
    assert np.array_equal(DepthSensor(WIDTH, HEIGHT, 4).measure(flat(2), 1), one)
    assert not np.array_equal(DepthSensor(WIDTH, HEIGHT, 5).measure(flat(2), 1), one)
