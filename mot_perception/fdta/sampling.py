"""Samples of feature maps, summed: the heart of deformable attention, in two forms.

`sampled_sum` writes every sample to memory before it sums them, which its gradient needs.
`gathered_sum` is for where no gradient is wanted: the four pixels around each place are rows of
one table, summed as they are read. It is several times faster, and places stay float32 in it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]
"""Height and width of a feature map."""
BEFORE, BEHIND = 1, 2
"""Zeros around each map in the table: wherever a place lies, all four pixels are rows of it."""


class Levels(NamedTuple):
    """The L feature maps, and what follows from their sizes for P samples on each."""

    sizes: list[Size]
    """Of the maps, whose pixels lie one after the other, row by row."""
    extent: Tensor
    """float32 (L·P, 2): width and height of each sample's map."""
    stride: Tensor
    """int32 (L·P): rows of the table from one line of its map to the next."""
    first: Tensor
    """int32 (L·P): rows of the table before its map."""

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(
            (height + BEFORE + BEHIND) * (width + BEFORE + BEHIND) for height, width in self.sizes
        )


def levels_of(sizes: list[Size], points: int, device: torch.device) -> Levels:
    """Return the levels of maps, computed on the device without a copy from the host.

    Args:
        sizes: Height and width of each map.
        points: Samples on each.
        device: Where the maps are.
    """

    def per_sample(numbers: list[int], dtype: torch.dtype) -> Tensor:
        each = [torch.full((points,), n, dtype=dtype, device=device) for n in numbers]
        return torch.cat(each)

    firsts, strides = [0], [width + BEFORE + BEHIND for _, width in sizes]
    for (height, _), stride in zip(sizes, strides, strict=True):
        firsts.append(firsts[-1] + (height + BEFORE + BEHIND) * stride)
    sides = [per_sample([size[i] for size in sizes], torch.float32) for i in (1, 0)]
    return Levels(
        sizes,
        torch.stack(sides, -1),
        per_sample(strides, torch.int32),
        per_sample(firsts[:-1], torch.int32),
    )


def sampled_sum(value: Tensor, sizes: list[Size], places: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums of samples of the feature maps.

    Samples are bilinear; beyond the border there are zeros; pixel centres lie at halves.

    Args:
        value: (B, S, heads, C): all levels one after the other, row by row.
        sizes: Of the L levels.
        places: (B, Q, heads, L, P, 2): x, y in [0, 1].
        weights: (B, Q, heads, L, P).

    Returns:
        (B, Q, heads·C).
    """
    batch, _, heads, channels = value.shape
    queries, points = places.shape[1], places.shape[4]
    levels = torch.split(value, [height * width for height, width in sizes], 1)
    total = value.new_zeros(batch * heads, channels, queries)
    for level, (height, width) in enumerate(sizes):
        # (B, h·w, heads, C) → (B, heads, C, h·w) → (B·heads, C, h, w)
        maps = levels[level].permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        # (B, Q, heads, P, 2) → (B, heads, Q, P, 2) → (B·heads, Q, P, 2)
        grid = (2 * places[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        # (B, Q, heads, P) → (B, heads, Q, P) → (B·heads, 1, Q, P)
        share = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        # (B·heads, C, Q, P)
        samples = functional.grid_sample(maps, grid.to(maps), align_corners=False)
        total = total + (samples * share).sum(-1)
    # (B·heads, C, Q) → (B, heads·C, Q) → (B, Q, heads·C)
    return total.view(batch, heads * channels, queries).transpose(1, 2)


def gathered_sum(value: Tensor, levels: Levels, places: Tensor, weights: Tensor) -> Tensor:
    """Return what `sampled_sum` does, without gradients.

    Args:
        value: (B, S, heads, C): all levels one after the other, row by row.
        levels: L of them with P samples each.
        places: float32 (B, Q, heads, L, P, 2): x, y in [0, 1]; what is no number lies outside.
        weights: (B, Q, heads, L, P).

    Returns:
        (B, Q, heads·C).
    """
    batch, _, heads, channels = value.shape
    queries = places.shape[1]
    at = places.flatten(3, 4) * levels.extent + (BEFORE - 0.5)  # (B, Q, heads, L·P, 2)
    # outside is moved to the zeros; NaN as well, which a clamp would keep
    at = torch.minimum(torch.where(at > 0, at, 0), levels.extent + float(BEFORE))
    corner = at.floor()
    right, below = (at - corner).to(value).unbind(-1)
    left, top = corner.int().unbind(-1)

    head = torch.arange(heads, dtype=torch.int32, device=value.device)[:, None]
    image = torch.arange(batch, dtype=torch.int32, device=value.device) * levels.rows
    # (B, 1, heads, L·P): where the map of this image and head begins
    first = (image[:, None, None, None] + levels.first) * heads + head
    stride = levels.stride
    steps = torch.stack([0 * stride, 0 * stride + 1, stride, stride + 1]) * heads  # (4, L·P)
    # (B, Q, heads, 4, L·P)
    rows = ((top * stride + left) * heads + first)[..., None, :] + steps

    weights = weights.to(value).flatten(3)
    lower = weights * below
    upper = weights - lower
    lower_right, upper_right = lower * right, upper * right
    shares = torch.stack([upper - upper_right, upper_right, lower - lower_right, lower_right], -2)
    bags = batch * queries * heads
    summed = functional.embedding_bag(
        rows.view(bags, -1),
        _table(value, levels).view(-1, channels),
        mode='sum',
        per_sample_weights=shares.view(bags, -1),
    )
    return summed.view(batch, queries, heads * channels)


def _table(value: Tensor, levels: Levels) -> Tensor:
    """Return all maps with zeros around each, (B, rows, heads, C)."""
    batch, _, heads, channels = value.shape
    around, first = BEFORE + BEHIND, 0
    table = value.new_zeros(batch, levels.rows, heads, channels)
    maps = torch.split(value, [height * width for height, width in levels.sizes], 1)
    for level, (height, width) in zip(maps, levels.sizes, strict=True):
        end = first + (height + around) * (width + around)
        framed = table[:, first:end].view(batch, height + around, -1, heads, channels)
        inside = framed[:, BEFORE : BEFORE + height, BEFORE : BEFORE + width]
        inside.copy_(level.reshape(batch, height, width, heads, channels))
        first = end
    return table
