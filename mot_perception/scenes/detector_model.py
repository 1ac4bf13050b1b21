"""What a detector would have said of known boxes: misses, scores, jitter, false positives.

The model repeats what was measured on real YOLOX-X detections (`detector_profiles`):

* Every figure has a *quality* in this frame, a uniform number with memory. The lowest share is
  missed, the rest is mapped to scores; both depend on how much of the figure is visible.
* Each edge of the box errs in proportion to the box: more when hidden or of low quality, with
  heavy tails and with memory (a wrong edge stays wrong for some frames).
* A second, worse box may stand on a figure (duplicates, merged neighbours, halves); others stand
  anywhere in the image (clutter).
* Non-maximum suppression at the detector's threshold ends it, as in the real thing: a figure right
  in front of another one swallows its box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from mot_perception.boxes import iou
from mot_perception.scenes.detector_profiles import DANCETRACK, VISIBILITY_KNOTS
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.scenes.detector_profiles import DetectorProfile, Memory

    Array = NDArray[np.float64]

# Latent numbers of one figure: quality and four edges of its box, the same of its second box.
_QUALITY, _EDGES, _EXTRA_QUALITY, _EXTRA_EDGES = 0, slice(1, 5), 5, slice(6, 10)
_LATENTS = 10
_LARGEST_ERROR, _LARGEST_EXTRA_ERROR = 0.5, 1.0


class DetectorModel:
    """A seeded detector for boxes that are known; calls are frames in order of time.

    Args:
        seed: Same seed, same calls, same detections.
        profile: The measured detector.
    """

    def __init__(self, seed: int = 0, profile: DetectorProfile = DANCETRACK) -> None:
        self._random = np.random.default_rng(seed)
        self._profile = profile
        self._ids = np.empty(0, np.int64)
        self._slow = np.empty((0, _LATENTS))
        self._clutter = np.empty((0, 5))
        self._persistence = np.repeat(
            [
                _columns(profile.quality_memory),
                _columns(profile.edge_memory),
                _columns(profile.extra_memory),
            ],
            [1, 4, 5],
            axis=0,
        ).T

    def __call__(
        self,
        xyxy: Array,
        visibility: Array,
        width: int,
        height: int,
        ids: NDArray[np.int64] | None = None,
    ) -> Detections:
        """Return what the detector says of one frame.

        Args:
            xyxy: float N×4, true boxes in pixels.
            visibility: float N, share of each figure that is not hidden, in [0, 1]; the profiles
                were measured with that of `visibility_of`.
            width: Image width in pixels.
            height: Image height in pixels.
            ids: int N. With them errors have memory, as real ones do; without, every frame errs
                afresh: boxes tremble more and misses are shorter than a real detector's.

        Returns:
            Detections, best score first, label 0.
        """
        latent = self._latents(len(xyxy), ids)
        visible = np.interp(visibility, VISIBILITY_KNOTS, np.arange(len(VISIBILITY_KNOTS)))
        miss = self._miss_rate(xyxy, visible, height)
        seen = ndtr(latent[:, _QUALITY]) >= miss
        of_seen = xyxy[seen], visible[seen], latent[seen]
        rows = np.concatenate(
            [
                self._figures(*of_seen, miss[seen]),
                self._extras(*of_seen),
                self._clutter_step(width, height),
            ]
        )
        rows = rows[(rows[:, 2] - rows[:, 0] > 1) & (rows[:, 3] - rows[:, 1] > 1)]
        rows = rows[np.argsort(-rows[:, 4], kind='stable')]
        kept = rows[_suppress(rows[:, :4], self._profile.nms_iou)]
        return Detections.of(kept[:, :4], kept[:, 4])

    def _latents(self, count: int, ids: NDArray[np.int64] | None) -> Array:
        """Return N×10 normal numbers: a part that each id remembers, and a part that is new."""
        fresh = self._random.standard_normal((2, count, _LATENTS))
        share, memory = self._persistence
        slow = fresh[0]
        if ids is not None and len(self._ids):
            order = np.argsort(self._ids, kind='stable')
            at = order[np.searchsorted(self._ids, ids, sorter=order).clip(max=len(order) - 1)]
            known = self._ids[at] == ids
            stepped = memory * self._slow[at] + np.sqrt(1 - memory**2) * slow
            slow = np.where(known[:, None], stepped, slow)
        if ids is not None:
            self._ids, self._slow = np.array(ids, np.int64), slow
        return np.asarray(np.sqrt(share) * slow + np.sqrt(1 - share) * fresh[1])

    def _miss_rate(self, xyxy: Array, visible: Array, height: int) -> Array:
        """Return the chance of each figure to be missed, hidden ones and small ones more."""
        p = self._profile
        tall = (xyxy[:, 3] - xyxy[:, 1]) / height
        small = np.interp(tall, p.height_knots, p.height_miss)
        return np.asarray(1 - (1 - _at(p.miss, visible)) * (1 - small))

    def _figures(self, xyxy: Array, visible: Array, latent: Array, miss: Array) -> Array:
        """Return the rows (box, score) of figures that are found."""
        p = self._profile
        level = (ndtr(latent[:, _QUALITY]) - miss) / (1 - miss)
        quantile = np.interp(level, p.score_levels, np.arange(len(p.score_levels)))
        score = _bilinear(np.asarray(p.score), visible, quantile)
        scale = np.array([_at(edge, visible) for edge in (p.side, p.top, p.side, p.bottom)]).T
        scale = scale * np.interp(level, p.quality_levels, p.quality_scale)[:, None]
        tails = np.array([p.side_tail, p.top_tail, p.side_tail, p.bottom_tail])
        error = scale * _heavy_tailed(latent[:, _EDGES], tails)
        # A box that is wrong by more would not be this figure's any more: such are the misses.
        error *= np.minimum(1, _LARGEST_ERROR / np.abs(error).sum(1, keepdims=True))
        boxes = _displaced(xyxy, error)
        return np.column_stack([boxes, score])

    def _extras(self, xyxy: Array, visible: Array, latent: Array) -> Array:
        """Return the rows of second boxes on found figures: duplicates, halves, merged ones."""
        p = self._profile
        rate = _at(p.extra_rate, visible)
        draw = ndtr(latent[:, _EXTRA_QUALITY])
        seen = draw < rate
        level = 1 - draw[seen] / rate[seen]
        score = np.interp(level, p.score_levels, p.extra_score)
        error = latent[seen, _EXTRA_EDGES] * np.array(p.extra_edges)
        boxes = _displaced(xyxy[seen], error.clip(-_LARGEST_EXTRA_ERROR, _LARGEST_EXTRA_ERROR))
        return np.column_stack([boxes, score])

    def _clutter_step(self, width: int, height: int) -> Array:
        """Return the rows of false positives away from all figures; most stay where they were."""
        p, random = self._profile, self._random
        kept = self._clutter[random.random(len(self._clutter)) < p.clutter_stay]
        births = int(random.poisson(p.clutter_rate * (1 - p.clutter_stay)))
        draw = random.random((births, 5))
        tall = np.interp(draw[:, 0], (0, 0.5, 1), p.clutter_height) * height
        wide = np.interp(draw[:, 1], (0, 0.5, 1), p.clutter_aspect) * tall
        left, top = draw[:, 2] * (width - wide), draw[:, 3] * (height - tall)
        score = np.interp(draw[:, 4], p.score_levels, p.clutter_score)
        born = np.column_stack([left, top, left + wide, top + tall, score])
        self._clutter = np.concatenate([kept, born])
        rows = self._clutter.copy()
        rows[:, :4] = _displaced(rows[:, :4], 0.02 * random.standard_normal((len(rows), 4)))
        return rows


def visibility_of(xyxy: Array, samples: int = 16) -> Array:
    """Return the share of each box that no nearer box covers, N.

    Nearer is the box whose lower edge is lower in the image: on a common floor, seen from above
    it, the feet tell the order. Coverage is sampled at samples×samples points a box.
    """
    if not len(xyxy):
        return np.empty(0)
    at = (np.arange(samples) + 0.5) / samples
    x = xyxy[:, 0, None] + at * (xyxy[:, 2] - xyxy[:, 0])[:, None]
    y = xyxy[:, 1, None] + at * (xyxy[:, 3] - xyxy[:, 1])[:, None]
    nearer = xyxy[:, 3] > xyxy[:, 3, None]
    across = (x[:, None] > xyxy[:, 0, None]) & (x[:, None] < xyxy[:, 2, None]) & nearer[..., None]
    down = (y[:, None] > xyxy[:, 1, None]) & (y[:, None] < xyxy[:, 3, None])
    # One matrix product per box counts, at each sample point, the nearer boxes over it.
    covers = np.matmul(across.transpose(0, 2, 1).astype(np.float32), down.astype(np.float32))
    return np.asarray(1 - (covers > 0).mean((1, 2), dtype=np.float64))


def simulate_detections(
    frames: Sequence[Array],
    width: int,
    height: int,
    seed: int = 0,
    ids: Sequence[NDArray[np.int64]] | None = None,
    profile: DetectorProfile = DANCETRACK,
) -> list[Detections]:
    """Return a detector's view of a ground truth; occlusion is estimated from the boxes.

    Args:
        frames: One N×4 array of true boxes a frame, in order of time; N may be 0.
        width: Image width in pixels.
        height: Image height in pixels.
        seed: Same seed, same detections.
        ids: The identities of the same rows; give them, or the errors have no memory.
        profile: The measured detector.
    """
    model = DetectorModel(seed, profile)
    owners: Sequence[NDArray[np.int64] | None] = ids if ids is not None else [None] * len(frames)
    return [
        model(boxes, visibility_of(boxes), width, height, who)
        for boxes, who in zip(frames, owners, strict=True)
    ]


def _columns(memory: Memory) -> tuple[float, float]:
    return memory.share, memory.per_frame


def _at(table: Sequence[float], index: Array) -> Array:
    """Interpolate a table at fractional indices."""
    return np.interp(index, np.arange(len(table)), table)


def _bilinear(table: Array, row: Array, column: Array) -> Array:
    """Interpolate a table at fractional rows and columns."""
    r = np.minimum(row.astype(np.intp), len(table) - 2)
    c = np.minimum(column.astype(np.intp), table.shape[1] - 2)
    down, right = row - r, column - c
    upper = table[r, c] * (1 - right) + table[r, c + 1] * right
    lower = table[r + 1, c] * (1 - right) + table[r + 1, c + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def _heavy_tailed(normal: Array, tail: Array) -> Array:
    """Return Tukey's h-distribution: a normal whose tails grow with `tail`."""
    return np.asarray(normal * np.exp(tail * normal**2 / 2))


def _displaced(xyxy: Array, error: Array) -> Array:
    """Move the edges by errors relative to the box."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    return np.asarray(xyxy + error * np.concatenate([size, size], axis=1))


def _suppress(xyxy: Array, threshold: float) -> NDArray[np.bool_]:
    """Return which boxes, best first, survive greedy non-maximum suppression."""
    rivals = np.triu(iou(xyxy, xyxy) > threshold, 1)
    kept = np.ones(len(xyxy), np.bool_)
    for row in np.flatnonzero(rivals.any(1)):
        if kept[row]:
            kept &= ~rivals[row]
    return kept
