"""Depth × mask: where an object is, how deep, and in what shape, as one vector (paper §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

POOL = 2
"""Cells of the mask grid per side of a cell of the cue: 72×128 becomes 36×64."""


def fuse(depth: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return one full-frame map per object: its depth inside its mask, 0 elsewhere.

    The background is 0 and not −1 as in the released code: a constant that all objects share
    makes all of them similar.

    Args:
        depth: h×w; 0 or NaN where unknown.
        masks: N×h×w.

    Returns:
        float32 N×h×w.
    """
    return np.where(masks & np.isfinite(depth), depth, np.float32(0))


def raw_map_cue(
    maps: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the maps themselves as depth-segmentation vectors: no encoder, nothing to train.

    A common factor of all depths drops out.

    Args:
        maps: N×h×w of `fuse`.

    Returns:
        Unit vectors, float32 N×(h·w / POOL²), and which of them say something (N); the others,
        of empty masks, are zero.
    """
    pooled = sum(maps[:, row::POOL, column::POOL] for row in range(POOL) for column in range(POOL))
    n, height, width = maps.shape
    vectors = np.asarray(pooled, np.float32).reshape(n, height * width // POOL**2)
    norm = np.sqrt(np.einsum('ne,ne->n', vectors, vectors))[:, None]
    valid = norm[:, 0] > 0
    return np.divide(vectors, norm, out=vectors, where=norm > 0), valid


class RawMap:
    """The raw map as a `DepthSegCue`: what an encoder has to surpass."""

    name = 'raw map'

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors of N masks (N×h×w) over a depth (h×w); see `raw_map_cue`."""
        return raw_map_cue(fuse(depth, masks))

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""
