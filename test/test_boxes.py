"""Boxes: conversions, overlaps, and cameras that moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mot_perception import boxes

some = arrays(float, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-500, 500))


@given(some)
def test_conversions_are_inverse(xyxy):
    np.testing.assert_allclose(boxes.xywh_to_xyxy(boxes.xyxy_to_xywh(xyxy)), xyxy, atol=1e-9)


@pytest.mark.parametrize(
    ('box', 'centre', 'area'),
    [
        ((0, 0, 0, 0), (0, 0), 0),  # empty
        ((5, 5, 3, 9), (4, 7), 0),  # inverted in x
        ((5, 5, 3, 1), (4, 3), 0),  # inverted in both: not a positive area
        ((-10, -20, -4, -2), (-7, -11), 108),  # outside the image
        ((0, 0, 4, 3), (2, 1.5), 12),
    ],
)
def test_centre_and_area(box, centre, area):
    array = np.array([box], float)
    np.testing.assert_array_equal(boxes.centres(array), [centre])
    np.testing.assert_array_equal(boxes.area(array), [area])


def naive_iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    union = (
        max(a[2] - a[0], 0) * max(a[3] - a[1], 0)
        + max(b[2] - b[0], 0) * max(b[3] - b[1], 0)
        - common
    )
    return common / union if union > 0 else 0


@given(some, some)
def test_iou_is_that_of_a_loop(a, b):
    expected = np.array([[naive_iou(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(boxes.iou(a, b), expected, rtol=1e-9, atol=1e-12)


def test_clip_leaves_a_box_outside_empty_at_the_border():
    array = np.array([[-5, -5, 30, 400], [700, 20, 800, 40]], float)
    expected = [[0, 0, 30, 300], [640, 20, 640, 40]]
    np.testing.assert_array_equal(boxes.clip(array, 640, 300), expected)


def test_warp_by_ten_pixels_moves_by_ten_pixels():
    array = np.array([[-61, -81, 9, 11], [3, 4, 50, 60]], float)
    shift = np.array([[1, 0, 10], [0, 1, 10]], float)
    np.testing.assert_array_equal(boxes.warp(array, shift), array + 10)
    np.testing.assert_array_equal(array[0], [-61, -81, 9, 11])


def test_warp_there_and_back():
    array = np.array([[-61, -81, 9, 11], [3, 4, 50, 60]], float)
    there = np.array([[0.9, -0.3, 10], [0.3, 0.9, -4]])
    back = np.linalg.inv(np.vstack([there, [0, 0, 1]]))[:2]
    np.testing.assert_allclose(boxes.warp(boxes.warp(array, there), back), array, atol=1e-9)
