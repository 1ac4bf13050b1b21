"""The detector over clips: a few frames teach it, the others only show who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mot_perception.fdta.deformable_detr import Detections
from mot_perception.fdta.losses.detection_loss import detection_loss, match

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from mot_perception.fdta.deformable_detr import DeformableDetr
    from mot_perception.fdta.losses.detection_loss import Match, Objects
    from mot_perception.fdta.losses.summed import Summed

AT_ONCE = 20
"""Frames without gradients that go through the detector together."""


class Seen(NamedTuple):
    """What the detector says of F frames: all clips' of a step, one after the other."""

    embeddings: Tensor
    """(F, Q, width); those of the frames that are learned from have gradients."""
    boxes: Tensor
    """float32 (F, Q, 4) of the last layer."""
    matches: list[Match]
    """Which query is which object, in each frame."""
    learned: Tensor
    """int64 (L), the frames that are learned from, in rising order."""
    found: Detections | None
    """Of those L; None if there are none."""
    loss: Summed | None
    """`detection_loss` of those L."""
    parts: dict[str, Tensor]
    """Of that loss."""


def see(
    detector: DeformableDetr,
    images: Tensor,
    padded: Tensor | None,
    truth: Sequence[Objects],
    learned: Tensor,
    *,
    matched_layer: Literal['last', 'second to last'],
    checkpointed: int = 0,
) -> Seen:
    """Detect in all frames, and learn from some of them.

    Args:
        detector: In training.
        images: (F, 3, H, W), normalised.
        padded: bool (F, H, W), or None.
        truth: Of each of the F frames.
        learned: int64 (L), in rising order: those whose activations are kept for gradients.
        matched_layer: Whose match says which query is which object; 'second to last' as released.
        checkpointed: Frames whose activations are kept at a time, see `FdtaTraining`.
    """
    layer = -1 if matched_layer == 'last' else -2
    other = torch.ones(len(images), dtype=torch.bool, device=images.device)
    other[learned] = False
    quiet = other.nonzero()[:, 0]
    found = None
    if len(learned):
        found = _learn(detector, images[learned], _rows(padded, learned), checkpointed)
    looks = [
        _glance(detector, images, padded, quiet[first : first + AT_ONCE], layer)
        for first in range(0, len(quiet), AT_ONCE)
    ]
    if found is not None:
        looks.append(_pick(found, layer))
    order = torch.cat([quiet, learned]).argsort()
    embeddings, boxes, logits, matched = (
        torch.cat(parts)[order] for parts in zip(*looks, strict=True)
    )
    loss, parts = None, dict[str, Tensor]()
    known: dict[int, Match] = {}
    if found is not None:
        loss, parts, layers = detection_loss(found, [truth[i] for i in learned.tolist()])
        layer_matches = layers[max(layer, -len(layers))]
        known = dict(zip(learned.tolist(), layer_matches, strict=True))
    matches = [
        known[i] if i in known else match(logits[i], matched[i], objects)
        for i, objects in enumerate(truth)
    ]
    return Seen(embeddings, boxes, matches, learned, found, loss, parts)


def _learn(
    detector: DeformableDetr, images: Tensor, padded: Tensor | None, at_a_time: int
) -> Detections:
    """Detect with gradients; with `at_a_time` activations are computed anew when needed."""
    if not at_a_time:
        found: Detections = detector(images, padded)
        return found
    parts = [
        checkpoint(detector, images[rows], _rows(padded, rows), use_reentrant=False)
        for rows in torch.split(torch.arange(len(images), device=images.device), at_a_time)
    ]
    return _joined(parts)


def _joined(parts: list[Detections]) -> Detections:
    """Return the detections in all images of several calls."""
    depths = [part.depth for part in parts if part.depth is not None]
    depth = None
    if depths:
        padded = [it.padded for it in depths if it.padded is not None]
        depth = depths[0]._replace(
            logits=torch.cat([it.logits for it in depths]),
            expected=torch.cat([it.expected for it in depths]),
            tokens=torch.cat([it.tokens for it in depths]),
            padded=torch.cat(padded) if padded else None,
        )
    return Detections(
        torch.cat([part.logits for part in parts], 1),
        torch.cat([part.boxes for part in parts], 1),
        torch.cat([part.embeddings for part in parts]),
        depth,
    )


@torch.no_grad()
def _glance(
    detector: DeformableDetr, images: Tensor, padded: Tensor | None, rows: Tensor, layer: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _pick(detector(images[rows], _rows(padded, rows)), layer)


def _pick(found: Detections, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return embeddings and boxes of the last layer; logits and boxes of the one that matches."""
    layer = max(layer, -len(found.logits))
    return found.embeddings, found.boxes[-1], found.logits[layer].detach(), found.boxes[layer]


def _rows(padded: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if padded is None else padded[rows]
