"""How the vectors of tracks follow those of their detections (eq. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.trackers.settings import TrackerConfig
    from mot_perception.trackers.tracklets import Tracklets
    from mot_perception.types import Embeddings

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Vectors = NDArray[np.float32]

_SMALLEST_SQUARE = 1e-12


def remember(
    config: TrackerConfig,
    tracks: Tracklets,
    rows: Index,
    picks: Index,
    scores: Array,
    embeddings: Embeddings,
) -> None:
    """Let the vectors of tracks follow those of their detections, in place.

    A vector without direction (NaN, infinite, zero) is not learnt.

    Args:
        config: Settings.
        tracks: The live tracks.
        rows: Matched or new tracks, B.
        picks: Their rows among the N detections, B.
        scores: Confidence of these detections, B.
        embeddings: Vectors of all N detections.
    """
    appearance, depthseg = embeddings.appearance, embeddings.depthseg
    if appearance is None and depthseg is None:
        return
    alpha = dynamic_alpha(scores, config.high_score, config.momentum)
    tracks.widen(
        0 if appearance is None else appearance.shape[1],
        0 if depthseg is None else depthseg.shape[1],
    )
    if appearance is not None:
        _learn(tracks.appearance, tracks['appearance_known'], rows, appearance, picks, alpha)
    if depthseg is not None:
        if embeddings.depthseg_valid is not None:
            seen = embeddings.depthseg_valid[picks]
            tracks['depthseg_known'][rows[~seen]] = False
            rows, picks, alpha = rows[seen], picks[seen], alpha[seen]
        if config.depthseg_update == 'replace':
            alpha = np.zeros_like(alpha)
        _learn(tracks.depthseg, tracks['depthseg_known'], rows, depthseg, picks, alpha)


def dynamic_alpha(scores: Array, threshold: float, momentum: float) -> Array:
    """Return C of eq. 4, the share of the old vector: `momentum` at score 1, 1 at the threshold.

    Args:
        scores: Detection confidence, N.
        threshold: Score at or below which nothing is learnt.
        momentum: T of the paper, 0.95.
    """
    confidence = np.clip((scores - threshold) / max(1 - threshold, 1e-6), 0, 1)
    return np.asarray(momentum + (1 - momentum) * (1 - confidence))


@njit(cache=True, fastmath={'reassoc', 'contract'})
def _learn(
    store: Vectors, known: Mask, rows: Index, new: Vectors, picks: Index, alpha: Array
) -> None:
    """store[rows] ← normalise(α store[rows] + (1 − α) new[picks]); α = 0 where not yet known."""
    for k in range(len(rows)):
        old, fresh = store[rows[k]], new[picks[k]]
        keep = np.float32(alpha[k] if known[rows[k]] else 0.0)
        take = np.float32(1) - keep
        square = np.float32(0)
        for d in range(len(old)):
            value = keep * old[d] + take * fresh[d]
            square += value * value
        if not (square > _SMALLEST_SQUARE and np.isfinite(square)):
            continue
        scale = np.float32(1) / np.sqrt(square)
        for d in range(len(old)):
            old[d] = (keep * old[d] + take * fresh[d]) * scale
        known[rows[k]] = True
