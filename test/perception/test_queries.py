"""What queries say: classes with and without one for no object, and boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.perception.queries import MOST_CLASSES, classify, corners, names_by_number

LOGIT = st.floats(-90, 90, width=32)


@given(st.lists(LOGIT, min_size=3, max_size=3))
def test_focal(logits):
    score, label = classify(np.array([logits], np.float32), classes=3)
    best = max(logits)
    assert label[0] == logits.index(best)
    assert score[0] == pytest.approx(1 / (1 + math.exp(-best)), abs=1e-6)


@given(st.lists(LOGIT, min_size=4, max_size=4))
def test_shared_with_no_object(logits):
    score, label = classify(np.array([logits], np.float32), classes=3)
    total = sum(math.exp(value) for value in logits)
    shares = [math.exp(value) / total for value in logits[:3]]
    assert score[0] == pytest.approx(max(shares), abs=1e-6)
    assert label[0] == logits.index(max(logits[:3]))


@pytest.mark.parametrize('classes', [3, 2])
@pytest.mark.parametrize('broken', [[math.nan] * 3, [math.nan, 1, math.inf], [1, math.nan, 0]])
def test_broken_numbers_stay_broken(broken, classes):
    score, _ = classify(np.array([broken], np.float32), classes)
    assert math.isnan(score[0])


def test_corners_by_hand():
    (box,) = corners(np.array([[0.5, 0.25, 0.2, 0.5]], np.float32), height=100, width=200)
    np.testing.assert_allclose(box, [80, 0, 120, 50], atol=1e-5)


def test_classes_without_a_name():
    assert names_by_number({0: 'cat', 2: 'dog'}) == ('cat', '1', 'dog')
    assert names_by_number({}) == ()
    assert len(names_by_number({10**9: 'far'})) == MOST_CLASSES
