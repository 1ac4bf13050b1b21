"""The Spatial Adapter's loss: which bin of depth each cell is in, people's cells counting more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from mot_perception.fdta.boxes import corners
from mot_perception.fdta.losses.detection_loss import ALPHA, GAMMA
from mot_perception.fdta.losses.summed import Summed
from mot_perception.fdta.spatial_adapter import bin_index

if TYPE_CHECKING:
    from mot_perception.fdta.settings import SpatialSettings


def depth_loss(
    logits: Tensor,
    depth: Tensor,
    boxes: list[Tensor],
    settings: SpatialSettings,
    *,
    foreground: float,
    skip_invalid: bool,
) -> Summed:
    """Return the weighted focal loss over cells, to be divided by their number (L_depth).

    Args:
        logits: (B, K + 1, h, w) at stride 8.
        depth: (B, H, W) pseudo-depth of the padded images; what is no depth is class K.
        boxes: For each image (M, 4), centre and size in [0, 1] of the padded image.
        settings: Bins.
        foreground: Weight of cells in any box, against 1 (Table 10; 1: no difference).
        skip_invalid: Learn nothing where there is no depth; as released, that is a class as any.
    """
    size = logits.shape[-2:]
    resized = functional.interpolate(
        depth[:, None].float(), size, mode='bilinear', align_corners=False
    )
    label = bin_index(resized[:, 0], settings)
    weight = torch.stack([_weights(it, size, foreground) for it in boxes])
    counted = label != settings.bins if skip_invalid else torch.ones_like(label, dtype=torch.bool)
    focal = softmax_focal(logits, label)
    return Summed((focal * weight * counted).sum(), counted.sum().float())


def softmax_focal(logits: Tensor, label: Tensor) -> Tensor:
    """Return the focal loss of each cell: (B, C, h, w), int64 (B, h, w) → (B, h, w)."""
    log_right = logits.float().log_softmax(1).gather(1, label[:, None])[:, 0]
    return -ALPHA * (1 - log_right.exp()) ** GAMMA * log_right


def _weights(boxes: Tensor, size: torch.Size, foreground: float) -> Tensor:
    """Return `foreground` for the cells that a box touches, 1 for the others, (h, w)."""
    height, width = size
    edges = corners(boxes) * boxes.new_tensor([width, height, width, height])
    low, high = edges[:, :2].floor(), edges[:, 2:].ceil()
    x = torch.arange(width, device=boxes.device)
    y = torch.arange(height, device=boxes.device)
    in_column = (x >= low[:, :1]) & (x < high[:, :1])  # (M, w)
    in_row = (y >= low[:, 1:]) & (y < high[:, 1:])  # (M, h)
    touched = (in_row[:, :, None] & in_column[:, None]).any(0)
    return torch.where(touched, foreground, 1.0)
