"""Measured depth in the scale of pseudo-depth labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Depth = NDArray[np.float32]

LARGEST = 255.0
"""Value of what is farthest (depth) or nearest (disparity), as in labels of 8 bits."""


def depth_range(images: Iterable[Depth]) -> tuple[float, float]:
    """Return the nearest and the farthest depth in images, metres; (1, 1) if all is unknown."""
    known = [part for image in images if (part := image[image > 0]).size]
    if not known:
        return 1.0, 1.0
    return min(float(part.min()) for part in known), max(float(part.max()) for part in known)


def as_label(
    metres: Depth, nearest: float, farthest: float, orientation: Literal['disparity', 'depth']
) -> Depth:
    """Return depth as labels say it.

    Args:
        metres: float32 H×W; what is not above 0 is unknown.
        nearest: Depth of the sequence that becomes 255 in disparity.
        farthest: Depth of the sequence that becomes 255 in depth.
        orientation: 'depth' grows with the distance, 'disparity' with its inverse.

    Returns:
        float32 H×W in (0, 255], cut there; NaN where unknown.
    """
    known = np.where(metres > 0, metres, np.nan)
    share = known / farthest if orientation == 'depth' else nearest / known
    return np.minimum(LARGEST * share, LARGEST).astype(np.float32)
