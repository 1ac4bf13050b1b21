"""How the vectors of tracks follow those of their detections (eq. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.trackers.settings import TrackerConfig
    from mot_perception.trackers.tracklets import Tracklets
    from mot_perception.types import Embeddings

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Vectors = NDArray[np.float32]

_SMALLEST_NORM = np.float32(1e-6)


def remember(
    config: TrackerConfig,
    tracks: Tracklets,
    rows: Index,
    scores: Array,
    embeddings: Embeddings,
) -> None:
    """Let the vectors of the tracks in `rows` (B) follow those of their detections, in place.

    Args:
        config: Settings.
        tracks: The live tracks.
        rows: Matched or new tracks, B.
        scores: Confidence of their detections, B.
        embeddings: Vectors of their detections, B.
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
        known = tracks['appearance_known'][rows]
        learnt = _average(tracks.appearance, rows, appearance, np.where(known, alpha, 0))
        tracks['appearance_known'][rows[learnt]] = True
    if depthseg is not None:
        if embeddings.depthseg_valid is not None:
            seen = embeddings.depthseg_valid
            rows, alpha, depthseg = rows[seen], alpha[seen], depthseg[seen]
        known = tracks['depthseg_known'][rows] & (config.depthseg_update == 'average')
        learnt = _average(tracks.depthseg, rows, depthseg, np.where(known, alpha, 0))
        tracks['depthseg_known'][rows[learnt]] = True


def dynamic_alpha(scores: Array, threshold: float, momentum: float) -> Array:
    """Return C of eq. 4, the share of the old vector: `momentum` at score 1, 1 at the threshold.

    Args:
        scores: Detection confidence, N.
        threshold: Score at or below which nothing is learnt.
        momentum: T of the paper, 0.95.
    """
    confidence = np.clip((scores - threshold) / max(1 - threshold, 1e-6), 0, 1)
    return np.asarray(momentum + (1 - momentum) * (1 - confidence))


def _average(store: Vectors, rows: Index, new: Vectors, alpha: Array) -> Mask:
    """store[rows] ← normalise(α store[rows] + (1 − α) new), in place and in float32.

    A row whose result has no direction (NaN, infinite, or zero) stays as it is.

    Returns:
        Which rows have changed.
    """
    weight = alpha.astype(np.float32)[:, None]
    mixed = weight * store[rows] + (1 - weight) * new
    norm = np.linalg.norm(mixed, axis=1)
    good = (norm > _SMALLEST_NORM) & (norm < np.inf)
    store[rows[good]] = mixed[good] / norm[good, None]
    return np.asarray(good)
