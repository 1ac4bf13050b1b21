"""The similarity cues of eq. 5, each a function of arrays that returns an N×M matrix.

Rows are detections, columns tracks; larger is more similar.
"""

from __future__ import annotations

from math import acos, pi
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mot_perception.association.headings import displacement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Embedding = NDArray[np.float32]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@njit(cache=True)
def overlap(detections: Array, tracks: Array, height_power: float = 0.0) -> Array:
    """Return S_IoU: intersection over union of N×4 and M×4 boxes.

    Args:
        detections: Boxes N×4, (left, top, right, bottom).
        tracks: Boxes M×4; a box of NaN overlaps nothing.
        height_power: Exponent of the vertical overlap (intersection over union of the two
            vertical extents) that multiplies the result; 0 is plain IoU, 1 is Hybrid-SORT's
            height-modulated IoU. Standing people of equal width at different depth differ here.
    """
    n, m = len(detections), len(tracks)
    out = np.zeros((n, m))
    areas = np.empty(m)
    for j in range(m):
        areas[j] = (tracks[j, 2] - tracks[j, 0]) * (tracks[j, 3] - tracks[j, 1])
    for i in range(n):
        x1, y1, x2, y2 = detections[i, 0], detections[i, 1], detections[i, 2], detections[i, 3]
        area = (x2 - x1) * (y2 - y1)
        for j in range(m):
            width = min(x2, tracks[j, 2]) - max(x1, tracks[j, 0])
            if not (width > 0 and areas[j] > 0):
                continue
            height = min(y2, tracks[j, 3]) - max(y1, tracks[j, 1])
            if height <= 0:
                continue
            common = width * height
            value = common / (area + areas[j] - common)
            if height_power > 0:
                extent = max(y2, tracks[j, 3]) - min(y1, tracks[j, 1])
                value *= (height / extent) ** height_power
            out[i, j] = value
    return out


@njit(cache=True)
def raise_to_last(
    overlaps: Array,
    detections: Array,
    last: Array,
    misses: Index,
    height_power: float,
    weight: float,
) -> None:
    """Raise the overlaps of lost tracks to `weight` × that with their last box, in place.

    Who was not seen for some frames may have gone on, or stopped: the better of the two counts.

    Args:
        overlaps: N×M, with the predicted boxes.
        detections: Boxes N×4.
        last: Last observed boxes M×4; NaN where there is none.
        misses: Frames since the last match, this one included, M; lost are those above 1.
        height_power: As in `overlap`.
        weight: In [0, 1].
    """
    for j in range(len(last)):
        if misses[j] > 1 and not np.isnan(last[j, 0]):
            stayed = overlap(detections, last[j : j + 1], height_power)
            for i in range(len(detections)):
                overlaps[i, j] = max(overlaps[i, j], weight * stayed[i, 0])


@njit(cache=True)
def separate_classes(
    overlaps: Array, labels: NDArray[np.int32], track_labels: NDArray[np.int32]
) -> None:
    """Set the overlaps (N×M) of detections (N) and tracks (M) of different class to 0."""
    n, m = overlaps.shape
    for i in range(n):
        for j in range(m):
            if labels[i] != track_labels[j]:
                overlaps[i, j] = 0.0


@njit(cache=True)
def direction(detections: Array, scores: Array, references: Array, headings: Array) -> Array:
    """Return S_ang: how well each detection lies ahead of each track, in [−½, ½] · score.

    (π/2 − θ)/π · score, θ between the track's heading and the way from its reference box to
    the detection; the mean over the P points of the headings.

    Args:
        detections: Boxes N×4.
        scores: Confidence of the detections, N.
        references: Box M×4 some frames ago from which the track's heading is continued; NaN
            where the track has none (its column is 0).
        headings: Headings M×P×2 (x, y), P = 1: centres, P = 4: corners; (0, 0) where unknown.
    """
    out = np.zeros((len(detections), len(references)))
    everywhere = np.ones(out.shape, np.bool_)
    add_direction(out, 1.0, everywhere, detections, scores, references, headings)
    return out


@njit(cache=True)
def add_direction(
    total: Array,
    weight: float,
    candidates: Mask,
    detections: Array,
    scores: Array,
    references: Array,
    headings: Array,
) -> None:
    """Add `weight` × `direction` to `total` (N×M) where `candidates` (bool N×M), in place."""
    n, m, points = len(detections), len(references), headings.shape[1]
    for i in range(n):
        for j in range(m):
            if not candidates[i, j] or np.isnan(references[j, 0]):
                continue
            angles = 0.0
            for p in range(points):
                x, y = displacement(detections[i], references[j], p, points)
                cosine = x * headings[j, p, 0] + y * headings[j, p, 1]
                angles += pi / 2 - acos(min(1.0, max(-1.0, cosine)))
            total[i, j] += weight * angles / points / pi * scores[i]


@njit(cache=True)
def add_confidence(
    total: Array, weight: float, candidates: Mask, scores: Array, track_scores: Array
) -> None:
    """Subtract `weight` × the difference of confidences from `total`, in place.

    A person who passes behind another is detected less surely frame by frame (Hybrid-SORT's
    weak cue).

    Args:
        total: N×M.
        weight: Weight.
        candidates: bool N×M, the entries that are wanted.
        scores: Confidence of the detections, N.
        track_scores: Confidence of the tracks' last detections, M.
    """
    n, m = total.shape
    for i in range(n):
        for j in range(m):
            if candidates[i, j]:
                total[i, j] -= weight * abs(scores[i] - track_scores[j])


@njit(cache=True)
def add_foot(
    total: Array, weight: float, candidates: Mask, detections: Array, tracks: Array
) -> None:
    """Subtract `weight` × the distance of the foot lines from `total`, in place.

    In units of the track's height. On level ground the foot line tells depth: two people whose
    boxes overlap differ there.

    Args:
        total: N×M.
        weight: Weight.
        candidates: bool N×M, the entries that are wanted.
        detections: Boxes N×4.
        tracks: Predicted boxes M×4.
    """
    n, m = total.shape
    for i in range(n):
        for j in range(m):
            if candidates[i, j]:
                height = max(tracks[j, 3] - tracks[j, 1], 1.0)
                total[i, j] -= weight * abs(detections[i, 3] - tracks[j, 3]) / height


def cosine(detections: Embedding, tracks: Embedding) -> Array:
    """Return S_emb or S_sd: cosines N×M of unit vectors N×D and M×D; NaN where one holds NaN.

    S_emb compares how detections and tracks look. S_sd compares depth × mask: of the tracks as
    last seen, of the detections as they looked at t−1.
    """
    return np.asarray(detections @ tracks.T, np.float64)


def adaptive_weight(similarity: Array, weight: float, cap: float) -> Array:
    """Return the weight of each appearance entry: larger where one candidate stands out.

    The lead of the best over the second best, at most `cap`, is added half for the row (needs
    two tracks) and half for the column (needs two detections); Deep OC-SORT's adaptive weight.
    """
    out = np.full(similarity.shape, weight)
    n, m = similarity.shape
    if m >= 2:
        top = np.partition(similarity, m - 2, axis=1)[:, m - 2 :]
        out += np.minimum(top[:, 1] - top[:, 0], cap)[:, None] / 2
    if n >= 2:
        top = np.partition(similarity, n - 2, axis=0)[n - 2 :]
        out += np.minimum(top[1] - top[0], cap)[None] / 2
    return out


@njit(cache=True, fastmath={'reassoc', 'contract'})
def cosine_where(detections: Embedding, tracks: Embedding, candidates: Mask) -> Array:
    """Return cosines N×M of unit vectors N×D and M×D, 0 where `candidates` (N×M) is False.

    Overlapping pairs are few: their dot products alone cost less than the whole matrix.
    """
    n, m = candidates.shape
    out = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            if candidates[i, j]:
                total = np.float32(0)
                for d in range(detections.shape[1]):
                    total += detections[i, d] * tracks[j, d]
                out[i, j] = total
    return out


@njit(cache=True)
def neutral(similarity: Array, candidates: Mask, known: Mask) -> Array:
    """Return a cue as evidence among the candidates of each detection: entries sum to 0 a row.

    A pair without vectors (not `known`, or NaN) and a detection with one candidate get 0: they
    are neither favoured nor punished. The mean of the known candidates of a row is subtracted,
    so that only differences between candidates count.

    Args:
        similarity: N×M cosines.
        candidates: bool N×M, pairs that pass the gate.
        known: bool N×M, pairs of which both sides have a vector.
    """
    n, m = similarity.shape
    out = np.zeros((n, m))
    for i in range(n):
        total, count = 0.0, 0
        for j in range(m):
            if candidates[i, j] and known[i, j] and np.isfinite(similarity[i, j]):
                total += similarity[i, j]
                count += 1
        for j in range(m):
            if candidates[i, j] and known[i, j] and np.isfinite(similarity[i, j]):
                out[i, j] = similarity[i, j] - total / count
    return out
