"""How alike the embeddings of different objects are, and those of the same one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

ALIKE = 0.9
"""Cosine above which two objects count as alike; FDTA's paper finds more than 80 % of the pairs of
a frame there, with DETR's embeddings on DanceTrack (specification §5.5)."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines of pairs of embeddings.

    Attributes:
        different: float32, of different objects of one frame.
        same: float32, of an object and itself in the next frame that it is found in.
    """

    different: Floats
    same: Floats

    def alike(self) -> float:
        """Return the share of different objects that are alike, NaN if there are no pairs."""
        return float((self.different > ALIKE).mean()) if len(self.different) else np.nan


def cosines(embeddings: Floats) -> Floats:
    """Return the cosine of each of N embeddings with each, N×N; 0 for those of length 0."""
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(length, np.finfo(np.float32).tiny)
    product: Floats = unit @ unit.T
    return product


def pairs(frames: Sequence[tuple[Ids, Floats]]) -> Cosines:
    """Return the cosines of pairs.

    Args:
        frames: In the order of time, ids (N, each once) and embeddings (N×width) of a frame.
    """
    different, same = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    last: dict[int, Floats] = {}
    for ids, embeddings in frames:
        different.append(cosines(embeddings)[np.triu_indices(len(ids), 1)])
        for identity, embedding in zip(ids.tolist(), embeddings, strict=True):
            if identity in last:
                same.append(cosines(np.stack([last[identity], embedding]))[0, 1:])
            last[identity] = embedding
    return Cosines(np.concatenate(different), np.concatenate(same))
