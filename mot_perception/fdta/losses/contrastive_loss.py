"""The Identity Adapter's loss: embeddings of one object alike, of two objects not."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mot_perception.fdta.losses.summed import Summed

TEMPERATURE = 0.1
LEAST_QUALITY = 0.5
"""Overlap of a query's box with its object from which on its embedding is believed."""


def contrastive_loss(
    vectors: Tensor,
    ids: Tensor,
    quality: Tensor,
    form: Literal['paper', 'release'] = 'paper',
) -> Summed:
    """Return the loss over all pairs of embeddings of one object in a pool (L_IA, §1.6).

    Args:
        vectors: (E, width) unit vectors of all appearances, of all frames, and of all clips if
            their identities differ.
        ids: int64 (E).
        quality: (E), overlap of each with its object; those below `LEAST_QUALITY` are left out.
        form: 'paper': every pair on its own, weighted by the harmonic mean of the two qualities,
            everything else in the pool in the denominator, to be divided by the number of pairs.
            'release': the denominator without the other appearances of the object, the mean over
            an appearance's pairs, then over appearances, times the temperature.
    """
    good = quality >= LEAST_QUALITY
    vectors, ids, quality = vectors[good].float(), ids[good], quality[good].float()
    same = ids[:, None] == ids
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    pairs = same & ~itself
    if not pairs.any():
        return Summed(vectors.sum() * 0, vectors.new_zeros(()))
    logits = vectors @ vectors.T / TEMPERATURE
    weight = 2 * quality[:, None] * quality / (quality[:, None] + quality)
    if form == 'paper':
        others = logits.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
        losses = torch.where(pairs, weight * (others - logits), 0)
        return Summed(losses.sum() / 2, pairs.sum().float() / 2)
    strangers = logits.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)
    losses = torch.where(pairs, weight * (torch.logaddexp(logits, strangers) - logits), 0)
    count = pairs.sum(1)
    anchors = count > 0
    total = (losses.sum(1)[anchors] / count[anchors]).sum() * TEMPERATURE
    return Summed(total, anchors.sum().float())
