"""The ID decoder's loss: the right label, and none that lies elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mot_perception.fdta.boxes import corners, overlaps
from mot_perception.fdta.losses.detection_loss import OVERLAP, PLACE
from mot_perception.fdta.losses.summed import Summed


def identity_loss(logits: Tensor, labels: Tensor, counted: Tensor) -> Summed:
    """Return the cross entropy over all labels and newborn, per counted detection (L_ID).

    Args:
        logits: (…, S + 1).
        labels: int64 (…), S for newborn.
        counted: bool (…); in the first row of a clip nobody is known, so it does not count.
    """
    entropy = functional.cross_entropy(logits[counted].float(), labels[counted], reduction='sum')
    return Summed(entropy, counted.sum().float())


def spatial_identity_loss(
    logits: Tensor, boxes: Tensor, present: Tensor, places: Tensor, counted: Tensor
) -> Summed:
    """Return how far off those lie whom a detection is taken for, by probability.

    Σ p_c · (5·L1 + 2·(1 − GIoU)) between a detection's box and the true one of identity c in its
    frame; probabilities are those over the identities that are there, and newborn, which costs
    nothing (after MOTIP2's spatial ID loss, specification §9). No gradient reaches the boxes.

    Args:
        logits: (R, M, S + 1) of R frames with M detections.
        boxes: (R, M, 4), centre and size.
        present: bool (R, S), labels whose object is in the frame.
        places: (R, S, 4), where; anything for those that are not.
        counted: bool (R, M).
    """
    allowed = torch.cat([present, torch.ones_like(present[:, :1])], 1)[:, None]
    probability = logits.float().masked_fill(~allowed, -torch.inf).softmax(-1)[..., :-1]
    boxes, places = boxes.detach()[:, :, None], places[:, None]
    _, generous = overlaps(corners(boxes), corners(places))
    distance = PLACE * (boxes - places).abs().sum(-1) + OVERLAP * (1 - generous)
    distance = torch.where(present[:, None], distance, 0)
    total = (probability * distance).sum(-1)[counted].sum()
    return Summed(total, counted.sum().float())
