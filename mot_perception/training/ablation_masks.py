"""Mask overlap in place of box overlap, as in the first row of the paper's Table 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.trackers.first_stage import FirstStage
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outlines:
    """Binary masks as a `DepthSegCue`: flat, of length 1; so the sizes of masks are not lost."""

    name = 'masks'

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the N masks (N×h×w) as unit vectors, float32 N×h·w, and which are not empty."""
        vectors = masks.reshape(len(masks), depth.size).astype(np.float32)
        cells = vectors.sum(1, keepdims=True)
        return vectors / np.sqrt(np.maximum(cells, 1)), cells[:, 0] > 0

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""


def mask_iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the intersection over union of N with M masks, N×M; 0 for empty ones.

    Args:
        one: Vectors of `Outlines`, N×E.
        other: The same, M×E.
    """
    sizes, other_sizes = _cells(one), _cells(other)
    both = (one @ other.T).astype(np.float64) * np.sqrt(sizes[:, None] * other_sizes)
    either = sizes[:, None] + other_sizes - both
    return np.asarray(np.where(either > 0, both / np.maximum(either, 1), 0.0))


def _cells(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many cells the masks have: each set entry of a unit vector is 1/√cells."""
    entry = vectors.max(1, initial=0).astype(np.float64)
    return np.asarray(np.divide(1, entry**2, out=np.zeros_like(entry), where=entry > 0))


class MaskStage(FirstStage):
    """S_IoU is the overlap of a detection's mask one step back with the track's last mask.

    Which pairs are possible is told by boxes as ever. Boxes also count where one of the masks is
    not known, and for tracks that were not seen in the frame before: their masks are elsewhere.
    """

    def similarity(
        self, total: NDArray[np.float64], wanted: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the sum of the cues in `total`, which holds the overlap of boxes."""
        vectors, tracks = self.embeddings.depthseg_previous, self.tracks
        if vectors is not None and tracks.depthseg.shape[1] == vectors.shape[1]:
            known = np.broadcast_to(
                tracks['depthseg_known'] & (tracks['misses'] <= 1), total.shape
            )
            if self.embeddings.depthseg_valid is not None:
                known = known & self.embeddings.depthseg_valid[:, None]
            np.copyto(total, mask_iou(vectors, tracks.depthseg[: len(tracks)]), where=known)
        return super().similarity(total, wanted)


class MaskTracker(SelfTrEncMotTracker):
    """The tracker with `MaskStage`; its depth-segmentation vectors are those of `Outlines`."""

    stage = MaskStage
