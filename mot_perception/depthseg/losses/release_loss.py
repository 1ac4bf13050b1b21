"""The loss of the released code: means of squares, frame pair by frame pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.depthseg.losses.terms import JOINT_EPOCHS, terms

if TYPE_CHECKING:
    from mot_perception.depthseg.losses.terms import Batch, LossTerms


def release_loss(batch: Batch) -> LossTerms:
    """Return what each frame pair adds, per frame pair with a match.

    Of a pair: the mean over its K matched objects and D dimensions of (u₁ − u₂)², which is
    (2 − 2 cos) / D; and in the first epochs the mean squared error of each frame's
    reconstructions, whose maps are padded with zeros to the batch's largest number of objects.
    Where nothing matches the released code divides by zero; here it is 0.
    """
    matched = batch.pair.bincount()
    squares = (batch.u1.float() - batch.u2.float()).square().mean(1)
    bottleneck = (squares / matched[batch.pair]).sum()
    pairs = (matched > 0).sum()
    if batch.epoch >= JOINT_EPOCHS:
        return terms(pairs, bottleneck=bottleneck)
    reconstruction = batch.errors.float().sum() / max(batch.largest, 1)
    return terms(pairs, bottleneck=bottleneck, reconstruction=reconstruction)
