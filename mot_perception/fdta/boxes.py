"""Boxes as tensors: centre x, centre y, width, height in [0, 1], as networks give them."""

from __future__ import annotations

import torch
from torch import Tensor


def corners(boxes: Tensor) -> Tensor:
    """Return left, top, right, bottom (…, 4) of centre, size (…, 4)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def overlaps(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU (arXiv 1902.09630) of boxes given by corners, in pairs.

    Args:
        one: (…, 4).
        two: (…, 4), broadcast against the first.

    Returns:
        Two tensors (…); of empty boxes 0, and what they lack of the box around both.
    """
    low, high = (
        torch.maximum(one[..., :2], two[..., :2]),
        torch.minimum(one[..., 2:], two[..., 2:]),
    )
    common = (high - low).clamp(min=0).prod(-1)
    union = _area(one) + _area(two) - common
    low, high = (
        torch.minimum(one[..., :2], two[..., :2]),
        torch.maximum(one[..., 2:], two[..., 2:]),
    )
    around = (high - low).clamp(min=0).prod(-1)
    iou = common / union.clamp(min=1e-9)
    return iou, iou - (around - union) / around.clamp(min=1e-9)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
