"""A new backbone's normalisation, taken from images."""

from __future__ import annotations

import torch

from mot_perception.fdta.deformable_detr import Backbone, FrozenBatchNorm
from mot_perception.fdta.settle import settle


def outputs(backbone, images):
    found = []
    layers = [it for it in backbone.modules() if isinstance(it, FrozenBatchNorm)]
    hooks = [
        it.register_forward_hook(lambda *given: found.append(given[2].clone())) for it in layers
    ]
    with torch.no_grad():
        backbone(images)
    for hook in hooks:
        hook.remove()
    return found


def test_activations_do_not_fade(device):
    torch.manual_seed(0)
    backbone = Backbone((1, 1, 1, 1), 8).to(device)
    images = torch.randn(4, 3, 64, 96, device=device) * 3 + 1
    before = outputs(backbone, images)[-1].std()
    settle(backbone, images)
    for maps in outputs(backbone, images):
        assert maps.mean((0, 2, 3)).abs().max() < 1e-3
        torch.testing.assert_close(
            maps.var((0, 2, 3)), torch.ones(maps.shape[1], device=device), atol=0.02, rtol=0
        )
    assert before < 0.1


def test_black_images_give_finite_numbers(device):
    backbone = Backbone((1, 1, 1, 1), 8).to(device)
    settle(backbone, torch.zeros(2, 3, 64, 64, device=device))
    for maps in outputs(backbone, torch.zeros(2, 3, 64, 64, device=device)):
        assert maps.isfinite().all()
