"""A new backbone's normalisation, taken from images: it is frozen, so it never learns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mot_perception.fdta.deformable_detr import FrozenBatchNorm

if TYPE_CHECKING:
    from torch import Tensor, nn


@torch.no_grad()
def settle(backbone: nn.Module, images: Tensor) -> None:
    """Let every frozen normalisation give mean 0 and variance 1 on some images.

    A pretrained backbone brings these numbers along; in one with random weights activations would
    fade from layer to layer.

    Args:
        backbone: With random weights.
        images: (B, 3, H, W), normalised as the network sees them.
    """
    layers = [it for it in backbone.modules() if isinstance(it, FrozenBatchNorm)]
    hooks = [layer.register_forward_pre_hook(_measure) for layer in layers]
    backbone(images)
    for hook in hooks:
        hook.remove()


def _measure(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Take mean and variance of what comes in; those before it are settled already."""
    assert isinstance(layer, FrozenBatchNorm)
    variance, mean = torch.var_mean(given[0], (0, 2, 3))
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance.clamp(min=1e-6))
