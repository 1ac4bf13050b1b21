"""Looks into a network while it sees footage.

What depth it attends to, what of a track's past, how alike its embeddings are, and what it takes
for depth (FDTA's Figs. 1, 10, 11, 12 and 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from mot_perception.boxes import iou
from mot_perception.errors import UserError
from mot_perception.fdta.images import normalised, scaled, scaled_size
from mot_perception.perception.device import inference
from mot_perception.perception.queries import corners
from mot_perception.training.fdta.attention_weights import attention_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from mot_perception.fdta.attention import Attention, SelfAttentionLayer
    from mot_perception.fdta.deformable_detr import Detections
    from mot_perception.fdta.network import Fdta
    from mot_perception.training.fdta.clip import Footage, View

    Floats = NDArray[np.float32]
    Numbers = Callable[[Iterable[int], str, int], Iterable[int]]

LEAST_OVERLAP = 0.5
"""IoU of a detection with the object that it is taken for."""
MOST_QUERIES = 5
"""Objects whose attention to depth is shown."""
MOST_TRACKS = 3
"""Tracks whose attention to their past is shown."""


@dataclass(frozen=True)
class Found:
    """The objects of one frame that were found.

    Attributes:
        frame: Its number, from 0.
        objects: How many truly are there.
        ids: int64 K, who they truly are.
        query: int64 K, which of the network's queries found them.
        xyxy: float64 K×4, where it sees them, pixels.
        score: float64 K.
        embeddings: float32 K×width.
    """

    frame: int
    objects: int
    ids: NDArray[np.int64]
    query: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    embeddings: Floats


@dataclass(frozen=True)
class DepthLook:
    """What the Spatial Adapter makes of one frame.

    Attributes:
        view: The frame.
        found: Its objects.
        expected: float32 h×w, the depth that is expected, in [0, 255].
        shown: int64 S, objects whose attention is shown, rows of `found`; the surest first.
        attention: float32 S×h×w, of the last layer, the mean over heads; 1 is what everything
            would get if all got the same.
    """

    view: View
    found: Found
    expected: Floats
    shown: NDArray[np.int64]
    attention: Floats


@dataclass(frozen=True)
class Past:
    """What the rows of one track give each other in the Temporal Adapter's last layer.

    Attributes:
        identity: Who it truly is.
        first: Number of the frame of row 0.
        weights: float32 T×T, of row t to rows up to t, the mean over heads.
        missing: bool T, rows that nobody sees.
        hidden: Whether these were hidden for the purpose: it was found in all of them.
    """

    identity: int
    first: int
    weights: Floats
    missing: NDArray[np.bool_]
    hidden: bool


@dataclass(frozen=True)
class Inspection:
    """What was seen in one footage.

    Attributes:
        name: Of the footage.
        found: Of each frame.
        looks: At depth, in frames far from each other; empty if there is no Spatial Adapter.
        pasts: Of some tracks; empty if there is no Temporal Adapter.
    """

    name: str
    found: list[Found]
    looks: list[DepthLook]
    pasts: list[Past]


def inspect_footage(
    network: Fdta,
    footage: Footage,
    *,
    frames: int,
    pictures: int,
    least_score: float,
    follow: Numbers = lambda numbers, *_: numbers,
) -> Inspection:
    """Look at the first frames of footage.

    Args:
        network: On its device.
        footage: With ground truth.
        frames: How many, at most.
        pictures: Frames whose depth is shown.
        least_score: Detections that score less are not counted.
        follow: Passes frame numbers on, given a name and their number; shows progress.

    Raises:
        UserError: Nothing is found, a file is damaged, or the device's memory does not suffice.
    """
    count = min(frames, len(footage))
    found = [
        _found(network, footage.view(number), number, least_score)[0]
        for number in follow(range(count), footage.name, count)
    ]
    if not any(len(it.ids) for it in found):
        raise UserError(
            f'{footage.name}: no object was found in {count} frames with a score above '
            f'{least_score:g}; lower --score, or train the network'
        )
    looks = []
    if network.detr.depth_predictor is not None:
        best = [max(part, key=lambda it: len(it.ids)) for part in _parts(found, pictures)]
        looks = [_look(network, footage.view(it.frame), it, least_score) for it in best]
    pasts = (
        _pasts(network, found, footage.period) if len(network.trajectory_embedding.trca) else []
    )
    return Inspection(footage.name, found, looks, pasts)


def _parts(found: list[Found], count: int) -> list[list[Found]]:
    """Return the frames cut into so many parts of equal length, none of them empty."""
    edges = np.unique(np.linspace(0, len(found), count + 1).astype(int)).tolist()
    return [found[a:b] for a, b in pairwise(edges)]


def _found(network: Fdta, view: View, number: int, least_score: float) -> tuple[Found, Detections]:
    """Return the objects that the network finds, and all that it says."""
    height, width = view.image.shape[:2]
    size = scaled_size(height, width, network.settings.shorter, network.settings.longer)
    pixels = torch.from_numpy(np.ascontiguousarray(scaled(view.image, *size)))
    device = network.detr.query_embed.weight.device
    with inference('fdta', device, half=False):
        rgb = pixels.to(device).permute(2, 0, 1)[None].flip(1)  # (1, 3, h, w)
        said = network(normalised(rgb))
        score = said.logits[-1, 0].sigmoid().amax(-1).cpu().numpy().astype(np.float64)
    boxes = corners(said.boxes[-1, 0].cpu().numpy(), height, width)
    rows, queries = _matched(view.xyxy, boxes, score, least_score)
    found = Found(
        number,
        len(view.ids),
        view.ids[rows],
        queries,
        boxes[queries],
        score[queries],
        said.embeddings[0].float().cpu().numpy()[queries],
    )
    return found, said


def _matched(
    truth: NDArray[np.float64],
    boxes: NDArray[np.float64],
    score: NDArray[np.float64],
    least_score: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which true boxes were found, and by which queries."""
    overlap = iou(truth, boxes)
    fits = (overlap >= LEAST_OVERLAP) & (score > least_score)
    rows, queries = linear_sum_assignment(-np.where(fits, overlap + score, 0))
    good = fits[rows, queries]
    return rows[good], queries[good]


def _look(network: Fdta, view: View, found: Found, least_score: float) -> DepthLook:
    """Look at a frame again, this time at how depth is attended to."""
    last = network.detr.transformer.decoder.layers[-1]
    with attention_weights([cast('Attention', last.cross_attn_depth)]) as noted:
        _, said = _found(network, view, found.frame, least_score)
    assert said.depth is not None
    expected = said.depth.expected[0].cpu().numpy()
    weights = noted[0][0][0].numpy()  # (Q, N) of the only call and image
    shown = np.argsort(-found.score, kind='stable')[:MOST_QUERIES]
    rows, columns = _token_grid(expected.shape, network.settings.spatial.token_stride)
    maps = weights[found.query[shown]].reshape(len(shown), rows, columns) * weights.shape[1]
    return DepthLook(view, found, expected, shown, maps)


def _token_grid(size: tuple[int, ...], stride: int) -> tuple[int, int]:
    """Return rows and columns of the depth tokens, given the size of the map of stride 8."""
    rows, columns = size
    while stride > 8:
        rows, columns, stride = -(-rows // 2), -(-columns // 2), stride // 2
    return rows, columns


def _pasts(network: Fdta, found: list[Found], period: float) -> list[Past]:
    """Return how the tracks with the largest gaps attend to their past."""
    rows = found[-network.settings.window :]
    ids = np.unique(np.concatenate([it.ids for it in rows]))
    seen = np.stack([np.isin(ids, it.ids) for it in rows])  # (T, N)
    often = np.minimum(seen.sum(0), (~seen).sum(0)) + seen.mean(0)
    chosen = np.argsort(-often, kind='stable')[:MOST_TRACKS]
    ids, missing = ids[chosen], ~seen[:, chosen]
    complete = ~np.asarray(missing.any(0))
    missing[len(rows) // 3 : len(rows) // 2, complete] = True
    weights = _temporal_weights(network, rows, ids, missing, period)
    return [
        Past(int(identity), rows[0].frame, weights[k], missing[:, k], complete[k].item())
        for k, identity in enumerate(ids)
    ]


def _temporal_weights(
    network: Fdta,
    rows: list[Found],
    ids: NDArray[np.int64],
    missing: NDArray[np.bool_],
    period: float,
) -> Floats:
    """Return the weights of the Temporal Adapter's last layer, float32 N×T×T."""
    features = np.zeros((*missing.shape, network.settings.detector.width), np.float32)
    for t, row in enumerate(rows):
        _, here, there = np.intersect1d(ids, row.ids, return_indices=True)
        features[t, here] = row.embeddings[there]
    adapter = network.trajectory_embedding
    device = network.detr.query_embed.weight.device
    times = torch.tensor([it.frame for it in rows]) * (period / network.settings.frame_period)
    last = cast('SelfAttentionLayer', adapter.trca[-1]).self_attn
    with inference('fdta', device, half=False), attention_weights([last]) as noted:
        adapter(
            torch.from_numpy(features)[None, None].to(device),
            torch.from_numpy(missing)[None, None].to(device),
            times[None].to(device),
        )
    weights: Floats = noted[0][0].numpy()
    return weights
