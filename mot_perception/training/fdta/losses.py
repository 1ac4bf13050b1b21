"""All losses of one step, weighted (eqs. 14–16 and §1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mot_perception.fdta.losses.depth_loss import depth_loss
from mot_perception.fdta.losses.summed import Summed
from mot_perception.training.fdta.identities import compare, tell
from mot_perception.training.fdta.seeing import see

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mot_perception.fdta.identity_adapter import IdentityAdapter
    from mot_perception.fdta.losses.detection_loss import Objects
    from mot_perception.fdta.network import Fdta
    from mot_perception.training.fdta.identities import Asked
    from mot_perception.training.fdta.seeing import Seen
    from mot_perception.training.fdta.settings import FdtaTraining


class Term(NamedTuple):
    """A loss with its weight; what has none is only told."""

    weight: float
    loss: Summed


class Frames(NamedTuple):
    """F frames, clip by clip, where the network is."""

    images: Tensor
    """(F, 3, H, W), normalised."""
    padded: Tensor | None
    """bool (F, H, W)."""
    depth: Tensor | None
    """float32 (F, H, W), values of the labels; NaN where unknown."""
    truth: Sequence[Objects]
    """Of each frame."""
    learned: Tensor
    """int64 (L), frames that the detector learns from, in rising order."""
    times: Tensor
    """float64 (B, T), in frame periods."""


def losses(
    network: Fdta,
    adapter: IdentityAdapter | None,
    frames: Frames,
    asked: Asked,
    settings: FdtaTraining,
    epoch: int,
) -> dict[str, Term]:
    """Return what is made small in one step, by name.

    Args:
        network: In training.
        adapter: For the comparison of embeddings; None: there is none.
        frames: All frames of the clips.
        asked: About the clips.
        settings: Weights and forms.
        epoch: From 0; in the first one embeddings are not compared (§1.6).
    """
    seen = see(
        network.detr,
        frames.images,
        frames.padded,
        frames.truth,
        frames.learned,
        matched_layer=settings.matched_layer,
        checkpointed=settings.checkpointed,
    )
    terms: dict[str, Term] = {}
    if seen.loss is not None:
        boxes = seen.loss.total.new_tensor(float(sum(len(it.ids) for it in frames.truth)))
        count = boxes if settings.divide_by == 'clip' else seen.loss.count
        terms['boxes'] = Term(1.0, Summed(seen.loss.total, count))
        if frames.depth is not None and seen.found is not None and seen.found.depth is not None:
            depth = _of_depth(seen, frames, frames.depth, settings)
            if settings.divide_by == 'clip':  # the mean of each frame, per box of all
                cells = seen.found.depth.logits[0, 0].numel()
                depth = Summed(depth.total / cells, boxes)
            terms['depth'] = Term(settings.depth_weight, depth)
    if settings.length > 1:
        labels, places, right = tell(network, seen, frames.truth, asked, frames.times)
        terms['identities'] = Term(settings.identity_weight, labels)
        terms['places'] = Term(settings.spatial_identity_weight, places)
        terms['right identities'] = Term(0.0, right)
    if adapter is not None:
        compared = compare(adapter, seen, frames.truth, settings)
        terms['embeddings'] = Term(settings.contrastive_weight * (epoch > 0), compared)
    return terms


def _of_depth(seen: Seen, frames: Frames, depth: Tensor, settings: FdtaTraining) -> Summed:
    assert seen.found is not None
    assert seen.found.depth is not None
    return depth_loss(
        seen.found.depth.logits,
        depth[seen.learned],
        [frames.truth[i].boxes for i in seen.learned.tolist()],
        settings.network.spatial,
        foreground=settings.foreground,
        skip_invalid=settings.skip_invalid,
    )


def weighted(terms: dict[str, Term], counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this process' part of the loss, and of each term without its weight.

    Args:
        terms: Of `losses`.
        counts: Of each term, of all processes together.
    """
    means = {
        name: term.loss.mean(count)
        for (name, term), count in zip(terms.items(), counts, strict=True)
    }
    total = torch.stack([term.weight * means[name] for name, term in terms.items()]).sum()
    return total, {name: mean.detach() for name, mean in means.items()}
