"""From stored maps of a batch to its loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.depthseg.full_frame_autoencoder import FullFrameAutoencoder
from mot_perception.depthseg.losses.contrastive_loss import contrastive_loss
from mot_perception.depthseg.losses.paper_loss import paper_loss
from mot_perception.depthseg.losses.release_loss import release_loss
from mot_perception.depthseg.losses.terms import (
    JOINT_EPOCHS,
    Batch,
    LossTerms,
    reconstruction_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mot_perception.depthseg.checkpoint import Autoencoder
    from mot_perception.training.pairs import ObjectBatch

LossName = Literal['improved', 'release', 'paper']

LOSSES: dict[LossName, Callable[[Batch], LossTerms]] = {
    'improved': contrastive_loss,
    'release': release_loss,
    'paper': paper_loss,
}
NETWORKS: dict[str, type[Autoencoder]] = {
    network.form: network for network in (FullFrameAutoencoder, CropAutoencoder)
}
"""The network for each form of maps."""


def batch_loss(
    network: Autoencoder, objects: ObjectBatch, loss: LossName, epoch: int, largest: int
) -> tuple[LossTerms, Batch]:
    """Return the loss of a batch, and what it was computed from.

    Its total hangs on the network even if nothing counts in it: then its gradients are zero.

    Args:
        network: Of the form of the maps.
        objects: On the network's device; there may be none.
        loss: A key of `LOSSES`.
        epoch: From 0.
        largest: Objects in the frame that has most, of the whole batch on all processes.
    """
    maps, place = objects.maps.float(), objects.place
    vectors = network.encode(maps, place)
    if loss == 'improved' or epoch < JOINT_EPOCHS:
        decoded = network.decode(vectors), network.decode_place(vectors)
        errors = reconstruction_errors(maps, place, *decoded)
    else:
        errors = torch.zeros_like(vectors[:, 0])
    batch = Batch(
        vectors[objects.one],
        vectors[objects.other],
        objects.pair,
        errors,
        elements=math.prod(maps.shape[1:]),
        largest=largest,
        epoch=epoch,
    )
    terms = LOSSES[loss](batch)
    attached = terms.total + 0.0 * (vectors.sum() + errors.sum())
    return LossTerms(attached, terms.count, terms.parts), batch
