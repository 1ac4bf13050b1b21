"""What an encoder is shown of an object: its depth inside its mask, on a square of fixed size.

Training, extraction and the running tracker call the same functions, so that a network sees in
use what it was trained on. Both take a depth image and masks on one grid of h×w cells that covers
the whole frame, and change neither.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

FULL_FRAME_SIZE = 128
"""Cells per side of the paper's maps."""
CROP_SIZE = 32
"""Cells per side of a map around one object."""
MARGIN = 2
"""Of them, how many lie outside the object's extent on each side."""
LOG_LIMIT = 0.5
"""Depths differing more from the object's median are not the object's; e^0.5 is 1.65 times."""
FARTHEST_LOG = 5.0
"""Bound of an object's log depth relative to the scene's."""
PLACE = 'depth', 'spread', 'x', 'y', 'width', 'height', 'filled'
"""Scalars that `cropped` gives beside the maps."""


class ObjectMaps(NamedTuple):
    """What is shown of N objects.

    Attributes:
        maps: float32 N×C×S×S.
        place: float32 N×P, what the maps do not say of where the object is.
        seen: bool N; False where the mask is empty or no depth is known in it.
    """

    maps: Tensor
    place: Tensor
    seen: Tensor


def full_frame(depth: Tensor, masks: Tensor) -> ObjectMaps:
    """Return depth × mask of the whole frame, squeezed to 128×128, as the released code has it.

    Bicubic without antialiasing, then (x − 0.5) / 0.5: the background is −1, and 5 m are 9. Not
    invariant to the scale of the depth.

    Args:
        depth: h×w; 0 or NaN where unknown.
        masks: bool N×h×w.

    Returns:
        N×1×128×128 maps; `place` is N×0.
    """
    depth, known, masks = _checked(depth, masks)
    inside = masks & known
    fused = torch.where(inside, depth, 0)[:, None]
    side = FULL_FRAME_SIZE
    if len(masks):
        squeezed = interpolate(fused, (side, side), mode='bicubic', align_corners=False)
    else:
        squeezed = fused.new_zeros(0, 1, side, side)
    return ObjectMaps((squeezed - 0.5) / 0.5, fused.new_zeros(len(masks), 0), inside.any(2).any(1))


def cropped(depth: Tensor, masks: Tensor) -> ObjectMaps:
    """Return each object's relief and outline in a square around it, and where that square is.

    Only ratios of depths matter: a factor common to all of them changes nothing. Maps hold means
    over the area of their cells, so that noise of single cells fades and nothing falls between
    samples. Of objects that are not seen all is 0.

    Args:
        depth: h×w; 0 or NaN where unknown.
        masks: bool N×h×w.

    Returns:
        N×2×32×32 maps: log of depth relative to the object's median, −1 to 1 for ±`LOG_LIMIT` and
        0 outside the mask and where unknown; and the mask, 0 to 1. The mask's extent fills the
        square up to `MARGIN`, whatever its aspect ratio. `place` is N×7, see `PLACE`: log of the
        object's median depth relative to the scene's; log of the third by the first quartile of
        its depths; the extent's centre and size as shares of the frame; and the share of the
        extent that the mask fills.
    """
    depth, known, masks = _checked(depth, masks)
    inside = masks & known
    seen = inside.any(2).any(1)
    first, median, third = _quartiles(depth, inside)
    scene = _quartiles(depth, known[None])[1]
    top, bottom = _extent(masks.any(2))
    left, right = _extent(masks.any(1))
    relief = (depth / median[:, None, None]).log().clamp(-LOG_LIMIT, LOG_LIMIT) / LOG_LIMIT
    channels = torch.stack([torch.where(inside, relief, 0), masks.to(depth.dtype)], 1)
    rows = _area_weights(top, bottom, masks.shape[1])
    columns = _area_weights(left, right, masks.shape[2])
    maps = rows[:, None] @ channels @ columns[:, None].transpose(-1, -2)
    height, width = masks.shape[1:]
    place = torch.stack(
        [
            (median / scene).log().clamp(-FARTHEST_LOG, FARTHEST_LOG),
            (third / first).log().clamp(0, 2 * LOG_LIMIT),
            (left + right) / (2 * width),
            (top + bottom) / (2 * height),
            (right - left) / width,
            (bottom - top) / height,
            masks.sum((1, 2)) / ((right - left) * (bottom - top)),
        ],
        1,
    )
    return ObjectMaps(
        torch.where(seen[:, None, None, None], maps, 0), torch.where(seen[:, None], place, 0), seen
    )


def _checked(depth: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth as float32 with 1 where it is unknown, where it is known, and the masks."""
    if depth.ndim != 2 or masks.ndim != 3 or masks.shape[1:] != depth.shape or not depth.numel():
        raise ValueError(
            f'depth {tuple(depth.shape)} and masks {tuple(masks.shape)} are not of one grid'
        )
    depth = depth.float()
    known = depth.isfinite() & (depth > 0)
    return torch.where(known, depth, 1), known, masks.bool()


def _quartiles(depth: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return first quartile, median and third quartile of depth in each of N regions, 1 if empty.

    Always depths that occur, never means of two, so that scaling the depth scales them exactly.
    All regions are sorted at once: by region, then by the depth's rank.

    Args:
        depth: h×w.
        inside: bool N×h×w.
    """
    values, order = depth.flatten().sort(stable=True)
    rank = torch.empty_like(order).scatter_(
        0, order, torch.arange(len(order), device=order.device)
    )
    regions, cells = inside.flatten(1).nonzero(as_tuple=True)
    sorted_ranks = (regions * len(order) + rank[cells]).sort()[0] % len(order)
    by_region = torch.cat([values[sorted_ranks], values.new_ones(1)])
    count = inside.sum((1, 2))
    start = count.cumsum(0) - count
    first, median, third = (
        torch.where(count > 0, by_region[start + (count - 1).clamp(min=0) * quarter // 4], 1)
        for quarter in (1, 2, 3)
    )
    return first, median, third


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the occupied ones of N×L cells begin and end, as numbers; 0 and L if none."""
    first = occupied.int().argmax(1)
    last = occupied.shape[1] - occupied.flip(1).int().argmax(1)
    return first.float(), last.float()


def _area_weights(begin: Tensor, end: Tensor, cells: int) -> Tensor:
    """Return the share of each of L cells in each of the square's rows (or columns), N×32×L.

    Args:
        begin: N, where the extent begins, in cells.
        end: N, where it ends.
        cells: L.
    """
    step = ((end - begin) / (CROP_SIZE - 2 * MARGIN))[:, None, None]
    numbers = torch.arange(CROP_SIZE + 1, device=begin.device) - MARGIN
    edges = step * numbers[:, None]
    cell = torch.arange(cells, device=begin.device) - begin[:, None, None]
    overlap = torch.minimum(edges[:, 1:], cell + 1) - torch.maximum(edges[:, :-1], cell)
    return overlap.clamp(min=0) / step
