"""Depth of objects: over masks and over boxes, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.perception import depth as module
from mot_perception.perception.depth import box_depth, object_depth


def spread_of(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@given(st.integers(0, 999))
def test_over_masks(seed):
    rng = np.random.default_rng(seed)
    depth = rng.choice([0, np.nan, np.inf, 1, 2, 3.5, 7], (5, 7)).astype(np.float32)
    masks = rng.random((3, 5, 7)) < 0.3
    median, spread = object_depth(depth, masks)
    for k, mask in enumerate(masks):
        values = [float(d) for d in depth[mask] if np.isfinite(d) and d > 0]
        expected = (np.median(values), spread_of(values)) if values else (np.nan, np.nan)
        np.testing.assert_allclose((median[k], spread[k]), expected)


@given(st.integers(0, 999))
def test_over_boxes(seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 9, (48, 64)).astype(np.float32)
    depth[rng.random(depth.shape) < rng.choice([0.2, 0.95])] = rng.choice([0, np.nan])
    corner = rng.uniform(-60, 640, (4, 2))
    boxes = np.hstack([corner, corner + rng.uniform(-20, 400, (4, 2))])
    median, spread = box_depth(depth, boxes, 640, 480)
    for k, (left, top, right, bottom) in enumerate(boxes):
        left, right = np.clip([left, right], 0, 640) / 10
        top, bottom = np.clip([top, bottom], 0, 480) / 10
        values = []
        for row in np.linspace(-0.5, 0.5, 2 * module.LATTICE + 1)[1::2]:
            for column in np.linspace(-0.5, 0.5, 2 * module.LATTICE + 1)[1::2]:
                x = (left + right) / 2 + column * module.MIDDLE[0] * (right - left)
                y = (top + bottom) / 2 + row * module.MIDDLE[1] * (bottom - top)
                found = float(depth[int(min(y, 47)), int(min(x, 63))])
                values += [found] if np.isfinite(found) and found > 0 else []
        there = right > left and bottom > top
        if not there or len(values) < module.LEAST_KNOWN * module.LATTICE**2:
            assert np.isnan([median[k], spread[k]]).all()
        else:
            np.testing.assert_allclose(
                (median[k], spread[k]), (np.median(values), spread_of(values))
            )


def test_what_stands_beside_an_object_does_not_count():
    depth = np.full((480, 640), 9, np.float32)
    depth[100:400, 280:360] = 3
    median, spread = box_depth(depth, np.array([[220.0, 80, 420, 420]]), 640, 480)
    assert (median[0], spread[0]) == (3, 0)


def test_a_hole_is_unknown():
    depth = np.zeros((480, 640), np.float32)
    depth[::40, ::40] = 5
    median, _ = box_depth(depth, np.array([[100.0, 100, 300, 300]]), 640, 480)
    assert np.isnan(median[0])


@pytest.mark.parametrize(
    'box',
    [
        [np.nan] * 4,
        [-np.inf, 0, np.inf, 9],
        [50, 50, 10, 10],
        [700, 10, 800, 90],
        [1e300, 0, 1e305, 9],
        [639.9999999999999, 0, 640, 480],
    ],
)
@pytest.mark.parametrize('size', [(640, 480), (0, 0)])
def test_boxes_nobody_can_use(box, size):
    median, spread = box_depth(np.ones((480, 640), np.float32), np.array([box]), *size)
    assert np.isnan(median[0]) or (median[0], spread[0]) == (1, 0)


def test_without_boxes():
    median, spread = box_depth(np.ones((4, 4), np.float32), np.empty((0, 4)), 4, 4)
    assert median.shape == spread.shape == (0,)


def test_of_fine_masks_every_second_cell_says_as_much():
    random = np.random.default_rng(5)
    depth = random.normal(6, 0.2, (200, 256)).astype(np.float32)
    masks = np.zeros((2, 200, 256), np.bool_)
    masks[0, 20:120, 30:80] = masks[1, 50:190, 100:230] = True
    median, spread = object_depth(depth, masks)
    coarse = object_depth(depth[::2, ::2].copy(), masks[:, ::2, ::2].copy())
    np.testing.assert_array_equal((median, spread), coarse)
    for found, mask in zip(median, masks, strict=True):
        assert found == pytest.approx(np.median(depth[mask]), abs=0.03)
