"""What the ID decoder is asked about clips, and what it and the Identity Adapter lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mot_perception.fdta.boxes import corners, overlaps
from mot_perception.fdta.id_decoder import Current, History
from mot_perception.fdta.losses.contrastive_loss import contrastive_loss
from mot_perception.fdta.losses.identity_loss import identity_loss, spatial_identity_loss
from mot_perception.fdta.losses.summed import Summed
from mot_perception.training.fdta.questions import make_questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.fdta.identity_adapter import IdentityAdapter
    from mot_perception.fdta.losses.detection_loss import Match, Objects
    from mot_perception.fdta.network import Fdta
    from mot_perception.training.fdta.questions import Questions
    from mot_perception.training.fdta.seeing import Seen
    from mot_perception.training.fdta.settings import FdtaTraining

POOL = 10
"""Frames that the released code compares with each other (§7.5)."""


class Asked(NamedTuple):
    """Questions about B clips of T frames, padded to N identities each."""

    columns: Tensor
    """int64 (B, N): which of the clip's identities; −1 for what is added."""
    boxes: Tensor
    """float32 (B, T, N, 4): where it truly is."""
    source: Tensor
    """int64 (B, G, T, N): whose observation a history holds, among the N."""
    missing: Tensor
    """bool (B, G, T, N)."""
    asked_missing: Tensor
    """bool (B, G, T, N)."""
    labels: Tensor
    """int64 (B, G, N)."""
    target: Tensor
    """int64 (B, G, T, N)."""


def ask(
    clips: Sequence[Sequence[Objects]], settings: FdtaTraining, seeds: Sequence[Sequence[int]]
) -> Asked:
    """Draw questions about clips.

    Args:
        clips: The objects of each frame of each clip; identities count from 0 in each.
        settings: How many groups, which switches, how large the dictionary.
        seeds: What the draws of each clip follow from.
    """
    drawn = [_draw(clip, settings, seed) for clip, seed in zip(clips, seeds, strict=True)]
    widest = max(1, *(len(questions.columns) for questions, _ in drawn))
    rows = [_padded(questions, boxes, widest) for questions, boxes in drawn]
    return Asked(*(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)))


def _draw(
    clip: Sequence[Objects], settings: FdtaTraining, seed: Sequence[int]
) -> tuple[Questions, NDArray[np.float32]]:
    """Return the questions about one clip, and the boxes (T, I, 4) of all its identities."""
    count = 1 + max((int(objects.ids.max()) for objects in clip if len(objects.ids)), default=-1)
    present = np.zeros((len(clip), count), np.bool_)
    boxes = np.zeros((len(clip), count, 4), np.float32)
    for frame, objects in enumerate(clip):
        ids = objects.ids.numpy()
        present[frame, ids], boxes[frame, ids] = True, objects.boxes.numpy()
    questions = make_questions(
        present,
        corners(torch.from_numpy(boxes)).numpy().astype(np.float64),
        np.random.default_rng(seed),
        groups=settings.groups,
        identities=settings.network.identity.identities,
        switches=settings.switches,
    )
    return questions, boxes


def _padded(
    it: Questions, boxes: NDArray[np.float32], widest: int
) -> tuple[NDArray[np.generic], ...]:
    """Return the fields of `Asked` for one clip; what is added is missing everywhere."""
    more = widest - len(it.columns)
    columns = np.pad(it.columns, (0, more), constant_values=-1)
    last = ((0, 0), (0, 0), (0, more))
    return (
        columns,
        np.pad(boxes[:, it.columns], ((0, 0), (0, more), (0, 0))),
        np.pad(it.source, last),
        np.pad(it.missing, last, constant_values=True),
        np.pad(it.asked_missing, last, constant_values=True),
        np.pad(it.labels, ((0, 0), (0, more))),
        np.pad(it.target, last),
    )


def tell(
    network: Fdta, seen: Seen, truth: Sequence[Objects], asked: Asked, times: Tensor
) -> tuple[Summed, Summed, Summed]:
    """Return the ID decoder's losses of labels and of how far off others lie, and the share right.

    Args:
        network: Its temporal adapter, trajectory modelling and ID decoder are asked.
        seen: Of all frames of the B clips, clip by clip.
        truth: Of the same frames.
        asked: About them.
        times: (B, T), in frame periods.
    """
    batch, groups, frames = asked.missing.shape[:3]
    query = _queries(seen.matches, truth, asked)  # (B, T, N)
    embeddings = seen.embeddings.view(
        batch, frames, *seen.embeddings.shape[1:]
    )  # (B, T, Q, width)
    width = embeddings.shape[-1]
    current = embeddings.gather(2, query[..., None].expand(-1, -1, -1, width))  # (B, T, N, width)
    now = current[:, None].expand(-1, groups, -1, -1, -1)  # (B, G, T, N, width)
    remembered = now.gather(3, asked.source[..., None].expand(-1, -1, -1, -1, width))
    labels = asked.labels[:, :, None].expand(-1, -1, frames, -1)
    logits = network.identify(
        History(remembered, labels, asked.missing, times),
        Current(now, asked.asked_missing, times),
    )  # (B, G, T, N, S + 1)
    counted = ~asked.asked_missing
    counted[:, :, 0] = False  # nobody is known yet
    there = ~asked.asked_missing.flatten(0, 2)  # (B·G·T, N)
    slots = logits.shape[-1] - 1
    present = torch.zeros(len(there), slots + 1, dtype=torch.bool, device=there.device)
    places = torch.zeros(len(there), slots + 1, 4, device=there.device)
    where = labels.flatten(0, 2).masked_fill(~there, slots)  # what is not there goes beyond
    boxes = asked.boxes[:, None].expand(-1, groups, -1, -1, -1).flatten(0, 2)
    present.scatter_(1, where, True)
    places.scatter_(1, where[..., None].expand(-1, -1, 4), boxes)
    spatial = spatial_identity_loss(
        logits.flatten(0, 2), boxes, present[:, :-1], places[:, :-1], counted.flatten(0, 2)
    )
    right = (logits.argmax(-1) == asked.target)[counted].float()
    return (
        identity_loss(logits, asked.target, counted),
        spatial,
        Summed(right.sum(), counted.sum().float()),
    )


def _queries(matches: Sequence[Match], truth: Sequence[Objects], asked: Asked) -> Tensor:
    """Return which query is which identity, int64 (B, T, N); 0 for those that are not there."""
    batch, frames = asked.boxes.shape[:2]
    count = 1 + max((int(it.ids.max()) for it in truth if len(it.ids)), default=0)
    known = torch.zeros(batch * frames, count, dtype=torch.int64, device=asked.columns.device)
    for frame, (found, objects) in enumerate(zip(matches, truth, strict=True)):
        known[frame, objects.ids[found.objects]] = found.queries
    columns = asked.columns.clamp(min=0)[:, None].expand(-1, frames, -1)
    return known.view(batch, frames, count).gather(2, columns)


def compare(
    adapter: IdentityAdapter, seen: Seen, truth: Sequence[Objects], settings: FdtaTraining
) -> Summed:
    """Return the Identity Adapter's loss of B clips (L_IA).

    Identities of different clips are never compared, so that it does not matter which clips a
    process has. `settings.contrastive` says what a pool is: all frames of a clip, or as released
    ten of them, whose losses are added up.

    Args:
        adapter: Embeds for the comparison.
        seen: Of all frames, clip by clip.
        truth: Of the same frames.
        settings: Form of the loss, length of the clips, and what is called overlap.
    """
    pool = settings.length if settings.contrastive == 'paper' else POOL
    sums = []
    for clip in torch.split(torch.arange(len(truth)), settings.length):
        sums += [
            _compare(adapter, seen, truth, frames.tolist(), settings)
            for frames in torch.split(clip, pool)
        ]
    total = torch.stack([it.total for it in sums])
    count = torch.stack([it.count for it in sums])
    if settings.contrastive == 'paper':
        return Summed(total.sum(), count.sum())
    clips = total.new_tensor(float(len(truth) // settings.length))
    return Summed((total / count.clamp(min=1)).sum(), clips)


def _compare(
    adapter: IdentityAdapter,
    seen: Seen,
    truth: Sequence[Objects],
    frames: Sequence[int],
    settings: FdtaTraining,
) -> Summed:
    """Return the loss of one pool."""
    vectors = torch.cat([seen.embeddings[i, seen.matches[i].queries] for i in frames])
    ids = torch.cat([truth[i].ids[seen.matches[i].objects] for i in frames])
    boxes = torch.cat([seen.boxes[i, seen.matches[i].queries] for i in frames]).detach()
    wanted = torch.cat([truth[i].boxes[seen.matches[i].objects] for i in frames])
    iou, generalised = overlaps(corners(boxes), corners(wanted.to(boxes)))
    quality = iou if settings.quality == 'iou' else generalised
    return contrastive_loss(adapter(vectors), ids, quality, settings.contrastive)
