"""The detector's loss: each object one query, by the Hungarian method, in every decoder layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from mot_perception.fdta.boxes import corners, overlaps
from mot_perception.fdta.losses.summed import Summed

if TYPE_CHECKING:
    from mot_perception.fdta.deformable_detr import Detections

CLASS, PLACE, OVERLAP = 2.0, 5.0, 2.0
"""Weights of class, L1 and generalised IoU, in the matching as in the loss."""
ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss (arXiv 1708.02002)."""


class Objects(NamedTuple):
    """The truth of one image."""

    boxes: Tensor
    """(M, 4), centre and size in [0, 1]."""
    labels: Tensor
    """int64 (M), class."""
    ids: Tensor
    """int64 (M), identity, each once."""


class Match(NamedTuple):
    """Which query is which object in one image."""

    queries: Tensor
    """int64 (M'), M' = min(M, Q)."""
    objects: Tensor
    """int64 (M'), the rows of `Objects` they belong to."""


def detection_loss(
    found: Detections, truth: list[Objects]
) -> tuple[Summed, dict[str, Tensor], list[list[Match]]]:
    """Return the loss over all decoder layers, its parts, and the matches of each layer.

    Args:
        found: Of B images.
        truth: Of the same.

    Returns:
        The sum, to be divided by the number of objects; 'class', 'place' and 'overlap' of the
        last layer without gradients; and for every layer a match for each image.
    """
    matches = [
        [
            match(logits, boxes, objects)
            for logits, boxes, objects in zip(layer_logits, layer_boxes, truth, strict=True)
        ]
        for layer_logits, layer_boxes in zip(found.logits, found.boxes, strict=True)
    ]
    total = found.logits.new_zeros((), dtype=torch.float32)
    parts: dict[str, Tensor] = {}
    for logits, boxes, layer in zip(found.logits, found.boxes, matches, strict=True):
        parts = _layer_loss(logits.float(), boxes, truth, layer)
        total = total + torch.stack(list(parts.values())).sum()
    count = total.new_tensor(float(sum(len(objects.boxes) for objects in truth)))
    return Summed(total, count), {name: it.detach() for name, it in parts.items()}, matches


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, objects: Objects) -> Match:
    """Return the cheapest one-to-one match of Q queries and the objects of one image.

    Args:
        logits: (Q, classes).
        boxes: (Q, 4), centre and size.
        objects: The truth.
    """
    score = logits.float().sigmoid().clamp(1e-8, 1 - 1e-8)
    present = ALPHA * (1 - score) ** GAMMA * -score.log()
    absent = (1 - ALPHA) * score**GAMMA * -(1 - score).log()
    wanted = objects.boxes.to(boxes)
    _, generous = overlaps(corners(boxes)[:, None], corners(wanted)[None])
    cost = CLASS * (present - absent)[:, objects.labels]
    cost = cost + PLACE * torch.cdist(boxes, wanted, p=1) - OVERLAP * generous
    # A broken network's NaN must not end a run whose next step may mend it.
    queries, rows = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, -1e6).cpu().numpy())
    device = logits.device
    return Match(
        torch.as_tensor(queries, dtype=torch.int64, device=device),
        torch.as_tensor(rows, dtype=torch.int64, device=device),
    )


def _layer_loss(
    logits: Tensor, boxes: Tensor, truth: list[Objects], matches: list[Match]
) -> dict[str, Tensor]:
    """Return the three sums of one layer: logits (B, Q, classes), boxes (B, Q, 4)."""
    image = torch.cat([torch.full_like(it.queries, i) for i, it in enumerate(matches)])
    query = torch.cat([it.queries for it in matches])
    label = torch.cat([ob.labels[it.objects] for ob, it in zip(truth, matches, strict=True)])
    box = torch.cat([ob.boxes[it.objects] for ob, it in zip(truth, matches, strict=True)])
    wanted = torch.zeros_like(logits)
    wanted[image, query, label] = 1
    near = boxes[image, query]
    _, generous = overlaps(corners(near), corners(box.to(near)))
    return {
        'class': CLASS * sigmoid_focal(logits, wanted).sum(),
        'place': PLACE * (near - box.to(near)).abs().sum(),
        'overlap': OVERLAP * (1 - generous).sum(),
    }


def sigmoid_focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the focal loss of each entry; `wanted` is 0 or 1."""
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    score = logits.sigmoid()
    right = score * wanted + (1 - score) * (1 - wanted)
    alpha = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return alpha * (1 - right) ** GAMMA * entropy
