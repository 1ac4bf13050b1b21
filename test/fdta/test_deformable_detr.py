"""Deformable DETR: numbers against naive loops, shapes, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mot_perception.fdta.attention import Attention
from mot_perception.fdta.deformable_detr import (
    DeformableAttention,
    DeformableDetr,
    logit,
    pixel_centres,
    sine_positions,
    valid_share,
    whole_positions,
)
from mot_perception.fdta.sampling import levels_of, sampled_sum

SIZES = [(5, 7), (3, 4), (1, 2)]


@pytest.fixture
def detr(tiny, device):
    torch.manual_seed(0)
    return varied(DeformableDetr(tiny.detector, tiny.spatial)).to(device)


def varied(module):
    """Give all weights that begin as zeros a value, so that all parts take part."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return module.eval()


def test_attention_of_points_and_boxes():
    """Offsets are pixels around a point; within a box, shares of its half size."""
    attention = DeformableAttention(width=8, heads=2, levels=3, points=2)
    memory = torch.randn(1, sum(h * w for h, w in SIZES), 8)
    levels = levels_of(SIZES, 2, memory.device)
    query = torch.zeros(1, 1, 8)
    point = torch.tensor([[[[0.4, 0.6]] * 3]])
    box = torch.tensor([[[[0.4, 0.6, 0.2, 0.1]] * 3]])
    pixels = torch.tensor([[w, h] for h, w in SIZES])
    bias = attention.sampling_offsets.bias.view(2, 3, 2, 2)
    found, expected = [], []
    for places, reach in ((point, 1 / pixels[:, None]), (box, torch.tensor([0.2, 0.1]) / 4)):
        where = places[:, :, None, :, None, :2] + bias * reach
        value = attention.value_proj(memory).view(1, -1, 2, 4)
        even = torch.full((1, 1, 2, 3, 2), 1 / 6)
        expected.append(attention.output_proj(sampled_sum(value, SIZES, where, even)))
        found.append(attention(query, places, memory, levels, None))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('queries', [3, 60])
@pytest.mark.parametrize('corners', [2, 4])
def test_attention_without_gradients(queries, corners, device):
    """Few queries sample the memory, many its values: as with gradients, padding too."""
    attention = varied(DeformableAttention(width=8, heads=2, levels=3, points=2)).to(device)
    torch.nn.init.normal_(attention.value_proj.bias)
    tokens = sum(h * w for h, w in SIZES)
    query, memory = (torch.randn(2, count, 8, device=device) for count in (queries, tokens))
    padded = torch.rand(2, tokens, device=device) < 0.3
    places = torch.rand(2, queries, 3, corners, device=device)
    levels = levels_of(SIZES, 2, memory.device)
    for mask in (None, padded):
        expected = attention(query, places, memory, levels, mask)
        with torch.no_grad():
            found = attention(query, places, memory, levels, mask)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_attention_ignores_padding():
    attention = varied(DeformableAttention(width=8, heads=2, levels=3, points=2))
    padded = torch.zeros(1, sum(h * w for h, w in SIZES), dtype=torch.bool)
    padded[:, 10:20] = True
    query, memory = torch.randn(1, 4, 8), torch.randn(1, padded.shape[1], 8)
    places = torch.rand(1, 4, 3, 2)
    other = memory.masked_fill(padded[..., None], 99)
    levels = levels_of(SIZES, 2, memory.device)
    first, second = (attention(query, places, m, levels, padded) for m in (memory, other))
    assert torch.equal(first, second)


def test_attention_as_torch_computes_it():
    """Fused weights lie as torch lays them, the key of zeros among them."""
    torch.manual_seed(3)
    own = varied(Attention(16, 4, zero_key=True))
    other = torch.nn.MultiheadAttention(16, 4, batch_first=True, add_zero_attn=True).eval()
    other.load_state_dict(own.state_dict())
    query, key, value = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    blocked = torch.rand(2, 1, 3, 5) < 0.5
    blocked[0, 0, 0] = True
    bias = torch.zeros(2, 4, 3, 5).masked_fill(blocked, -torch.inf)
    expected, _ = other(query, key, value, attn_mask=bias.flatten(0, 1), need_weights=False)
    torch.testing.assert_close(own(query, key, value, ~blocked), expected)
    torch.testing.assert_close(own(query, key, value, bias), expected)


def test_sine_positions():
    """By hand, of a map of 2×3 pixels of which the last column is padding."""
    padded = torch.tensor([[[False, False, True]] * 2])
    code = sine_positions(padded, 8)
    assert code.shape == (1, 8, 2, 3)
    y, x = (1.5 / (2 + 1e-6)) * 2 * math.pi, (0.5 / (2 + 1e-6)) * 2 * math.pi
    slow = 10000**0.5
    expected = [f(a / d) for a in (y, x) for d in (1, slow) for f in (math.sin, math.cos)]
    torch.testing.assert_close(code[0, :, 1, 0], torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_positions_without_padding(device):
    size = 7, 5
    nothing = torch.zeros(1, *size, dtype=torch.bool, device=device)
    found = whole_positions(size, 16, nothing.device)
    assert torch.equal(found, sine_positions(nothing, 16)[0])


def test_places_of_pixels():
    share = valid_share(torch.tensor([[[False, False, True, True]] * 2]))
    assert share.tolist() == [[0.5, 1.0]]
    centres = pixel_centres((2, 4), share)
    assert centres.shape == (1, 8, 2)
    # x in shares of the image alone: half of the map is image
    assert centres[0, 0].tolist() == [0.25, 0.25]
    assert centres[0, -1].tolist() == [1.75, 0.75]


def test_logit():
    share = torch.tensor([0.0, 0.25, 1.0])
    expected = [math.log(1e-5), math.log(1 / 3), -math.log(1e-5)]
    torch.testing.assert_close(logit(share), torch.tensor(expected))


@pytest.mark.parametrize('size', [(64, 96), (70, 41), (1, 1)])
@pytest.mark.parametrize('with_mask', [False, True])
def test_shapes(detr, device, size, with_mask):
    images = torch.randn(2, 3, *size, device=device)
    padded = torch.zeros(2, *size, dtype=torch.bool, device=device) if with_mask else None
    found = detr(images, padded)
    assert found.logits.shape == (2, 2, 7, 1)
    assert found.boxes.shape == (2, 2, 7, 4)
    assert found.embeddings.shape == (2, 7, 32)
    height, width = (math.ceil(n / 8) for n in size)
    assert found.depth.logits.shape == (2, 13, height, width)
    assert found.depth.expected.shape == (2, height, width)
    assert found.depth.tokens.shape == (2, height * width, 32)
    assert all(part.isfinite().all() for part in (found.logits, found.boxes, found.embeddings))
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()


def test_no_mask_is_a_mask_of_nothing(detr, device):
    images = torch.randn(1, 3, 64, 96, device=device)
    padded = torch.zeros(1, 64, 96, dtype=torch.bool, device=device)
    torch.testing.assert_close(detr(images).embeddings, detr(images, padded).embeddings)


def test_images_of_a_batch_know_nothing_of_each_other(detr, device):
    images = torch.randn(3, 3, 64, 96, device=device)
    padded = torch.zeros(3, 64, 96, dtype=torch.bool, device=device)
    padded[1, :, 60:] = padded[2, 50:] = True
    together = detr(images, padded)
    for i in range(3):
        alone = detr(images[i : i + 1], padded[i : i + 1])
        torch.testing.assert_close(together.boxes[:, i], alone.boxes[:, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            together.embeddings[i], alone.embeddings[0], atol=1e-4, rtol=1e-4
        )


def test_queries_may_be_permuted(detr, device):
    images = torch.randn(1, 3, 64, 96, device=device)
    order = torch.randperm(7)
    before = detr(images)
    with torch.no_grad():
        detr.query_embed.weight.copy_(detr.query_embed.weight[order])
    after = detr(images)
    torch.testing.assert_close(after.boxes, before.boxes[:, :, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after.logits, before.logits[:, :, order], atol=1e-4, rtol=1e-4)


def test_repeatable(detr, device):
    images = torch.randn(1, 3, 64, 96, device=device)
    assert torch.equal(detr(images).embeddings, detr(images).embeddings)


@pytest.mark.parametrize('size', [(64, 96), (70, 41)])
def test_without_gradients_the_numbers_are_the_same(detr, device, size):
    """Samples are then summed in another way."""
    images = torch.randn(2, 3, *size, device=device)
    padded = torch.zeros(2, *size, dtype=torch.bool, device=device)
    padded[0, 50:] = True
    with_gradients = detr(images, padded)
    with torch.no_grad():
        without = detr(images, padded)
    torch.testing.assert_close(without.boxes, with_gradients.boxes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(without.embeddings, with_gradients.embeddings, atol=1e-4, rtol=1e-4)


def test_boxes_are_refined_layer_by_layer(detr, device):
    """A layer's box starts from the one before; no gradient goes back through it."""
    found = detr(torch.randn(1, 3, 64, 96, device=device))
    found.boxes[1].sum().backward()
    heads = detr.bbox_embed
    assert heads[1].layers[-1].weight.grad.any()
    assert not heads[0].layers[-1].weight.grad.any()

    detr.zero_grad()
    with torch.no_grad():
        for parameter in heads[1].layers[-1].parameters():
            parameter.zero_()
    found = detr(torch.randn(1, 3, 64, 96, device=device))
    torch.testing.assert_close(found.boxes[1], found.boxes[0], atol=1e-5, rtol=1e-4)


def test_new_network_says_almost_nothing(tiny):
    found = DeformableDetr(tiny.detector, tiny.spatial).eval()(torch.randn(1, 3, 64, 64))
    assert found.logits.sigmoid().mean() < 0.05
    assert found.boxes[..., 2:].mean() < 0.25


def test_levels_beyond_the_fourth(tiny):
    settings = tiny.detector.model_copy(update={'levels': 5})
    detr = DeformableDetr(settings, tiny.spatial).eval()
    maps = detr.feature_maps(torch.randn(1, 3, 128, 192))
    assert [tuple(m.shape[-2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert detr(torch.randn(1, 3, 128, 192)).boxes.shape == (2, 1, 7, 4)


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision(detr, device, precision):
    images = torch.randn(1, 3, 64, 96, device=device)
    padded = torch.zeros(1, 64, 96, dtype=torch.bool, device=device)
    padded[:, 50:] = True
    whole = detr(images, padded)
    half = detr.to(precision)(images.to(precision), padded)
    assert half.boxes.dtype == half.depth.expected.dtype == torch.float32
    assert half.embeddings.dtype == precision
    atol = 0.02 if precision == torch.float16 else 0.1
    torch.testing.assert_close(half.boxes, whole.boxes, atol=atol, rtol=0)


def test_autocast(detr, device):
    images = torch.randn(1, 3, 64, 96, device=device)
    whole = detr(images)
    for gradients in (True, False):
        with (
            torch.set_grad_enabled(gradients),
            torch.autocast(torch.device(device).type, torch.bfloat16),
        ):
            mixed = detr(images)
        torch.testing.assert_close(mixed.boxes, whole.boxes, atol=0.1, rtol=0)


def test_frozen_batch_norm_is_batch_norm(detr):
    layer = detr.backbone[0].body.bn1.cpu()
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    maps = torch.randn(2, 4, 3, 3)
    expected = functional.batch_norm(
        maps, layer.running_mean, layer.running_var, layer.weight, layer.bias
    )
    torch.testing.assert_close(layer(maps), expected)
    assert not list(layer.parameters())


@pytest.mark.parametrize(
    ('images', 'padded', 'said'),
    [
        (torch.zeros(3, 64, 64), None, r'\(B, 3, H, W\)'),
        (torch.zeros(1, 1, 64, 64), None, r'\(B, 3, H, W\)'),
        (torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 32, dtype=torch.bool), 'padded'),
        (torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64), 'padded'),
    ],
)
def test_other_shapes_are_refused(detr, images, padded, said):
    with pytest.raises(ValueError, match=said):
        detr(images, padded)
