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
    count, height, width = masks.shape
    ranked, rank = _ranked(depth, known)
    objects, cells = (masks & known).flatten(1).nonzero(as_tuple=True)
    first, median, third = _quartiles(ranked, rank[cells], objects, count)
    scene = ranked[(known.sum() - 1).clamp(min=0) // 2]
    seen = objects.bincount(minlength=count) > 0
    relief = (depth.flatten()[cells] / median[objects]).log().clamp(-LOG_LIMIT, LOG_LIMIT)
    channels = depth.new_zeros(count, 2, height, width)
    channels[:, 0].view(count, height * width)[objects, cells] = relief / LOG_LIMIT
    channels[:, 1] = masks
    top, bottom = _extent(masks.any(2))
    left, right = _extent(masks.any(1))
    rows, columns = _area_weights(top, bottom, height), _area_weights(left, right, width)
    by_row = rows @ channels.transpose(1, 2).reshape(count, height, 2 * width)
    maps = by_row.reshape(count, CROP_SIZE * 2, width) @ columns.transpose(1, 2)
    place = torch.stack(
        [
            (median / scene).log().clamp(-FARTHEST_LOG, FARTHEST_LOG),
            (third / first).log().clamp(0, 2 * LOG_LIMIT),
            (left + right) / (2 * width),
            (top + bottom) / (2 * height),
            (right - left) / width,
            (bottom - top) / height,
            channels[:, 1].sum((1, 2)) / ((right - left) * (bottom - top)),
        ],
        1,
    )
    maps = maps.reshape(count, CROP_SIZE, 2, CROP_SIZE).transpose(1, 2)
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


def _ranked(depth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the depths in ascending order, infinite where unknown, and each cell's rank.

    Args:
        depth: h×w.
        known: bool h×w.

    Returns:
        Two tensors of h·w.
    """
    ranked, order = torch.where(known, depth, torch.inf).flatten().sort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return ranked, rank


def _quartiles(
    ranked: Tensor, rank: Tensor, objects: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return first quartile, median and third quartile of each object's depths; any for no depths.

    Always depths that occur, never means of two, so that scaling the depth scales them exactly.
    All objects are sorted at once: by object, then by rank.

    Args:
        ranked: Depths in ascending order.
        rank: M, those of the objects' cells.
        objects: M, which object each of the cells is of, ascending.
        count: N, how many objects there are.
    """
    by_object = (objects * len(ranked) + rank).sort()[0] % len(ranked)
    by_object = torch.cat([by_object, by_object.new_zeros(1)])
    number = objects.bincount(minlength=count)
    start = number.cumsum(0) - number
    first, median, third = (
        ranked[by_object[start + (number - 1).clamp(min=0) * quarter // 4]]
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
