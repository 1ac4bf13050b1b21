"""Weighted sums of samples: both forms against a naive loop, at and beyond every border."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from mot_perception.fdta.sampling import gathered_sum, levels_of, sampled_sum

SIZES = [(5, 7), (3, 4), (1, 2)]
BATCH, HEADS, CHANNELS, QUERIES, POINTS = 2, 2, 3, 4, 2


def by_grid(value, places, weights):
    return sampled_sum(value, SIZES, places, weights)


def by_table(value, places, weights):
    levels = levels_of(SIZES, POINTS, value.device)
    return gathered_sum(value, levels, places, weights)


def drawn(precision=torch.float32, reach=0.2):
    """Values, places up to `reach` beyond the borders, and weights."""
    torch.manual_seed(1)
    tokens = sum(h * w for h, w in SIZES)
    samples = BATCH, QUERIES, HEADS, len(SIZES), POINTS
    places = torch.rand(*samples, 2, dtype=precision) * (1 + 2 * reach) - reach
    value = torch.randn(BATCH, tokens, HEADS, CHANNELS, dtype=precision)
    return value, places, torch.rand(samples, dtype=precision)


def bilinear(feature, x, y):
    """Value of one h×w map at x, y in [0, 1]; zero beyond."""
    height, width = feature.shape
    column, row = x * width - 0.5, y * height - 0.5
    value = 0.0
    for i, j in itertools.product(range(2), range(2)):
        r, c = math.floor(row) + i, math.floor(column) + j
        if 0 <= r < height and 0 <= c < width:
            value += float(feature[r, c]) * (1 - abs(row - r)) * (1 - abs(column - c))
    return value


def loop(value, places, weights):
    expected = torch.zeros(BATCH, QUERIES, HEADS, CHANNELS)
    levels = value.split([h * w for h, w in SIZES], 1)
    for b, q, h, c in itertools.product(*map(range, (BATCH, QUERIES, HEADS, CHANNELS))):
        for level, size in enumerate(SIZES):
            feature = levels[level][b, :, h, c].view(size)
            for p in range(POINTS):
                x, y = places[b, q, h, level, p].tolist()
                share = float(weights[b, q, h, level, p])
                expected[b, q, h, c] += share * bilinear(feature, x, y)
    return expected.flatten(2)


@pytest.mark.parametrize('summed', [by_grid, by_table])
@pytest.mark.parametrize('reach', [0.0, 0.2, 3.0])
def test_is_the_loop(summed, reach, device):
    drawing = drawn(reach=reach)
    found = summed(*(part.to(device) for part in drawing))
    torch.testing.assert_close(found.cpu(), loop(*drawing), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('summed', [by_grid, by_table])
def test_on_and_around_the_borders(summed, device):
    """Half a pixel outside only the border pixel counts, a whole pixel outside nothing does."""
    value, places, weights = drawn()
    edges = [0, 1, -0.5, 1.5, -1e-7, 1 + 1e-7, -1e9, 1e9]
    for x, y in itertools.product(edges, edges):
        places[..., 0], places[..., 1] = x, y
        found = summed(value.to(device), places.to(device), weights.to(device))
        torch.testing.assert_close(found.cpu(), loop(value, places, weights), atol=1e-5, rtol=1e-5)


def test_no_numbers_are_outside(device):
    """A table has no row for them; to read beside it would end the process on a GPU."""
    value, places, weights = (part.to(device) for part in drawn())
    for wrong in (math.nan, math.inf, -math.inf):
        places[...] = wrong
        assert not by_table(value, places, weights).any()


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision_keeps_places(precision, device):
    """Values and weights are rounded, places are not: a half of 1 tells no tenth of a pixel."""
    value, places, weights = (part.to(device) for part in drawn())
    value, weights = value.to(precision), weights.to(precision)
    found = by_table(value, places, weights)
    assert found.dtype == precision
    expected = by_table(value.float(), places, weights.float())
    atol = 5e-3 if precision == torch.float16 else 4e-2
    torch.testing.assert_close(found.float(), expected, atol=atol, rtol=0)


def test_gradients():
    value, places, weights = (part.requires_grad_() for part in drawn(torch.float64))
    assert torch.autograd.gradcheck(by_grid, (value, places, weights))
