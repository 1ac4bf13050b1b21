"""How well vectors tell objects apart: against a loop, and at the extremes."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip('torch')
similarity = pytest.importorskip('mot_perception.depthseg.similarity')

PAIR = [0, 2, 0, 0, 3, 2]
"""Object 4 is alone."""


def measured(u1, u2, pair):
    return similarity.Similarity.of(similarity.similarity_sums(u1, u2, torch.tensor(pair)))


def random_vectors(seed, count=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=1)


@pytest.mark.parametrize('seed', range(5))
def test_loop(seed):
    u1 = random_vectors(seed)
    u2 = torch.nn.functional.normalize(u1 + random_vectors(seed + 100), dim=1)
    match, different, hardest, first = [], [], [], []
    for i, pair in enumerate(PAIR):
        others = [float(u1[i] @ u2[j]) for j in range(len(PAIR)) if j != i and PAIR[j] == pair]
        if others:
            match.append(float(u1[i] @ u2[i]))
            different.append(sum(others) / len(others))
            hardest.append(max(others))
            first.append(match[-1] > hardest[-1])
    said = measured(u1, u2, PAIR)
    assert said.objects == 5
    for mine, expected in zip(said[1:], (match, different, hardest, first), strict=True):
        assert mine == pytest.approx(sum(expected) / 5)
    assert said.margin == pytest.approx(said.match - said.hardest)


def test_collapse_is_one():
    constant = random_vectors(0, 1).expand(len(PAIR), -1)
    said = measured(constant, constant, PAIR)
    assert said.different == pytest.approx(1)
    assert said.margin == pytest.approx(0, abs=1e-6)
    assert said.rank1 == 0


def test_perfect():
    said = measured(torch.eye(6), torch.eye(6), PAIR)
    assert said == (5, 1, 0, 0, 1)


@pytest.mark.parametrize('pair', [[], [0], [0, 1, 2]])
def test_no_others(pair):
    u = random_vectors(1, len(pair))
    said = measured(u, u, pair)
    assert said.objects == 0
    assert math.isnan(said.margin)


def test_batches_add_up():
    u1, u2 = random_vectors(2), random_vectors(3)
    pair = torch.tensor(PAIR)
    whole = similarity.similarity_sums(u1, u2, pair)
    parts = [
        similarity.similarity_sums(u1[rows], u2[rows], pair[rows])
        for rows in (pair == 0, pair > 0)
    ]
    torch.testing.assert_close(sum(parts), whole)
