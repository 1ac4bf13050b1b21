"""Eqs. 1–3 of the paper: squared errors, added up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.depthseg.losses.terms import JOINT_EPOCHS, terms

if TYPE_CHECKING:
    from mot_perception.depthseg.losses.terms import Batch, LossTerms


def paper_loss(batch: Batch) -> LossTerms:
    """Return ‖f − f̂‖² of all objects plus ‖b₁ − b₂‖² of the matched ones, per matched object.

    In the last epochs the latter alone (§4). Vectors are unit vectors here, where the paper does
    not say it: they are compared as such.
    """
    bottleneck = (batch.u1.float() - batch.u2.float()).square().sum()
    if batch.epoch >= JOINT_EPOCHS:
        return terms(len(batch.u1), bottleneck=bottleneck)
    reconstruction = batch.errors.float().sum() * batch.elements
    return terms(len(batch.u1), bottleneck=bottleneck, reconstruction=reconstruction)
