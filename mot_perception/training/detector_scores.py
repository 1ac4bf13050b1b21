"""How well boxes fit the truth: average precision as COCO counts it, precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mot_perception.boxes import area, iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.training.detector_images import Labelled
    from mot_perception.types import Detections

    Array = NDArray[np.float64]

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""IoUs from which a box fits."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is averaged."""
MOST_BOXES = 100
"""The best boxes of an image that count."""
WRONG, RIGHT, IGNORED = 0, 1, 2


class DetectorScores(NamedTuple):
    """Numbers from 0 to 1.

    Attributes:
        ap50: Average precision at an IoU of 0.5.
        ap: Mean of those at 0.5, 0.55, …, 0.95.
        precision: Share of the boxes that score 0.6 or more that fit, at an IoU of 0.5.
        recall: Share of the people that these find.
        birth_recall: Share of the people that boxes find that score 0.8 or more.
    """

    ap50: float
    ap: float
    precision: float
    recall: float
    birth_recall: float


def score_detector(
    found: Sequence[Detections],
    wanted: Sequence[Labelled],
    first_stage: float = 0.6,
    birth: float = 0.8,
) -> DetectorScores:
    """Compare the boxes of images with the truth.

    Args:
        found: The boxes of each image.
        wanted: The images.
        first_stage: Score from which the tracker takes boxes for good ones.
        birth: Score from which it begins tracks.
    """
    rows = [matched(boxes, seen) for boxes, seen in zip(found, wanted, strict=True)]
    score = np.concatenate([np.zeros(0), *(scores for scores, _ in rows)])
    kinds = np.concatenate([np.zeros((0, len(OVERLAPS)), np.int8), *(kind for _, kind in rows)])
    people = sum(len(seen.xyxy) for seen in wanted)
    every = [average_precision(score, kinds[:, k], people) for k in range(len(OVERLAPS))]
    right, wrong = (kinds[:, 0] == kind for kind in (RIGHT, WRONG))
    good = score >= first_stage
    return DetectorScores(
        ap50=every[0],
        ap=float(np.mean(every)),
        precision=_ratio((right & good).sum(), ((right | wrong) & good).sum()),
        recall=_ratio((right & good).sum(), people),
        birth_recall=_ratio((right & (score >= birth)).sum(), people),
    )


def matched(found: Detections, wanted: Labelled) -> tuple[Array, NDArray[np.int8]]:
    """Return the scores of the K best boxes, the best first, and what each is at each overlap.

    The best box takes first; it takes the person it fits best of those that nobody has taken. A
    box that fits nobody, but lies in an ignored one by the share that is asked for, is ignored.

    Returns:
        float64 K, and int8 K×10: `WRONG`, `RIGHT` or `IGNORED`.
    """
    order = np.argsort(-found.score, kind='stable')[:MOST_BOXES]
    boxes, score = found.xyxy[order], found.score[order]
    fit = iou(boxes, wanted.xyxy)
    within = _share_within(boxes, wanted.ignored).max(1, initial=0)
    kinds = np.full((len(boxes), len(OVERLAPS)), WRONG, np.int8)
    for k, overlap in enumerate(OVERLAPS):
        kinds[within >= overlap, k] = IGNORED
        free = np.ones(len(wanted.xyxy), bool)
        for row in range(len(boxes) if len(free) else 0):
            left = np.where(free, fit[row], -1)
            # Of equal fits the last, as COCO's.
            best = len(left) - 1 - int(left[::-1].argmax())
            if left[best] >= overlap:
                free[best] = False
                kinds[row, k] = RIGHT
    return score, kinds


def average_precision(score: Array, kind: NDArray[np.int8], people: int) -> float:
    """Return the mean precision over recall, each the best that any greater recall has.

    Args:
        score: N, of all boxes.
        kind: N, `WRONG`, `RIGHT` or `IGNORED`.
        people: How many there are to be found.
    """
    order = np.argsort(-score, kind='stable')
    counted = kind[order][kind[order] != IGNORED] == RIGHT
    if not people or not len(counted):
        return 0.0
    right = np.cumsum(counted)
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / people, RECALLS, side='left')
    return float(np.append(best, 0)[at].mean())


def _share_within(boxes: Array, around: Array) -> Array:
    """Return which share of each of K boxes lies in each of M, K×M."""
    corner = np.maximum(boxes[:, None, :2], around[None, :, :2])
    size = np.maximum(np.minimum(boxes[:, None, 2:], around[None, :, 2:]) - corner, 0)
    return np.asarray(size.prod(-1) / np.maximum(area(boxes), 1e-12)[:, None])


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
