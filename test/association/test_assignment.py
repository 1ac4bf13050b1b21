"""Assignment: the best there is, never beside the gate, whole or in groups."""

from __future__ import annotations

import numpy as np
import pytest
from association_oracle import best_complete, best_partial
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mot_perception.association import assignment
from mot_perception.association.assignment import match, solve

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 4)


@pytest.fixture(params=[4096, 0], ids=['whole', 'groups'])
def both_ways(request, monkeypatch):
    """Small problems solved whole, and split as large ones are."""
    monkeypatch.setattr(assignment, '_SMALL', request.param)


def problem(rng, n, m, density=0.6):
    return rng.uniform(-0.5, 1, (n, m)), rng.random((n, m)) < density


def assert_one_to_one(rows, columns):
    assert len(rows) == len(columns) == len(set(rows.tolist())) == len(set(columns.tolist()))


def test_match_is_the_best_of_all_permutations(both_ways):
    for seed in range(300):
        rng = np.random.default_rng(seed)
        similarity, candidates = problem(rng, *rng.integers(1, 5, 2))
        rows, columns = match(similarity, candidates)
        assert_one_to_one(rows, columns)
        assert candidates[rows, columns].all()
        assert (similarity[rows, columns] > 0).all()
        best = best_partial(np.where(candidates, similarity, 0))
        assert similarity[rows, columns].sum() == pytest.approx(best)


def test_ties_are_matched_in_full(both_ways):
    rows, columns = match(np.ones((5, 5)), np.ones((5, 5), bool))
    assert_one_to_one(rows, columns)
    assert len(rows) == 5


def test_permuting_detections_permutes_the_answer(both_ways):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        similarity, candidates = problem(rng, 6, 5)
        order = rng.permutation(6)
        pairs = set(zip(*(x.tolist() for x in match(similarity, candidates)), strict=True))
        rows, columns = match(similarity[order], candidates[order])
        assert set(zip(order[rows].tolist(), columns.tolist(), strict=True)) == pairs


def test_a_chain_is_not_taken_greedily(both_ways):
    """The best pair alone (0.9) is less than the two others together."""
    similarity = np.array([[0.9, 0.6], [0.6, 0.0]])
    rows, columns = match(similarity, similarity > 0)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_no_candidates_no_pairs(both_ways):
    rows, columns = match(np.ones((3, 4)), np.zeros((3, 4), bool))
    assert len(rows) == len(columns) == 0
    rows, columns = match(-np.ones((3, 4)), np.ones((3, 4), bool))
    assert len(rows) == len(columns) == 0


@pytest.mark.parametrize('shape', [(0, 0), (0, 5), (5, 0)])
def test_nobody_to_match(shape):
    for rows, columns in (
        match(np.empty(shape), np.empty(shape, bool)),
        solve(np.empty(shape)),
    ):
        assert len(rows) == len(columns) == 0


@pytest.mark.parametrize('density', [0.002, 0.01, 0.2])
@pytest.mark.parametrize('shape', [(100, 80), (65, 64), (300, 20)])
def test_large_problems_in_groups_are_as_good_as_whole(shape, density):
    rng = np.random.default_rng(0)
    similarity, candidates = problem(rng, *shape, density)
    rows, columns = match(similarity, candidates)
    assert_one_to_one(rows, columns)
    assert candidates[rows, columns].all()
    gain = np.where(candidates, np.maximum(similarity, 0), 0)
    whole = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert similarity[rows, columns].sum() == pytest.approx(whole)


@given(seeds, counts, counts)
def test_solve_is_complete_and_best(seed, n, m):
    similarity = np.random.default_rng(seed).uniform(-1, 1, (n, m))
    rows, columns = solve(similarity)
    assert_one_to_one(rows, columns)
    assert len(rows) == min(n, m)
    assert similarity[rows, columns].sum() == pytest.approx(best_complete(similarity))


@pytest.mark.parametrize('shape', [(1, 1), (40, 60), (60, 60), (120, 50), (50, 120)])
def test_both_solvers_reach_the_same_total(shape, monkeypatch):
    pytest.importorskip('lap', reason='the optional second solver is not installed')
    similarity = np.random.default_rng(1).uniform(-1, 1, shape)
    rows, columns = solve(similarity)
    assert_one_to_one(rows, columns)
    assert len(rows) == min(shape)
    monkeypatch.setattr(assignment, 'lapjv', None)
    assert similarity[rows, columns].sum() == pytest.approx(similarity[solve(similarity)].sum())
