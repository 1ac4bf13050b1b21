"""Which boxes count as objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_boxes import alone

from mot_perception.perception import selection
from mot_perception.perception.selection import Selection

ALL = np.arange(10)


class TestSelection:
    BOXES = np.array(
        [[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [51, 50, 61, 60], [0, 0, 10, 10]]
    )
    SCORE = np.array([0.5, 0.9, 0.1, 0.3, 0.8])
    LABEL = np.array([0, 0, 1, 2, 1])

    def select(self, **settings):
        chosen = {'score': 0.0, 'classes': ALL, 'overlap': None} | settings
        return Selection(**chosen)(self.BOXES, self.SCORE, self.LABEL)

    def test_the_best_first(self):
        found = self.select()
        np.testing.assert_array_equal(found.score, [0.9, 0.8, 0.5, 0.3, 0.1])
        np.testing.assert_array_equal(found.xyxy, self.BOXES[[1, 4, 0, 3, 2]])
        np.testing.assert_array_equal(found.label, [0, 1, 0, 2, 1])

    def test_lowest_score_belongs_to_it(self):
        np.testing.assert_array_equal(self.select(score=0.3).score, [0.9, 0.8, 0.5, 0.3])

    def test_overlaps_of_one_class(self):
        np.testing.assert_array_equal(self.select(overlap=0.5).score, [0.9, 0.8, 0.3, 0.1])

    def test_classes(self):
        found = self.select(classes=np.array([1, 2]))
        np.testing.assert_array_equal(found.label, [1, 2, 1])

    def test_unwanted_classes_suppress_nothing(self):
        """Both boxes at (50, 50) are there, though of two classes; nor do they hide each other."""
        assert len(self.select(classes=np.array([2]), overlap=0.0)) == 1

    @pytest.mark.parametrize('broken', [math.nan, math.inf, -math.inf])
    def test_broken_numbers(self, broken):
        boxes, score = self.BOXES.copy(), self.SCORE.copy()
        boxes[0, 2], score[1] = broken, broken
        found = Selection(0.0, ALL, 0.5)(boxes, score, self.LABEL)
        np.testing.assert_array_equal(found.score, [0.8, 0.3, 0.1])

    def test_nothing(self):
        assert len(Selection(0.0, ALL, 0.5)(np.empty((0, 4)), np.empty(0), np.empty(0))) == 0

    def test_many(self):
        rng = np.random.default_rng(0)
        count = selection.MOST_BOXES + 500
        score = rng.uniform(size=count)
        found = Selection(0.0, ALL)(rng.uniform(size=(count, 4)), score, np.zeros(count))
        np.testing.assert_array_equal(found.score, np.sort(score)[::-1][: selection.MOST_BOXES])


def test_crowd():
    """As many boxes as there may be, all of them apart: none is lost."""
    x, y = np.meshgrid(np.arange(60.0), np.arange(50.0))
    corner = 10 * np.stack([x.ravel(), y.ravel()], 1)
    found = Selection(0.1, ALL, 0.5)(
        np.hstack([corner, corner + 9]), np.ones(3000), np.zeros(3000)
    )
    assert len(found) == selection.MOST_BOXES


BOXES = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(0, 8)] * 2, st.integers(0, 1)), max_size=20
)


class TestSuppress:
    def rows(self, boxes) -> np.ndarray:
        """Return rows as `alone` takes them, of boxes that lie about each other."""
        rows = [(x, y, x + w, y + h, 1, label) for x, y, w, h, label in boxes]
        return np.array(rows, np.float64).reshape(-1, 6)

    def suppress(self, rows, threshold):
        boxes, label = np.ascontiguousarray(rows[:, :4]), rows[:, 5].astype(np.int32)
        return rows[selection.suppress(boxes, label, threshold)]

    @given(BOXES, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
    def test_is_a_loop_over_pairs(self, boxes, threshold):
        rows = self.rows(boxes)
        expected = np.array(alone(rows.tolist(), threshold)).reshape(-1, 6)
        np.testing.assert_array_equal(self.suppress(rows, threshold), expected)

    @given(BOXES, st.floats(0, 1))
    def test_twice_is_as_good_as_once(self, boxes, threshold):
        once = self.suppress(self.rows(boxes), threshold)
        np.testing.assert_array_equal(self.suppress(once, threshold), once)

    @given(BOXES, st.floats(0, 1))
    def test_classes_do_not_see_each_other(self, boxes, threshold):
        rows = self.rows(boxes)
        both = self.suppress(rows, threshold)
        for label in (0, 1):
            own = self.suppress(rows[rows[:, 5] == label], threshold)
            np.testing.assert_array_equal(both[both[:, 5] == label], own)
