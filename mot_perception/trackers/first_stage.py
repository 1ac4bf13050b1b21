"""The first stage of the association: confident detections, all cues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.association import cues
from mot_perception.association.assignment import match, solve
from mot_perception.association.headings import references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.trackers.settings import TrackerConfig
    from mot_perception.trackers.tracklets import Tracklets
    from mot_perception.types import Detections, Embeddings

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class FirstStage:
    """Rows of all matrices are the N detections, columns the M tracks.

    Attributes:
        config: Settings.
        tracks: The live tracks.
        predicted: Where they are expected, boxes M×4.
        detections: The confident detections, N.
        embeddings: Their vectors, N.
    """

    config: TrackerConfig
    tracks: Tracklets
    predicted: Array
    detections: Detections
    embeddings: Embeddings

    def match(self) -> tuple[Index, Index, Array]:
        """Return matched rows and columns, and the total similarity of each pair."""
        config = self.config
        overlap = self.overlap()
        candidates = overlap > config.gate
        if config.shortcut and _one_to_one(candidates):
            rows, columns = np.nonzero(candidates)
            return rows, columns, overlap[rows, columns]
        if config.gate_first:
            total = self.similarity(overlap, candidates)
            rows, columns = match(total, candidates)
        else:
            total = self.similarity(overlap.copy(), np.ones_like(candidates))
            rows, columns = solve(total)
            good = overlap[rows, columns] >= config.gate
            rows, columns = rows[good], columns[good]
        return rows, columns, total[rows, columns]

    def overlap(self) -> Array:
        """Return S_IoU; a lost track may also have stayed where it was."""
        config, tracks, xyxy = self.config, self.tracks, self.detections.xyxy
        overlap = cues.overlap(xyxy, self.predicted, config.height_power)
        if config.last_weight > 0:
            cues.raise_to_last(
                overlap,
                xyxy,
                tracks['last'],
                tracks['misses'],
                config.height_power,
                config.last_weight,
            )
        if config.by_class:
            cues.separate_classes(overlap, self.detections.label, tracks['label'])
        return overlap

    def similarity(self, total: Array, wanted: Mask) -> Array:
        """Return the sum of the cues (eq. 5) in `total`, which holds S_IoU."""
        config, tracks, scores = self.config, self.tracks, self.detections.score
        if config.direction_weight > 0:
            points = 4 if config.direction_points == 'corners' else 1
            reach = config.direction_frames
            cues.add_direction(
                total,
                config.direction_weight,
                wanted,
                self.detections.xyxy,
                scores,
                references(tracks['age'], tracks['last'], tracks['boxes'], tracks['ages'], reach),
                tracks['headings'][:, :points],
            )
        if config.confidence_weight > 0:
            cues.add_confidence(total, config.confidence_weight, wanted, scores, tracks['score'])
        if config.foot_weight > 0:
            cues.add_foot(total, config.foot_weight, wanted, self.detections.xyxy, self.predicted)
        if config.tentative_penalty > 0:
            total -= config.tentative_penalty * ~tracks['confirmed']
        self._add_appearance(total, wanted)
        self._add_depthseg(total, wanted)
        return total

    def _add_appearance(self, total: Array, wanted: Mask) -> None:
        """Add w ⊙ S_emb."""
        config, tracks, vectors = self.config, self.tracks, self.embeddings.appearance
        if vectors is None or tracks.appearance.shape[1] != vectors.shape[1]:
            return
        known = np.broadcast_to(tracks['appearance_known'], total.shape)
        weight: Array | float = config.appearance_weight
        if config.appearance_cap > 0:
            similarity = cues.cosine(vectors, tracks.appearance[: len(tracks)])
            seen = np.nan_to_num(similarity)  # an unknown look stands out as little as cosine 0
            weight = cues.adaptive_weight(seen, config.appearance_weight, config.appearance_cap)
        total += weight * self._evidence(vectors, tracks.appearance, wanted, known)

    def _add_depthseg(self, total: Array, wanted: Mask) -> None:
        """Add the weighted S_sd: as evidence its distance from what is neither like nor unlike.

        Centred on a constant, and not on the other candidates, so that it also speaks against the
        only one.
        """
        config, tracks, vectors = self.config, self.tracks, self.embeddings.depthseg_previous
        if vectors is None or tracks.depthseg.shape[1] != vectors.shape[1]:
            return
        store = tracks.depthseg[: len(tracks)]
        if not config.neutral:
            total += config.depthseg_weight * _all_or_nothing(cues.cosine(vectors, store))
            return
        # What was long hidden has moved: its vector would speak against the right match.
        known = tracks['depthseg_known'] & (tracks['misses'] <= config.depthseg_misses)
        known = np.broadcast_to(known, total.shape)
        if self.embeddings.depthseg_valid is not None:
            known = known & self.embeddings.depthseg_valid[:, None]
        similarity = cues.cosine_where(vectors, store, wanted & known)
        seen = wanted & known & np.isfinite(similarity)
        total += np.where(seen, config.depthseg_weight * (similarity - config.depthseg_middle), 0)

    def _evidence(self, vectors: Vectors, store: Vectors, wanted: Mask, known: Mask) -> Array:
        """Return the cosines as they are, or as evidence among the wanted pairs."""
        store = store[: len(self.tracks)]
        if self.config.neutral:
            return cues.neutral(cues.cosine_where(vectors, store, wanted), wanted, known)
        return _all_or_nothing(cues.cosine(vectors, store))


def _all_or_nothing(similarity: Array) -> Array:
    """Return the matrix as it is, or 0 if a single entry is unknown (the released code)."""
    return similarity if np.isfinite(similarity).all() else np.zeros_like(similarity)


def _one_to_one(graph: Mask) -> bool:
    """Return whether no row and no column holds two pairs, and at least one pair exists."""
    return bool(graph.any() and graph.sum(0).max() == 1 and graph.sum(1).max() == 1)
