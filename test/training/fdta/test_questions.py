"""Labels and faults of FDTA's training, by what the specification says of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.training.fdta.questions import make_questions


def clip(frames=12, count=5, seed=0):
    random = np.random.default_rng(seed)
    low = random.uniform(0, 100, (frames, count, 2))
    present = random.random((frames, count)) < 0.8
    return present, np.concatenate([low, low + random.uniform(5, 40, low.shape)], -1)


def ask(present, boxes, seed=0, *, groups=6, identities=9, switches='uniform'):
    random = np.random.default_rng(seed)
    return make_questions(
        present, boxes, random, groups=groups, identities=identities, switches=switches
    )


@given(st.integers(0, 10_000), st.sampled_from(['uniform', 'spatial']), st.integers(0, 14))
@settings(max_examples=40, deadline=None)
def test_what_holds_of_all_questions(seed, switches, count):
    present, boxes = clip(count=count, seed=seed)
    asked = ask(present, boxes, seed, switches=switches)
    groups, frames, columns = asked.source.shape
    assert (groups, frames, columns) == (6, 12, min(count, 9))
    assert len(set(asked.columns)) == columns
    for group in range(groups):
        labels = asked.labels[group].tolist()
        assert len(set(labels)) == columns
        assert set(labels) <= set(range(9))
        for frame in range(frames):
            # Observations are dealt, not made up: what is seen of whom is all there.
            assert sorted(asked.source[group, frame]) == list(range(columns))
            dealt = (~asked.missing)[group, frame]
            seen = (~asked.asked_missing)[group, frame]
            assert sorted(asked.source[group, frame][dealt]) == np.flatnonzero(seen).tolist()
            for column in range(columns):
                known = (~asked.missing)[group, :frame, column].any()
                right = labels[column] if known else 9
                assert asked.target[group, frame, column] == right
    there = present[:, asked.columns]
    assert not (~asked.asked_missing & ~there).any()


def test_groups_have_other_labels():
    asked = ask(*clip())
    assert len({tuple(labels) for labels in asked.labels.tolist()}) > 1


def test_gaps_are_one_run_and_leave_the_rest():
    """Half of the tracks have one, from frame s for ⌈(T − 1 − s)·u⌉ frames."""
    present = np.ones((20, 400), np.bool_)
    asked = ask(present, clip(20, 400)[1], groups=1, identities=400)
    hidden = asked.asked_missing[0].astype(int)
    edges = np.abs(np.diff(np.vstack([hidden[:1] * 0, hidden, hidden[:1] * 0]), axis=0)).sum(0)
    assert set(edges) <= {0, 2}
    assert 0.4 < (edges == 2).mean() < 0.55
    assert not hidden[-1].any()


@pytest.mark.parametrize(('switches', 'near'), [('uniform', False), ('spatial', True)])
def test_neighbours_are_confused_rather_than_strangers(switches, near):
    """Pairs of overlapping boxes, far from the other pairs."""
    frames, pairs = 200, 5
    x = np.repeat(100.0 * np.arange(pairs), 2) + np.tile([0, 3], pairs)
    boxes = np.stack([x, 0 * x, x + 10, 0 * x + 20], 1)
    boxes = np.broadcast_to(boxes, (frames, 2 * pairs, 4))
    asked = ask(np.ones((frames, 2 * pairs), np.bool_), boxes, identities=10, switches=switches)
    moved = asked.source != np.arange(2 * pairs)
    within = (asked.source // 2) == (np.arange(2 * pairs) // 2)
    share = (within & moved).sum() / moved.sum()
    assert moved.any()
    assert (share > 0.6) == near


def test_the_asked_are_not_switched():
    present, boxes = clip()
    one, two = (ask(present, boxes, switches=it) for it in ('uniform', 'spatial'))
    assert one.source.tolist() != np.broadcast_to(np.arange(5), one.source.shape).tolist()
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.asked_missing, two.asked_missing)
