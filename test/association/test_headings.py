"""Headings and references beside a dictionary of everything that was observed."""

from __future__ import annotations

import association_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.association.headings import displacement, references, turn

HISTORY = 8
reaches = st.integers(1, HISTORY - 1)
seen_frames = st.lists(st.booleans(), max_size=40)


class Walker:
    """One object: what the code remembers of it, and all that was ever seen of it."""

    def __init__(self, reach, points, longest):
        self.reach, self.longest = reach, longest
        self.heading = np.zeros((points, 2))
        self.last = np.full(4, np.nan)
        self.boxes, self.ages = np.zeros((HISTORY, 4)), np.full(HISTORY, -1)
        self.age, self.seen = 0, {}

    def observe(self, box):
        expected = self.expected_heading(box)
        memory = self.last, self.boxes, self.ages
        turn(self.heading, box, self.age, *memory, self.reach, self.longest)
        self.last = self.boxes[self.age % HISTORY] = box
        self.ages[self.age % HISTORY] = self.age
        self.seen[self.age] = box
        return expected

    def past(self):
        """Boxes seen up to `reach` frames ago, the oldest first; else the last one."""
        near = [
            self.seen[self.age - k] for k in range(self.reach, 0, -1) if self.age - k in self.seen
        ]
        return near or ([self.seen[max(self.seen)]] if self.seen else [])

    def expected_heading(self, box):
        points = len(self.heading)
        past = self.past()[:1] if self.longest else self.past()
        total = sum((oracle.headings(old, box, points) for old in past), np.zeros((points, 2)))
        return total if self.longest else total / self.reach

    def reference(self):
        memory = self.last[None], self.boxes[None], self.ages[None]
        return references(np.array([self.age]), *memory, self.reach)[0]

    def expected_reference(self):
        past = self.past()
        return past[0] if past else np.full(4, np.nan)


@settings(deadline=None)
@given(seen_frames, st.integers(0, 99), reaches, st.sampled_from([1, 4]), st.booleans())
def test_beside_a_dictionary(frames, seed, reach, points, longest):
    rng = np.random.default_rng(seed)
    walker = Walker(reach, points, longest)
    for observed in frames:
        walker.age += 1
        np.testing.assert_array_equal(walker.reference(), walker.expected_reference())
        if observed:
            corner = rng.integers(-300, 300, 2)
            box = np.hstack([corner, corner + rng.integers(5, 90, 2)]).astype(float)
            expected = walker.observe(box)
            np.testing.assert_allclose(walker.heading, expected, atol=1e-12)


def test_first_observation_has_no_heading_and_no_reference():
    walker = Walker(3, 1, True)
    walker.age = 5
    assert np.isnan(walker.reference()).all()
    walker.observe(np.array([0, 0, 10, 10.0]))
    np.testing.assert_array_equal(walker.heading, [[0, 0]])


@pytest.mark.parametrize('points', [1, 4])
@pytest.mark.parametrize('longest', [True, False])
def test_boxes_at_negative_coordinates_have_a_heading(points, longest):
    walker = Walker(3, points, longest)
    for step in range(5):
        walker.age += 1
        walker.observe(np.array([-61.0 + 4 * step, -81, 9 + 4 * step, 11]))
    np.testing.assert_allclose(walker.heading, [[1, 0]] * points, atol=1e-5)


def test_headings_that_disagree_are_short():
    """To and fro: the sum over all intervals cancels; the longest alone does not know."""
    steady, restless = Walker(2, 1, False), Walker(2, 1, False)
    for step, x in enumerate([0, 10, 3, 9]):
        for walker, place in ((steady, 10 * step), (restless, x)):
            walker.age += 1
            walker.observe(np.array([place, 0, place + 20, 40.0]))
    assert steady.heading[0, 0] == pytest.approx(1, abs=1e-4)
    assert abs(restless.heading[0, 0]) < 0.01


@pytest.mark.parametrize(
    ('change', 'point', 'points', 'expected'),
    [
        ((5, 0, 5, 0), 0, 1, (1, 0)),  # the centre
        ((6, -8, 0, 0), 0, 4, (0.6, -0.8)),  # left top
        ((0, -8, 6, 0), 1, 4, (0.6, -0.8)),  # right top
        ((6, 0, 0, -8), 2, 4, (0.6, -0.8)),  # left bottom
        ((0, 0, 6, -8), 3, 4, (0.6, -0.8)),  # right bottom
        ((6, -8, 0, 0), 3, 4, (0, 0)),  # right bottom stayed
    ],
)
def test_displacement(change, point, points, expected):
    old = np.array([-10, 0, 20, 40], float)
    moved = displacement(np.add(old, change), old, point, points)
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_many_tracks_are_many_single_tracks():
    rng = np.random.default_rng(0)
    walkers = [Walker(3, 1, True) for _ in range(7)]
    for _ in range(30):
        for walker in walkers:
            walker.age += 1
            if rng.random() < 0.5:
                walker.observe(rng.normal(size=4))
    together = references(
        np.array([w.age for w in walkers]),
        np.array([w.last for w in walkers]),
        np.array([w.boxes for w in walkers]),
        np.array([w.ages for w in walkers]),
        3,
    )
    np.testing.assert_array_equal(together, [w.expected_reference() for w in walkers])
