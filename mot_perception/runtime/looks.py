"""How a track looks wherever it is drawn: its colour and its label."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags import drawing

if TYPE_CHECKING:
    from mot_perception.types import Tracks

Rgba = tuple[float, float, float, float]


def colour_of(identity: int, alpha: float) -> Rgba:
    """Return the colour of an id, as in the debug image: red, green, blue, alpha, from 0 to 1."""
    blue, green, red = drawing.colour_of(identity)
    return red / 255, green / 255, blue / 255, alpha


def ink_on(background: Rgba) -> Rgba:
    """Return black or white, whichever is easier to read."""
    red, green, blue, alpha = background
    ink = 0.0 if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else 1.0
    return ink, ink, ink, alpha


def label_of(identity: int, name: str, metres: float) -> str:
    """Return who it is, what, and how far away; what is not known is left out."""
    far = f'{metres:.1f} m' if isfinite(metres) else ''
    return ' '.join(part for part in (str(identity), name, far) if part)


def distances(tracks: Tracks, *, metric: bool) -> list[float]:
    """Return the depth of each track in metres: measured, else expected, else NaN."""
    if not metric:
        return [nan] * len(tracks)
    known = np.isfinite(tracks.depth)
    return [float(it) for it in np.where(known, tracks.depth, tracks.position[:, 2]).tolist()]
