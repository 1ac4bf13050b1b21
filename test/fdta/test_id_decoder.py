"""ID decoder: who sees what of the history, and what labels mean."""

from __future__ import annotations

import pytest
import torch

from mot_perception.fdta.id_decoder import Current, History, IdDecoder, visible_history
from mot_perception.fdta.network import Fdta

B, G, T, N, WIDTH, WINDOW, NEWBORN = 2, 2, 5, 3, 32, 6, 9


@pytest.fixture
def decoder(tiny, device):
    torch.manual_seed(0)
    return biased(IdDecoder(WIDTH, WINDOW, tiny.identity)).to(device)


def biased(module):
    for name, parameter in module.named_parameters():
        if name.endswith('rel_pos_embeds'):
            torch.nn.init.normal_(parameter)
    return module.eval()


@pytest.fixture
def clip(device):
    """Training form: what is asked for are the same rows as the history."""
    torch.manual_seed(1)
    missing = torch.rand(B, G, T, N, device=device) < 0.3
    times = torch.arange(T, device=device).expand(B, T)
    labels = torch.stack([torch.randperm(NEWBORN)[:N] for _ in range(B * G)]).view(B, G, 1, N)
    history = History(
        torch.randn(B, G, T, N, WIDTH, device=device),
        labels.expand(B, G, T, N).to(device),
        missing,
        times,
    )
    return history, Current(torch.randn(B, G, T, N, WIDTH, device=device), missing, times)


def test_shapes(decoder, clip):
    assert decoder(*clip).shape == (B, G, T, N, NEWBORN + 1)


@pytest.mark.parametrize('rows', [0, 3])
@pytest.mark.parametrize('tracks', [0, 2])
@pytest.mark.parametrize('detections', [0, 1, 1000])
def test_few_none_and_many(decoder, device, rows, tracks, detections):
    history = History(
        torch.randn(1, 1, rows, tracks, WIDTH, device=device),
        torch.zeros(1, 1, rows, tracks, dtype=torch.int64, device=device),
        torch.zeros(1, 1, rows, tracks, dtype=torch.bool, device=device),
        torch.arange(rows, device=device)[None],
    )
    current = Current(
        torch.randn(1, 1, 1, detections, WIDTH, device=device),
        torch.zeros(1, 1, 1, detections, dtype=torch.bool, device=device),
        torch.tensor([[rows]], device=device),
    )
    logits = decoder(history, current)
    assert logits.shape == (1, 1, 1, detections, NEWBORN + 1)
    assert logits.isfinite().all()


def test_mask_is_the_loop(clip):
    history, current = clip
    found = visible_history(history, current)
    assert found.shape == (B, G, 1, T, N, T, N)
    for b in range(B):
        for g in range(G):
            for u in range(T):
                for t in range(T):
                    for n in range(N):
                        expected = t < u and not history.missing[b, g, t, n]
                        assert (found[b, g, 0, u, :, t, n] == expected).all()


def test_no_future_leaks(decoder, clip):
    history, current = clip
    before = decoder(history, current)
    for row in range(T):
        features = history.features.clone()
        features[:, :, row] += 3
        labels = history.labels.clone()
        labels[:, :, row] = NEWBORN
        after = decoder(history._replace(features=features, labels=labels), current)
        assert torch.equal(after[:, :, : row + 1], before[:, :, : row + 1])


def test_missing_history_is_not_seen(decoder, clip):
    history, current = clip
    before = decoder(history, current)
    features = torch.where(history.missing[..., None], 55.0, history.features)
    assert torch.equal(decoder(history._replace(features=features), current), before)


def test_missing_detections_are_not_seen(decoder, clip):
    history, current = clip
    before = decoder(history, current)
    features = torch.where(current.missing[..., None], 55.0, current.features)
    after = decoder(history, current._replace(features=features))
    there = ~current.missing
    assert torch.equal(after[there], before[there])
    assert before.isfinite().all()


def test_nothing_before_the_first_row(decoder, clip):
    """At t = 0 the key of zeros alone is left: finite, whatever the history says."""
    history, current = clip
    other = history._replace(features=history.features * -2)
    first, second = (decoder(h, current)[:, :, 0] for h in (history, other))
    assert first.isfinite().all()
    assert torch.equal(first, second)


def test_permuted_identities_permute_the_logits(decoder, clip):
    history, current = clip
    before = decoder(history, current)
    order = torch.randperm(NEWBORN, device=before.device)
    order = torch.cat([order, order.new_tensor([NEWBORN])])  # newborn stays
    with torch.no_grad():
        dictionary, head = decoder.word_to_embed.weight, decoder.embed_to_word_layers[0].weight
        dictionary.copy_(dictionary[:, order])
        head.copy_(head[order])
    renamed = history._replace(labels=order.argsort()[history.labels])
    after = decoder(renamed, current)
    torch.testing.assert_close(after, before[..., order], atol=1e-5, rtol=1e-5)


def test_permuted_tracks_and_detections(decoder, clip):
    history, current = clip
    before = decoder(history, current)
    order = torch.tensor([2, 0, 1])
    moved = History(*(part[:, :, :, order] for part in history[:3]), history.times)
    torch.testing.assert_close(decoder(moved, current), before, atol=1e-5, rtol=1e-5)
    moved = Current(*(part[:, :, :, order] for part in current[:2]), current.times)
    after = decoder(history, moved)
    torch.testing.assert_close(after, before[:, :, :, order], atol=1e-5, rtol=1e-5)


def test_clips_and_groups_know_nothing_of_each_other(decoder, clip):
    history, current = clip
    together = decoder(history, current)
    for b in range(B):
        for g in range(G):
            cut = slice(b, b + 1), slice(g, g + 1)
            one = History(*(part[cut] for part in history[:3]), history.times[b : b + 1])
            now = Current(*(part[cut] for part in current[:2]), current.times[b : b + 1])
            alone = decoder(one, now)
            torch.testing.assert_close(together[cut], alone, atol=1e-5, rtol=1e-5)


def test_bias_counts_ages(decoder, clip):
    """Only differences of times count; fractions are interpolated, old ages are the oldest."""
    history, current = clip
    before = decoder(history, current)
    later = history._replace(times=history.times + 7), current._replace(times=current.times + 7)
    assert torch.equal(decoder(*later), before)
    table = decoder.rel_pos_embeds[1].T
    asked = current._replace(times=torch.tensor([[10.5]], device=before.device))
    for time, expected in (
        (8.5, table[:, 2]),
        (8.25, 0.75 * table[:, 2] + 0.25 * table[:, 3]),
        (-500.0, table[:, WINDOW - 1]),
    ):
        known = history._replace(times=torch.tensor([[time]], device=before.device))
        bias = decoder._age_bias(1, known, asked)
        assert bias.shape == (1, 1, 4, 1, 1, 1, 1)
        torch.testing.assert_close(bias.flatten(), expected)


def test_zero_bias_does_not_know_ages(tiny, clip):
    decoder = IdDecoder(WIDTH, WINDOW, tiny.identity).eval().to(clip[0].features.device)
    history, current = clip
    assert not decoder.rel_pos_embeds.any()
    slow = history._replace(times=history.times * 2), current._replace(times=current.times * 2)
    assert torch.equal(decoder(history, current), decoder(*slow))


def test_one_head_for_all_layers(decoder):
    heads = {head.weight.data_ptr() for head in decoder.embed_to_word_layers}
    assert len(heads) == 1
    assert decoder.word_to_embed.weight.data_ptr() not in heads


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision(decoder, clip, precision):
    history, current = clip
    whole = decoder(history, current)
    decoder.to(precision)
    half = decoder(
        history._replace(features=history.features.to(precision)),
        current._replace(features=current.features.to(precision)),
    )
    atol = 0.05 if precision == torch.float16 else 0.3
    torch.testing.assert_close(half.float(), whole, atol=atol, rtol=0)


@pytest.mark.parametrize('time_code', ['row', 'relative'])
def test_training_pass_is_inference_step_by_step(tiny, clip, time_code):
    """All rows at once, or each with the rows before it: the same logits, Temporal Adapter too."""
    torch.manual_seed(2)
    temporal = tiny.temporal.model_copy(update={'time_code': time_code})
    network = biased(Fdta(tiny.model_copy(update={'temporal': temporal})))
    network = network.to(clip[0].features.device)
    history, current = clip
    at_once = network.identify(history, current)
    for row in range(T):
        past = History(*(part[:, :, :row] for part in history[:3]), history.times[:, :row])
        now = slice(row, row + 1)
        asked = Current(*(part[:, :, now] for part in current[:2]), current.times[:, now])
        step = network.identify(past, asked)
        torch.testing.assert_close(step[:, :, 0], at_once[:, :, row], atol=1e-5, rtol=1e-5)


def test_kept_keys_and_values_are_the_pass(decoder, clip):
    """One group of one clip, row by row, from what was kept of each sighting."""
    history, current = clip
    whole = decoder(history, current)[0, 0]
    there = ~history.missing[0, 0]
    for row in range(T):
        rows, tracks = there[:row].nonzero(as_tuple=True)
        kept = torch.cat([decoder.nothing(), decoder.keep(
            history.features[0, 0][rows, tracks], history.labels[0, 0][rows, tracks]
        )])  # fmt: skip
        ages = (current.times[0, row] - history.times[0, rows]).float()
        logits = decoder.decode(current.features[0, 0, row, there[row]], kept, ages)
        torch.testing.assert_close(logits, whole[row, there[row]], atol=1e-5, rtol=1e-5)


def test_ages_of_what_is_kept(decoder, clip):
    """Fractions are interpolated, old ages are the oldest; the key of zeros has none."""
    features, labels = clip[0].features[0, 0, 0], clip[0].labels[0, 0, 0]
    kept = torch.cat([decoder.nothing(), decoder.keep(features, labels)])
    half, old, oldest = (
        decoder.decode(features, kept, torch.full((N,), age, device=kept.device))
        for age in (2.5, 500.0, WINDOW - 1.0)
    )
    assert torch.equal(old, oldest)
    assert not torch.allclose(half, old, atol=1e-3)
    with torch.no_grad():
        decoder.rel_pos_embeds[:, 2] = decoder.rel_pos_embeds[:, 2:4].mean(1)
    two = decoder.decode(features, kept, torch.full((N,), 2.0, device=kept.device))
    torch.testing.assert_close(two, half)


def test_gradients_reach_all_but_the_detector(tiny, clip):
    network = Fdta(tiny).to(clip[0].features.device)
    history, current = clip
    network.identify(history, current).square().sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert all(name.startswith('detr.') for name in without)
