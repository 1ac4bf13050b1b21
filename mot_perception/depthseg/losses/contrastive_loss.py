"""Our loss: an object's two vectors must be alike, and unlike those of the others around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from mot_perception.depthseg.losses.terms import terms

if TYPE_CHECKING:
    from mot_perception.depthseg.losses.terms import Batch, LossTerms

TEMPERATURE = 0.1
"""A cosine larger by this makes an object e times as likely."""
RECONSTRUCTION = 1.0
"""Weight of a mean squared error of maps between −1 and 1, which is of the order of 0.1."""


def contrastive_loss(batch: Batch) -> LossTerms:
    """Return, per matched object, how unsure it is which one it is, plus its reconstruction error.

    Contrastive predictive coding's loss (van den Oord et al. 2018) both ways: the cross entropy of
    picking its partner among the objects of its frame pair, by cosine over temperature. Vectors
    that are all the same cannot lower it. An object that is alone in its frame adds nothing to it.
    """
    with torch.autocast(batch.u1.device.type, enabled=False):
        logits = batch.u1.float() @ batch.u2.float().T / TEMPERATURE
    logits = logits.masked_fill(batch.pair[:, None] != batch.pair, -torch.inf)
    partner = torch.arange(len(logits), device=logits.device)
    forward, backward = (cross_entropy(it, partner, reduction='sum') for it in (logits, logits.T))
    return terms(
        len(logits),
        contrast=(forward + backward) / 2,
        reconstruction=RECONSTRUCTION / 2 * batch.errors.float().sum(),
    )
