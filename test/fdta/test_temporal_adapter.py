"""Temporal Adapter: who sees whom, in one pass and row by row."""

from __future__ import annotations

import math

import pytest
import torch

from mot_perception.fdta.temporal_adapter import TemporalAdapter, rotated, row_code, visible_rows

B, G, T, N, WIDTH, WINDOW = 2, 2, 5, 3, 32, 6
CODES = ['row', 'relative']


@pytest.fixture(params=CODES)
def adapter(request, tiny, device):
    torch.manual_seed(0)
    settings = tiny.temporal.model_copy(update={'time_code': request.param})
    return TemporalAdapter(WIDTH, WINDOW, settings).eval().to(device)


@pytest.fixture
def clip(device):
    torch.manual_seed(1)
    return (
        torch.randn(B, G, T, N, WIDTH, device=device),
        torch.rand(B, G, T, N, device=device) < 0.3,
        torch.rand(B, T, device=device).cumsum(1) * 3,
    )


def test_mask_is_the_loop():
    missing = torch.rand(7, 9) < 0.4
    for window in (2, 4, 20):
        found = visible_rows(missing, window)
        assert found.shape == (7, 9, 9)
        for sequence in range(7):
            for query in range(9):
                for key in range(9):
                    older = query - window < key < query and not missing[sequence, key]
                    assert found[sequence, query, key] == (older or query == key)


def test_row_code():
    code = row_code(1, 30, 8, torch.device('cpu'))
    assert code.shape == (30, 8)
    expected = [f(5 / 10000 ** (2 * p / 8)) for p in range(4) for f in (math.sin, math.cos)]
    torch.testing.assert_close(code[4], torch.tensor(expected))
    assert torch.equal(row_code(7, 3, 8, code.device), code[6:9])


def test_rotation_keeps_lengths_and_knows_differences_alone():
    query, key = torch.randn(1, 2, 1, 8), torch.randn(1, 2, 1, 8)

    def product(first, second):
        turned = [rotated(h, torch.tensor([[t]])) for h, t in ((query, first), (key, second))]
        torch.testing.assert_close(turned[0].norm(dim=-1), query.norm(dim=-1))
        return (turned[0] * turned[1]).sum(-1)

    near, far = product(4.5, 1.25), product(4.5 + 2**20, 1.25 + 2**20)
    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(near, product(5.5, 1.25))
    torch.testing.assert_close(product(3.0, 3.0), (query * key).sum(-1))


def test_shapes(adapter, clip):
    features, missing, times = clip
    assert adapter(features, missing, times).shape == features.shape


@pytest.mark.parametrize('shape', [(1, 1, 1, 1), (1, 1, 4, 0), (1, 2, 0, 3), (2, 1, 1, 2)])
def test_few_or_none(adapter, device, shape):
    features = torch.randn(*shape, WIDTH, device=device)
    missing = torch.zeros(shape, dtype=torch.bool, device=device)
    times = torch.zeros(shape[0], shape[2], device=device)
    assert adapter(features, missing, times).shape == (*shape, WIDTH)


def test_no_row_sees_a_later_one(adapter, clip):
    features, missing, times = clip
    before = adapter(features, missing, times)
    for row in range(T):
        other = features.clone()
        other[:, :, row] += 5
        after = adapter(other, missing, times)
        assert torch.equal(after[:, :, :row], before[:, :, :row])
        assert not torch.equal(after[:, :, row], before[:, :, row])


def test_no_row_sees_a_missing_one(adapter, clip):
    features, missing, times = clip
    before = adapter(features, missing, times)
    other = torch.where(missing[..., None], 77.0, features)
    after = adapter(other, missing, times)
    assert torch.equal(after[~missing], before[~missing])
    seen = ~missing
    other = torch.where(seen[..., None], features + 1, features)
    assert not torch.equal(adapter(other, missing, times)[seen], before[seen])


def test_all_missing_is_finite(adapter, clip):
    features, missing, times = clip
    assert adapter(features, torch.ones_like(missing), times).isfinite().all()


def test_tracks_and_groups_know_nothing_of_each_other(adapter, clip):
    features, missing, times = clip
    before = adapter(features, missing, times)
    tracks, groups = torch.tensor([2, 0, 1]), torch.tensor([1, 0])
    after = adapter(features[:, :, :, tracks], missing[:, :, :, tracks], times)
    torch.testing.assert_close(after, before[:, :, :, tracks], atol=1e-6, rtol=1e-5)
    after = adapter(features[:, groups], missing[:, groups], times)
    torch.testing.assert_close(after, before[:, groups], atol=1e-6, rtol=1e-5)


def test_a_batch_is_the_loop_over_its_clips(adapter, clip):
    together = adapter(*clip)
    for i in range(B):
        alone = adapter(*(part[i : i + 1] for part in clip))
        torch.testing.assert_close(together[i], alone[0], atol=1e-5, rtol=1e-5)


def streamed(adapter, features, missing, times):
    """All rows of (1, 1, T, N, …), one after the other; zeros where a track is missing."""
    past, track_of, row_of = adapter.nothing(), torch.empty(0).long(), torch.empty(0).long()
    rows = torch.zeros_like(features[0, 0])
    for row in range(len(rows)):
        tracks = (~missing[0, 0, row]).nonzero()[:, 0].cpu()
        within = row_of > row - adapter.window
        past, track_of, row_of = past[within.to(past.device)], track_of[within], row_of[within]
        seen = (tracks[:, None] == track_of).to(past.device)
        when = times[:, row].expand(len(tracks))
        rows[row, tracks], more = adapter.step(features[0, 0, row, tracks], past, seen, when, row)
        past = torch.cat([past, more])
        track_of = torch.cat([track_of, tracks])
        row_of = torch.cat([row_of, torch.full_like(tracks, row)])
    return rows, past


@pytest.mark.parametrize('rows', [1, WINDOW, 3 * WINDOW])
def test_streaming_is_the_pass(adapter, device, rows):
    features = torch.randn(1, 1, rows, N, WIDTH, device=device)
    missing = torch.rand(1, 1, rows, N, device=device) < 0.3
    times = torch.rand(1, rows, device=device).cumsum(1) * 3
    step_by_step, past = streamed(adapter, features, missing, times)
    at_once = adapter(features, missing, times)[0, 0]
    there = ~missing[0, 0]
    torch.testing.assert_close(step_by_step[there], at_once[there], atol=1e-5, rtol=1e-5)
    sightings = int(there[-WINDOW:].sum())
    assert past.shape == (sightings, len(adapter.trca), 2, WIDTH)


def test_a_row_in_which_nobody_is_seen(adapter, device):
    nobody = torch.zeros(0, WIDTH, device=device)
    seen = torch.zeros(0, 0, dtype=torch.bool, device=device)
    out, more = adapter.step(nobody, adapter.nothing(), seen, torch.zeros(0, device=device))
    assert out.shape == (0, WIDTH)
    assert more.shape == (0, len(adapter.trca), 2, WIDTH)


def test_relative_code_does_not_know_when(tiny):
    settings = tiny.temporal.model_copy(update={'time_code': 'relative'})
    adapter = TemporalAdapter(WIDTH, WINDOW, settings).eval()
    features, missing = torch.randn(1, 1, T, N, WIDTH), torch.zeros(1, 1, T, N, dtype=torch.bool)
    times = torch.arange(T, dtype=torch.float64)[None]
    before = adapter(features, missing, times)
    torch.testing.assert_close(adapter(features, missing, times + 1e6), before)
    assert not torch.allclose(adapter(features, missing, times * 2), before)


def test_dropout_in_training_alone(adapter, clip):
    assert torch.equal(adapter(*clip), adapter(*clip))
    adapter.train()
    assert not torch.equal(adapter(*clip), adapter(*clip))


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision(adapter, clip, precision):
    features, missing, times = clip
    whole = adapter(features, missing, times)
    half = adapter.to(precision)(features.to(precision), missing, times)
    assert half.dtype == precision
    atol = 0.02 if precision == torch.float16 else 0.15
    torch.testing.assert_close(half.float(), whole, atol=atol, rtol=0)


def test_other_shapes_are_refused(adapter, clip):
    features, missing, times = clip
    with pytest.raises(ValueError, match='B, G, T, N'):
        adapter(features[0], missing[0], times)
    with pytest.raises(ValueError, match='B, G, T, N'):
        adapter(features, missing[..., :-1], times)


def test_relative_code_needs_times(tiny, clip):
    settings = tiny.temporal.model_copy(update={'time_code': 'relative'})
    adapter = TemporalAdapter(WIDTH, WINDOW, settings).to(clip[0].device)
    with pytest.raises(ValueError, match='times'):
        adapter(*clip[:2])
