"""Spatial Adapter: the detector's features guess a depth map, and its queries attend to it.

Depth is whatever the labels are: 8-bit values in [0, 255] of a pseudo-depth map. The published
labels are disparities (255 is nearest).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot_perception.fdta.attention import SelfAttentionLayer

if TYPE_CHECKING:
    from mot_perception.fdta.settings import SpatialSettings

GROUPS = 32
ENCODER_HEADS = 8
ENCODER_DROPOUT = 0.1


class Depth(NamedTuple):
    """What the Spatial Adapter knows of B images of H×W pixels; h×w is their size at stride 8."""

    logits: Tensor
    """(B, K + 1, h, w): bins, and last the invalid class."""
    expected: Tensor
    """float32 (B, h, w): expectation of the depth (eq. 13)."""
    tokens: Tensor
    """(B, N, width): depth tokens with their depth position code, row by row."""
    padded: Tensor | None
    """bool (B, N): tokens that nobody looks at; None: there are none."""


def bin_width(settings: SpatialSettings) -> float:
    """Return δ of eq. 11, the width of the first bin: bin i is (i + 1)·δ wide."""
    bins = settings.bins
    return 2 * (settings.farthest - settings.nearest) / (bins * (bins + 1))


def bin_values(settings: SpatialSettings) -> Tensor:
    """Return the depth that each class stands for (eq. 12), float32 (K + 1)."""
    delta = bin_width(settings)
    index = torch.arange(settings.bins, dtype=torch.float32)
    values = (index + 0.5) ** 2 * delta / 2 - delta / 8 + settings.nearest  # lower edges
    if settings.bin_values == 'centre':
        values += delta * (index + 1) / 2
    return torch.cat([values, torch.tensor([settings.farthest])])


def bin_index(depth: Tensor, settings: SpatialSettings) -> Tensor:
    """Return the class of each depth, int64 of the same shape.

    Depths below the first bin, above the last one and not finite ones are class K, invalid.
    """
    steps = (depth.double() - settings.nearest) / bin_width(settings)
    index = (torch.sqrt(1 + 8 * steps) - 1) / 2
    inside = (steps >= 0) & (index < settings.bins)  # False for NaN
    return torch.where(inside, index, float(settings.bins)).long()


class DepthPredictor(nn.Module):
    """Feature maps → depth map and depth tokens.

    All that comes in is detached: the depth loss teaches this module alone. Attribute names are
    the published ones.

    Args:
        width: Channels of the feature maps and tokens.
        settings: Bins and token stride.
    """

    depth_bin_values: Tensor

    def __init__(self, width: int, settings: SpatialSettings) -> None:
        super().__init__()
        groups = min(GROUPS, width // 8)
        self.level = {8: 0, 16: 1, 32: 2}[settings.token_stride]
        self.invalid_counts = settings.bin_values == 'edge'
        self.farthest = settings.farthest
        self.register_buffer('depth_bin_values', bin_values(settings))
        self.proj = nn.Sequential(nn.Conv2d(width, width, 1), nn.GroupNorm(groups, width))
        self.upsample = nn.Sequential(nn.Conv2d(width, width, 1), nn.GroupNorm(groups, width))
        self.depth_head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
        )
        self.depth_classifier = nn.Conv2d(width, settings.bins + 1, 1)
        layer = SelfAttentionLayer(width, ENCODER_HEADS, width, ENCODER_DROPOUT)
        self.depth_encoder = nn.ModuleDict({'layers': nn.ModuleList([layer])})
        self.depth_pos_embed = nn.Embedding(int(settings.farthest) + 1, width)

    def forward(
        self, maps: list[Tensor], positions: list[Tensor], padded: list[Tensor] | None
    ) -> Depth:
        """Predict.

        Args:
            maps: Feature maps of stride 8, 16, 32 (more are ignored), each (B, width, h, w).
            positions: Their position codes, of the same shapes.
            padded: bool (B, h, w) each, True where there is no image.
        """
        dense = self.dense_features([level.detach() for level in maps])
        logits = self.depth_classifier(dense)
        expected = self.expectation(logits)

        size = (maps[self.level].shape[-2], maps[self.level].shape[-1])
        blocked = None if padded is None else padded[self.level].flatten(1)  # (B, N)
        tokens = _pooled(dense.detach(), size).flatten(2).transpose(1, 2)  # (B, N, width)
        position = positions[self.level].flatten(2).transpose(1, 2)  # (B, N, width)
        mask = None if blocked is None else ~blocked[:, None, None]  # (B, 1, 1, N)
        (layer,) = self.depth_encoder['layers'].children()
        tokens = layer(tokens, position, mask)
        code = self.position_code(_pooled(expected[:, None], size)[:, 0])  # (B, h, w, width)
        return Depth(logits, expected, tokens + code.flatten(1, 2).to(tokens), blocked)

    def dense_features(self, maps: list[Tensor]) -> Tensor:
        """Return F_dense, (B, width, h, w): the mean of three levels (eq. 10), convolved."""
        size = maps[0].shape[-2:]
        coarse = [
            self.upsample(
                functional.interpolate(level, size, mode='bilinear', align_corners=False)
            )
            for level in maps[1:3]
        ]
        mean = (self.proj(maps[0]) + coarse[0] + coarse[1]) / 3
        dense: Tensor = self.depth_head(mean)
        return dense

    def expectation(self, logits: Tensor) -> Tensor:
        """Return the expected depth (eq. 13), float32: (B, K + 1, h, w) → (B, h, w).

        Half precision would round 200 to a quarter.
        """
        values = self.depth_bin_values.float()
        if not self.invalid_counts:
            logits, values = logits[:, :-1], values[:-1]
        return torch.einsum('bkhw,k->bhw', logits.float().softmax(1), values)

    def position_code(self, depth: Tensor) -> Tensor:
        """Return the learned code of depths, linear between whole ones: (…) → (…, width)."""
        depth = depth.clamp(0, self.farthest)
        below = depth.detach().floor()
        fraction = (depth - below)[..., None]
        last = self.depth_pos_embed.num_embeddings - 1
        low = self.depth_pos_embed(below.long())
        high = self.depth_pos_embed((below.long() + 1).clamp(max=last))
        code: Tensor = (1 - fraction) * low + fraction * high
        return code


def _pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (B, C, h, w) averaged to a coarser size."""
    return maps if maps.shape[-2:] == size else functional.adaptive_avg_pool2d(maps, size)
