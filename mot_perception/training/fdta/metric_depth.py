"""How near and how far measured depth is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

LOOKS = 5
"""Frames of a sequence that are looked at for it."""


def depth_range(images: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """Return the nearest and the farthest depth in images, metres; (1, 1) if all is unknown."""
    known = [part for image in images if (part := image[image > 0]).size]
    if not known:
        return 1.0, 1.0
    return min(float(part.min()) for part in known), max(float(part.max()) for part in known)
