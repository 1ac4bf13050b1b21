"""Spatial Adapter: bins, expectation, position code, and who sees depth when."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mot_perception.fdta.deformable_detr import DecoderLayer, DeformableDetr
from mot_perception.fdta.settings import FdtaSettings, SpatialSettings, improved, release
from mot_perception.fdta.spatial_adapter import (
    Depth,
    DepthPredictor,
    bin_index,
    bin_values,
    bin_width,
)

EDGES = {
    # K: δ, b_1, b_2, b_K/2, b_K−1 of the specification
    80: (0.0790120370, 0.080012, 0.238036, 64.79087, 249.67904),
    120: (0.0352615702, 0.036262, 0.106785, 64.52967, 251.76861),
    150: (0.0226047682, 0.0236048, 0.0688143, 64.42459, 252.60928),
}
INDICES = {
    80: {0: 80, 1: 4, 10: 15, 64: 39, 128: 56, 255: 79},
    120: {1: 7, 64: 59, 255: 119},
    150: {
        0: 150,
        0.001: 0,
        0.5: 6,
        1: 8,
        2: 12,
        10: 29,
        64: 74,
        100: 93,
        128: 105,
        200: 132,
        254: 149,
        255: 149,
        256: 150,
    },
}


def settings_of(tiny, **spatial):
    return tiny.model_copy(update={'spatial': tiny.spatial.model_copy(update=spatial)})


@pytest.mark.parametrize('bins', EDGES)
def test_bins_of_the_specification(bins):
    settings = SpatialSettings(bins=bins)
    delta, *edges = EDGES[bins]
    values = bin_values(settings)
    assert bin_width(settings) == pytest.approx(delta, rel=1e-8)
    found = values[[1, 2, bins // 2, bins - 1]]
    torch.testing.assert_close(found, torch.tensor(edges), atol=1e-5, rtol=1e-6)
    assert values[0] == pytest.approx(1e-3, abs=1e-6)
    assert values[-1] == 256
    assert (values.diff() > 0).all()
    widths = values.double().diff()
    expected = delta * torch.arange(1, bins + 1)
    torch.testing.assert_close(widths, expected.double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize('bins', INDICES)
def test_classes_of_the_specification(bins):
    depths = torch.tensor([*INDICES[bins]], dtype=torch.float32)
    assert bin_index(depths, SpatialSettings(bins=bins)).tolist() == [*INDICES[bins].values()]


def test_invalid_depths():
    depths = torch.tensor([0.0, -5.0, 257.0, 1e30, math.nan, math.inf, -math.inf])
    assert bin_index(depths, SpatialSettings(bins=80)).tolist() == [80] * 7


def test_eight_bits_do_not_reach_all_classes():
    classes = bin_index(torch.arange(256), SpatialSettings())
    assert len(classes.unique()) == 129


@given(st.floats(0.0078125, 255.5, width=32), st.integers(2, 300))
def test_a_depth_lies_within_its_bin(depth, bins):
    edges, centres = (
        SpatialSettings(bins=bins, bin_values=values) for values in ('edge', 'centre')
    )
    index = int(bin_index(torch.tensor(depth), edges))
    width = bin_width(edges) * (index + 1)
    assert -1e-4 <= depth - float(bin_values(edges)[index]) <= width + 1e-4
    assert abs(depth - float(bin_values(centres)[index])) <= width / 2 + 1e-4


def test_edges_are_biased_and_centres_are_not():
    depths = torch.linspace(0.01, 255.9, 100_001)
    bias = {}
    for values in ('edge', 'centre'):
        settings = SpatialSettings(bin_values=values)
        found = bin_values(settings)[bin_index(depths, settings)]
        bias[values] = float((found - depths).mean())
    assert bias['edge'] == pytest.approx(-1.14, abs=0.01)
    assert abs(bias['centre']) < 0.002


def predictor_of(**spatial):
    torch.manual_seed(0)
    return DepthPredictor(32, SpatialSettings(bins=12, **spatial)).eval()


def test_expectation():
    predictor = predictor_of()
    logits = torch.randn(2, 13, 3, 4)
    values = predictor.depth_bin_values
    torch.testing.assert_close(
        predictor.expectation(torch.zeros(2, 13, 3, 4)), values.mean().expand(2, 3, 4)
    )
    found = predictor.expectation(logits)
    torch.testing.assert_close(predictor.expectation(logits + 3), found)
    assert ((found >= 1e-3) & (found <= 256)).all()
    naive = sum(logits.softmax(1)[:, k] * values[k] for k in range(13))
    torch.testing.assert_close(found, naive)


def test_invalid_class_means_near_in_release_and_nothing_with_centres():
    logits = torch.zeros(1, 13, 1, 1)
    logits[:, -1] = 50
    assert predictor_of().expectation(logits).item() == pytest.approx(256, abs=1e-3)
    centres = predictor_of(bin_values='centre')
    mean = centres.depth_bin_values[:-1].mean()
    torch.testing.assert_close(centres.expectation(logits), mean.view(1, 1, 1))


def test_position_code():
    predictor = predictor_of()
    table = predictor.depth_pos_embed.weight
    assert table.shape == (257, 32)
    depth = torch.tensor([0.0, 7.0, 256.0, 300.0, -1.0, 7.25], requires_grad=True)
    code = predictor.position_code(depth)
    for row, wanted in enumerate([0, 7, 256, 256, 0]):
        assert torch.equal(code[row], table[wanted])
    torch.testing.assert_close(code[5], 0.75 * table[7] + 0.25 * table[8])
    weights = torch.randn(32)
    (code[5] @ weights).backward()
    torch.testing.assert_close(depth.grad[5], (table[8] - table[7]) @ weights)


def maps_of(size):
    return [torch.randn(2, 32, math.ceil(size[0] / s), math.ceil(size[1] / s)) for s in (1, 2, 4)]


@pytest.mark.parametrize(('stride', 'tokens'), [(8, 9 * 13), (16, 5 * 7), (32, 3 * 4)])
def test_token_stride(stride, tokens):
    maps = maps_of((9, 13))
    depth = predictor_of(token_stride=stride)(maps, maps, None)
    assert depth.tokens.shape == (2, tokens, 32)
    assert depth.logits.shape == (2, 13, 9, 13)


def test_token_counts_of_the_specification():
    """At 800×1440, 18000 tokens of stride 8; coarser ones are as many as pixels of that level."""
    assert 100 * 180 == 18000
    assert release().spatial.token_stride == 8
    assert improved().spatial.token_stride == 16


def test_padded_tokens_are_not_looked_at():
    """Whatever is in padded tokens, the others stay what they are."""
    predictor = predictor_of()
    tokens, position = torch.randn(2, 20, 32), torch.randn(2, 20, 32)
    visible = torch.ones(2, 1, 1, 20, dtype=torch.bool)
    visible[..., 15:] = False
    (layer,) = predictor.depth_encoder['layers']
    before = layer(tokens, position, visible)
    tokens[:, 15:] = 99
    after = layer(tokens, position, visible)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.equal(before[:, 15:], after[:, 15:])


def test_decoder_does_not_look_at_padded_depth(tiny):
    torch.manual_seed(0)
    detr = DeformableDetr(tiny.detector, tiny.spatial).eval()
    layer = detr.transformer.decoder.layers[0]
    found = detr(torch.randn(1, 3, 64, 64))
    padded = torch.zeros(1, 64, dtype=torch.bool)
    padded[:, 40:] = True
    depth = found.depth._replace(padded=padded)
    other = depth._replace(tokens=depth.tokens.masked_fill(padded[..., None], 99))
    content = torch.randn(1, 7, 32)
    assert torch.equal(layer._to_depth(content, depth), layer._to_depth(content, other))
    everything = found.depth._replace(tokens=other.tokens)
    assert not torch.equal(layer._to_depth(content, depth), layer._to_depth(content, everything))


def test_depth_loss_teaches_the_predictor_alone(tiny):
    detr = DeformableDetr(tiny.detector, tiny.spatial)
    detr(torch.randn(1, 3, 64, 64)).depth.logits.sum().backward()
    taught = {name for name, p in detr.named_parameters() if p.grad is not None}
    assert taught
    assert all(name.startswith('depth_predictor.') for name in taught)
    assert not any('depth_encoder' in name or 'pos_embed' in name for name in taught)


def test_embeddings_reach_the_depth_head_through_the_position_code(tiny):
    detr = DeformableDetr(tiny.detector, tiny.spatial)
    detr(torch.randn(1, 3, 64, 64)).embeddings.square().sum().backward()
    assert detr.depth_predictor.depth_classifier.weight.grad.any()
    assert detr.depth_predictor.depth_pos_embed.weight.grad.any()
    assert detr.backbone[0].body.layer1[0].conv1.weight.grad.any()


def test_tokens_do_not_teach_the_features_they_are_made_of(tiny):
    """With a table of equal rows, the way through the position code is shut as well."""
    detr = DeformableDetr(tiny.detector, tiny.spatial)
    torch.nn.init.ones_(detr.depth_predictor.depth_pos_embed.weight)
    detr(torch.randn(1, 3, 64, 64)).embeddings.square().sum().backward()
    assert not detr.depth_predictor.depth_head[0].weight.grad.any()
    assert detr.depth_predictor.depth_encoder['layers'][0].linear1.weight.grad.any()


ORDERS = {
    'self-vision': ['norm2', 'norm1', 'norm3'],
    'depth-self-vision': ['norm_depth', 'norm2', 'norm1', 'norm3'],
    'self-depth-vision': ['norm2', 'norm_depth', 'norm1', 'norm3'],
    'self-vision-depth': ['norm2', 'norm1', 'norm_depth', 'norm3'],
}


@pytest.mark.parametrize('order', ORDERS)
def test_order_of_attentions(tiny, order):
    settings = settings_of(tiny, order=order)
    detr = DeformableDetr(settings.detector, settings.spatial).eval()
    ran = []
    for layer in detr.transformer.decoder.layers:
        for name, module in layer.named_children():
            if name.startswith('norm'):
                module.register_forward_hook(lambda *_, name=name: ran.append(name))
    found = detr(torch.randn(1, 3, 64, 64))
    assert ran == 2 * ORDERS[order]
    assert (found.depth is None) == (order == 'self-vision')
    keys = detr.state_dict()
    assert any('depth' in key for key in keys) == (order != 'self-vision')


def test_start_at_zero_changes_nothing_at_first(tiny):
    """A pretrained detector gives the same bits with the new depth attention, until it learns."""
    torch.manual_seed(0)
    plain = settings_of(tiny, order='self-vision')
    plain = DeformableDetr(plain.detector, plain.spatial).eval()
    deep = settings_of(tiny, start_at_zero=True)
    deep = DeformableDetr(deep.detector, deep.spatial).eval()
    for layer in plain.transformer.decoder.layers:
        torch.nn.init.normal_(layer.norm1.weight)
    missing = deep.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(deep(images).embeddings, plain(images).embeddings)
    deep(images).embeddings.square().sum().backward()
    for layer in deep.transformer.decoder.layers:
        assert layer.cross_attn_depth.out_proj.weight.grad.any()


def test_depth_attention_normalises_what_asks_or_what_comes_out(tiny):
    torch.manual_seed(0)
    content, tokens = torch.randn(1, 7, 32), torch.randn(1, 9, 32)
    depth = Depth(tokens, tokens, tokens, None)
    for zero in (False, True):
        settings = settings_of(tiny, start_at_zero=zero)
        layer = DecoderLayer(settings.detector, settings.spatial)
        torch.nn.init.normal_(layer.cross_attn_depth.out_proj.weight)
        ask = torch.nn.functional.layer_norm(content, (32,)) if zero else content
        added = content + layer.cross_attn_depth(ask, tokens, tokens)
        expected = added if zero else torch.nn.functional.layer_norm(added, (32,))
        torch.testing.assert_close(layer._to_depth(content, depth), expected)


@pytest.mark.parametrize(
    'wrong',
    [
        {'spatial': {'nearest': 5, 'farthest': 4}},
        {'spatial': {'bins': 1}},
        {'spatial': {'order': 'vision-self'}},
        {'spatial': {'token_stride': 4}},
        {'detector': {'width': 64, 'heads': 7}},
        {'detector': {'width': 40}},
        {'identity': {'heads': 48}},
        {'window': 1},
        {'depth': {}},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        FdtaSettings.model_validate(wrong)


def test_published_settings():
    assert release() == release('dancetrack') == FdtaSettings()
    assert (release('sportsmot').window, release('sportsmot').spatial.bins) == (60, 150)
    assert (release('bft').window, release('bft').spatial.bins) == (20, 120)
    assert improved() != release()
