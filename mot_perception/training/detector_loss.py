"""What YOLOX learns from: SimOTA tells cells which objects they find, and losses how well they do.

After Ge et al. 2021 (arXiv 2107.08430, §2.1) and OTA (arXiv 2103.14259, §3.3).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, one_hot

from mot_perception.perception.yolox import decode

CENTRE_RADIUS = 2.5
"""Cells from an object's centre within which cells may find it."""
IOU_COST, OUTSIDE_COST = 3.0, 1e5
"""Cost of −log IoU against that of the class; and of a cell that is not both in the box and near
its centre, which is taken only where no other is left."""
MOST_IOUS = 10
"""The best IoUs of an object whose sum is how many cells find it."""
IOU_WEIGHT = 5.0
IGNORED_OVERLAP = 0.5
"""IoU with an object that is hardly seen above which a box is neither right nor wrong."""
LEAST = 1e-8


class Truth(NamedTuple):
    """What is in an image.

    Attributes:
        xyxy: G×4, pixels of the network's input.
        label: int64 G, classes.
        ignored: K×4, boxes that need not be found and may be.
    """

    xyxy: Tensor
    label: Tensor
    ignored: Tensor


class Assignment(NamedTuple):
    """Which P cells find which objects.

    Attributes:
        cell: int64 P, ascending.
        truth: int64 P, rows of the truth.
        iou: P, of the cell's box with the object's.
    """

    cell: Tensor
    truth: Tensor
    iou: Tensor


class Losses(NamedTuple):
    """Sums over the cells of a batch; divided by the number of cells that find something, means.

    Attributes:
        iou: Of cells that find something: 1 − IoU².
        objectness: Of all cells but those over ignored objects.
        label: Of cells that find something.
        l1: The same: of their four numbers.
        cells: How many find something.
    """

    iou: Tensor
    objectness: Tensor
    label: Tensor
    l1: Tensor
    cells: Tensor

    def total(self, l1: bool) -> Tensor:
        """Return the weighted sum.

        Args:
            l1: With the distances of the four numbers, as in the last part of a training.
        """
        found = IOU_WEIGHT * self.iou + self.objectness + self.label
        return found + self.l1 if l1 else found


def detector_losses(cells: Tensor, truths: list[Truth], height: int, width: int) -> Losses:
    """Return the losses of a batch.

    Args:
        cells: B×A×(5 + classes), as `Yolox` returns them.
        truths: B.
        height: Of the network's input, pixels.
        width: The same.
    """
    if not truths:  # a process whose part of the batch is empty
        nothing = cells.sum() * 0
        return Losses(nothing, nothing, nothing, nothing, nothing.detach())
    boxes = to_xyxy(decode(cells, height, width))
    rows = [
        _image_losses(cells[k], boxes[k], truth, height, width) for k, truth in enumerate(truths)
    ]
    return Losses(*(torch.stack(column).sum() for column in zip(*rows, strict=True)))


def _image_losses(cells: Tensor, boxes: Tensor, truth: Truth, height: int, width: int) -> Losses:
    """Return the losses of one image; `cells` A×(5 + classes), `boxes` A×4 in pixels."""
    objectness, label = cells[:, 4], cells[:, 5:]
    corner, stride = cell_grid(cells, height, width)
    with torch.no_grad():
        probability = (objectness.sigmoid()[:, None] * label.sigmoid()).sqrt()
        found = assign(boxes, probability, corner + stride / 2, stride[:, 0], truth)
        counted = pairwise_iou(boxes, truth.ignored).amax(1) < IGNORED_OVERLAP
        counted[found.cell] = True
        wanted = torch.zeros_like(objectness)
        wanted[found.cell] = 1
    at, mine = found.cell, truth.xyxy[found.truth]
    classes = one_hot(truth.label[found.truth], label.shape[1]) * found.iou[:, None]
    numbers = _encoded(mine, corner[at], stride[at])
    return Losses(
        iou=(1 - paired_iou(boxes[at], mine).square()).sum(),
        objectness=binary_cross_entropy_with_logits(
            objectness, wanted, counted.to(cells.dtype), reduction='sum'
        ),
        label=binary_cross_entropy_with_logits(label[at], classes, reduction='sum'),
        l1=(cells[at, :4] - numbers).abs().sum(),
        cells=torch.tensor(float(len(at)), device=cells.device),
    )


@torch.no_grad()
def assign(
    boxes: Tensor, probability: Tensor, centre: Tensor, stride: Tensor, truth: Truth
) -> Assignment:
    """Let each object be found by the cells that do so at the least cost (SimOTA).

    An object takes as many cells as its `MOST_IOUS` best IoUs add up to, at least one; a cell
    that several take stays with the cheapest.

    Args:
        boxes: A×4, what cells say, xyxy pixels.
        probability: A×classes, that there is an object of the class, square root.
        centre: A×2, of the cells, pixels.
        stride: A, of the cells, pixels.
        truth: The G objects.
    """
    inside = _inside(centre[:, None], truth.xyxy[None])
    middle = (truth.xyxy[:, :2] + truth.xyxy[:, 2:]) / 2
    away = (centre[:, None] - middle).abs().amax(2)
    near = away < CENTRE_RADIUS * stride[:, None]
    candidate = (inside | near).any(1).nonzero()[:, 0]
    count = len(truth.xyxy)
    if not len(candidate):  # no object, or all of them beside the image
        none = candidate.new_zeros(0)
        return Assignment(none, none, boxes.new_zeros(0))
    iou = pairwise_iou(boxes[candidate], truth.xyxy)
    good = (inside & near)[candidate]
    cost = _class_cost(probability[candidate], truth.label)
    cost = cost - IOU_COST * (iou + LEAST).log() + OUTSIDE_COST * ~good
    most = min(MOST_IOUS, len(candidate))
    wanted = iou.topk(most, 0).values.sum(0).long().clamp(1, len(candidate))
    taken = torch.zeros_like(good)
    for g in range(count):
        taken[cost[:, g].topk(int(wanted[g]), largest=False).indices, g] = True
    cheapest = cost.masked_fill(~taken, torch.inf).argmin(1)
    rows = taken.any(1).nonzero()[:, 0]
    return Assignment(candidate[rows], cheapest[rows], iou[rows, cheapest[rows]])


def _class_cost(probability: Tensor, label: Tensor) -> Tensor:
    """Return the cross entropy of each cell with each object's class, summed over classes, A×G."""
    wanted = one_hot(label, probability.shape[1]).to(probability.dtype)
    shape = len(probability), *wanted.shape
    return binary_cross_entropy(
        probability[:, None].expand(shape), wanted.expand(shape), reduction='none'
    ).sum(2)


def cell_grid(cells: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the upper left corners of the cells, A×2 pixels, and their strides, A×1.

    Args:
        cells: …×A×n.
        height: Of the network's input, pixels.
        width: The same.
    """
    zeros = torch.zeros(cells.shape[-2], 5, device=cells.device)
    still = decode(zeros, height, width)  # a box of no numbers is the cell itself
    return still[:, :2], still[:, 2:3]


def _encoded(xyxy: Tensor, corner: Tensor, stride: Tensor) -> Tensor:
    """Return the four numbers by which P cells say P boxes; see `decode`."""
    centre, size = (xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]
    return torch.cat([(centre - corner) / stride, (size / stride + LEAST).log()], 1)


def _inside(points: Tensor, xyxy: Tensor) -> Tensor:
    """Return whether points …×2 lie in boxes …×4, borders excluded."""
    return ((points > xyxy[..., :2]) & (points < xyxy[..., 2:])).all(-1)


def to_xyxy(decoded: Tensor) -> Tensor:
    """Return corners …×4 of what `decode` returns, …×n."""
    centre, half = decoded[..., :2], decoded[..., 2:4] / 2
    return torch.cat([centre - half, centre + half], -1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the A×G intersection over union of boxes A×4 and G×4, with a column of 0 if G = 0."""
    if not len(b):
        return a.new_zeros(len(a), 1)
    return paired_iou(a[:, None], b[None])


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes …×4 with boxes …×4, row by row."""
    size = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    overlap = size.clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (a, b)]
    return overlap / (areas[0] + areas[1] - overlap + LEAST)
