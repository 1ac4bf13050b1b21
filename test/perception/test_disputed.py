"""Of objects with one mask, only the one whose box it fits has evidence of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.boxes import iou
from mot_perception.perception.disputed import SAME, undisputed

HEIGHT, WIDTH = 360, 640
GRID = 36, 64


def masks(*boxes):
    """Filled boxes of cells, 10 pixels each."""
    found = np.zeros((len(boxes), *GRID), bool)
    for mask, (left, top, right, bottom) in zip(found, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return found


def pixels(*boxes):
    return np.array(boxes, float).reshape(-1, 4) * 10


def asked(current, previous, xyxy):
    return undisputed(current, previous, xyxy, WIDTH, HEIGHT).tolist()


BEHIND, FRONT, ASIDE = (10, 5, 20, 25), (14, 6, 24, 28), (40, 5, 50, 25)


def test_everybody_with_a_mask_of_his_own_keeps_it():
    own = masks(BEHIND, FRONT, ASIDE)
    assert asked(own, own, pixels(BEHIND, FRONT, ASIDE)) == [True, True, True]


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
@pytest.mark.parametrize('time', ['now', 'before', 'both'])
def test_who_is_answered_by_another_has_none(order, time):
    own, wrong = masks(BEHIND, FRONT), masks(FRONT, FRONT)
    now = own if time == 'before' else wrong
    before = own if time == 'now' else wrong
    rows = list(order)
    said = asked(now[rows], before[rows], pixels(BEHIND, FRONT)[rows])
    assert said == [who == 1 for who in order]


def test_of_boxes_that_fit_alike_one_is_right():
    twice = masks(FRONT, FRONT)
    assert asked(twice, twice, pixels(FRONT, FRONT)) == [True, False]


def test_no_masks_empty_masks_and_senseless_boxes():
    assert asked(masks(), masks(), pixels()) == []
    nothing = masks((0, 0, 0, 0), (0, 0, 0, 0))
    assert asked(nothing, nothing, np.full((2, 4), np.nan)) == [True, True]
    some = masks(FRONT, FRONT)
    assert asked(some, some, np.array([[np.nan] * 4, *pixels(FRONT)])) == [False, True]


def test_finer_grids_say_the_same():
    current, previous = masks(FRONT, FRONT, ASIDE), masks(BEHIND, FRONT, ASIDE)
    boxes = pixels(BEHIND, FRONT, ASIDE)
    fine = [it.repeat(8, 1).repeat(8, 2) for it in (current, previous)]
    assert asked(*fine, boxes) == asked(current, previous, boxes) == [False, True, True]


@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_equals_a_naive_loop(seed, n):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 12, (n, 2, 2))
    size = rng.integers(1, 12, (n, 2, 2))
    drawn = np.concatenate([corner, corner + size], 2)
    current, previous = (masks(*drawn[:, time].tolist()) for time in (0, 1))
    boxes = np.column_stack([corner[:, 0], corner[:, 0] + rng.integers(1, 12, (n, 2))]) * 10.0

    def same(a, b):
        return (a & b).sum() / (a | b).sum() > SAME

    fit = [iou(pixels(*drawn[k].tolist()), boxes[k : k + 1]).sum() for k in range(n)]
    expected = []
    for k in range(n):
        rivals = [
            j
            for j in range(n)
            if j != k and (same(current[j], current[k]) or same(previous[j], previous[k]))
        ]
        expected.append(not any((-fit[j], j) < (-fit[k], k) for j in rivals))
    assert asked(current, previous, boxes) == expected
