"""One factor per depth image: flicker goes, drift does not come, a cut is not bridged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.perception import depth_scale as module
from mot_perception.perception.depth_scale import SteadyScale

HEIGHT, WIDTH = 108, 192
PERIOD_NS = 33_333_333


def room(seed=0):
    """Depth and image of a scene: smooth, from 3 to 20 m."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(math.log(3), math.log(20), (4, 6))
    depth = np.exp(np.kron(coarse, np.ones((HEIGHT // 4, WIDTH // 6)))).astype(np.float32)
    grey = np.kron(rng.uniform(20, 230, (12, 16)), np.ones((HEIGHT // 12, WIDTH // 16)))
    return depth, np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def with_walker(depth, image, number):
    """Someone of a third of the width walks by at 2 m."""
    depth, image = depth.copy(), image.copy()
    left = (3 * number) % WIDTH
    depth[10:, left : left + WIDTH // 3] = 2 + 0.01 * (number % 7)
    image[10:, left : left + WIDTH // 3] = 255 - (number * 37) % 200
    return depth, image


def run(scales, *, spoil=lambda depth, rng: depth, seed=0, period_ns=PERIOD_NS):
    """Return the scale of the background, as estimated times the factor, per frame."""
    rng = np.random.default_rng(seed)
    depth, image = room()
    steady, aligned = SteadyScale(), []
    for number, scale in enumerate(scales):
        seen, picture = with_walker(depth, image, number)
        noisy = seen * np.exp(rng.normal(0, 0.02, seen.shape)) * scale
        factor = steady.factor(spoil(noisy.astype(np.float32), rng), picture, number * period_ns)
        aligned.append(scale * factor)
    return np.array(aligned)


def holes(depth, rng):
    depth[rng.random(depth.shape) < 0.3] = rng.choice([0, np.nan, np.inf, -np.inf])
    return depth


@pytest.mark.parametrize('spoil', [lambda depth, _: depth, holes], ids=['whole', 'holes'])
def test_flicker_goes(spoil):
    """3 % noise from frame to frame, at 30 frames/s: a first-order filter leaves 13 % of it."""
    scales = np.exp(np.random.default_rng(1).normal(0, 0.03, 300))
    before = np.log(scales)[60:]
    after = np.log(run(scales, spoil=spoil))[60:]
    assert after.std() < before.std() / 5
    assert np.diff(after).std() < np.diff(before).std() / 15
    assert abs(after.mean() - before.mean()) < 0.01


def test_an_average_of_what_was_estimated():
    """At rest the aligned scale is the exponential average, by a loop."""
    scales = np.exp(np.random.default_rng(2).normal(0, 0.03, 40))
    keep = math.exp(-PERIOD_NS / 1e9 / module.RETURN)
    expected = [math.log(scales[0])]
    for scale in scales[1:]:
        expected.append(keep * expected[-1] + (1 - keep) * math.log(scale))
    np.testing.assert_allclose(np.log(run(scales)), expected, atol=0.005)


@settings(max_examples=20)
@given(st.integers(0, 999), st.sampled_from([0, PERIOD_NS, 10 * PERIOD_NS]))
def test_no_drift(seed, period_ns):
    """The answer stays within the range of the estimates, even where stamps stand still."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.normal(0, 0.03, 60) + rng.choice([0, 0.3], 60, p=[0.9, 0.1]))
    aligned = run(scales, seed=seed, period_ns=period_ns)
    assert scales.min() / 1.02 <= aligned.min()
    assert aligned.max() <= scales.max() * 1.02


def test_lag_is_bounded():
    """Everything approaches by 10 % per second, which cannot be told from a change of scale."""
    scales = np.exp(-0.1 * np.arange(300) * PERIOD_NS / 1e9)
    lag = np.log(run(scales) / scales)
    assert lag.max() < 0.1 * module.RETURN * 1.05
    assert lag[-1] > 0.08 * module.RETURN  # a bound that is reached


def test_a_walker_does_not_count():
    """He covers a third of the image and comes nearer; the room stands still."""
    steady = SteadyScale()
    depth, image = room()
    for number in range(30):
        seen, picture = with_walker(depth, image, number)
        seen[picture[..., 1] != image[..., 1]] *= 0.97**number
        assert steady.factor(seen, picture, number * PERIOD_NS) == pytest.approx(1, abs=0.01)


def test_camera_pans():
    """No cell keeps its grey: then all count, and most of a scene is as far as it was."""
    steady = SteadyScale()
    rng = np.random.default_rng(0)
    depth, _ = room()
    factors = [
        steady.factor(
            depth * np.float32(1.05**turn),
            rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
            turn * PERIOD_NS,
        )
        for turn in (0, 1)
    ]
    assert factors[0] == 1
    assert factors[1] == pytest.approx(1 / 1.05, rel=0.01)


CUTS = {
    'another scene': room(1)[0],
    'twice as far': room()[0] * 2,
    'nothing is known': np.zeros((HEIGHT, WIDTH), np.float32),
    'nan': np.full((HEIGHT, WIDTH), np.nan, np.float32),
}


@pytest.mark.parametrize('depth', CUTS.values(), ids=CUTS)
def test_a_cut_starts_anew(depth):
    steady = SteadyScale()
    steady.factor(*room(), 0)
    steady.factor(room()[0] * np.float32(1.2), room()[1], PERIOD_NS)
    assert steady.factor(depth, room()[1], 2 * PERIOD_NS) == 1
    assert steady.factor(*room(), 3 * PERIOD_NS) == 1


def test_sky():
    """What is as far as can be said is always equally far; it tells nothing of the scale."""
    steady = SteadyScale()
    depth, image = room()
    for number, scale in enumerate([1, 1.1]):
        seen = depth * np.float32(scale)
        seen[: 2 * HEIGHT // 3] = 1e4
        factor = steady.factor(seen, image, number * PERIOD_NS)
    assert factor == pytest.approx(1 / 1.1, rel=0.01)


def test_flat():
    """A wall in front of the camera has a scale like anything else."""
    steady = SteadyScale()
    _, image = room()
    steady.factor(np.full((HEIGHT, WIDTH), 3, np.float32), image, 0)
    factor = steady.factor(np.full((HEIGHT, WIDTH), 3.3, np.float32), image, PERIOD_NS)
    assert factor == pytest.approx(1 / 1.1, rel=0.01)


def test_unit_does_not_matter():
    for unit in (1e-3, 1e3):
        steady = SteadyScale()
        depth, image = room()
        steady.factor(depth * np.float32(unit), image, 0)
        factor = steady.factor(depth * np.float32(1.1 * unit), image, PERIOD_NS)
        assert factor == pytest.approx(1 / 1.1, rel=0.01)


def test_reset():
    steady = SteadyScale()
    steady.factor(*room(), 0)
    steady.reset()
    assert steady.factor(room()[0] * np.float32(1.1), room()[1], PERIOD_NS) == 1
