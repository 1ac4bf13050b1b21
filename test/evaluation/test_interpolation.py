"""Invariants of the interpolation that the benchmark results of the paper include."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import no_rows, rows_of

from mot_perception.evaluation.interpolation import interpolate


def track(frames, id_=1):
    frames = np.asarray(frames, float)
    columns = frames, np.full(len(frames), id_), 3 * frames, 5 - 2 * frames, 10 + frames
    return np.column_stack([*columns, np.full(len(frames), 20.0)])


def with_gap(rows, gap):
    """Frames 1, 2 … with one step of `gap` frames in the middle, `rows` rows in all."""
    frames = np.arange(rows)
    frames[rows // 2 :] += gap - 1
    return track(frames + 1)


@pytest.mark.parametrize(
    ('rows', 'gap', 'filled'),
    [
        (31, 19, 18),  # the longest gap that is filled
        (31, 20, 0),  # one frame too long
        (30, 19, 0),  # one row too few
        (31, 2, 1),  # a single frame missed
        (31, 1, 0),  # nothing missing
    ],
)
def test_which_gaps_are_filled(rows, gap, filled):
    assert len(interpolate(rows_of(with_gap(rows, gap))).frame) == rows + filled


def test_boxes_and_scores_lie_on_the_line():
    rows = rows_of(with_gap(40, 10))
    rows.score[:] = rows.frame / 100
    filled = interpolate(rows)
    whole = rows_of(track(filled.frame))
    np.testing.assert_array_equal(filled.frame, np.arange(1, 50))
    np.testing.assert_allclose(filled.xyxy, whole.xyxy)
    np.testing.assert_allclose(filled.score, filled.frame / 100)


def test_no_rows_stay_no_rows():
    assert len(interpolate(no_rows()).frame) == 0


def test_limits_are_the_callers():
    rows = rows_of(with_gap(5, 30))
    assert len(interpolate(rows, max_gap=31, min_length=4).frame) == 5 + 29


@given(
    st.lists(st.sets(st.integers(1, 120), min_size=1), min_size=1, max_size=4),
    st.integers(2, 25),
    st.integers(0, 40),
    st.randoms(use_true_random=False),
)
def test_given_rows_stay_and_a_second_pass_adds_nothing(tracks, max_gap, min_length, random):
    table = np.vstack([track(sorted(frames), k) for k, frames in enumerate(tracks)])
    order = list(range(len(table)))
    random.shuffle(order)
    rows = rows_of(table[order])
    once = interpolate(rows, max_gap, min_length)
    keys = list(zip(once.frame.tolist(), once.id.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert set(zip(rows.frame.tolist(), rows.id.tolist(), strict=True)) <= set(keys)
    twice = interpolate(once, max_gap, min_length)
    np.testing.assert_array_equal(twice.frame, once.frame)
    np.testing.assert_array_equal(twice.xyxy, once.xyxy)
    oracle = sum(fill_count(sorted(frames), max_gap, min_length) for frames in tracks)
    assert len(keys) - len(table) == oracle


def fill_count(frames, max_gap, min_length):
    if len(frames) <= min_length:
        return 0
    steps = [b - a for a, b in pairwise(frames)]
    return sum(step - 1 for step in steps if 1 < step < max_gap)
