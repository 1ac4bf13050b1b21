"""Depth of a whole sequence on one scale: networks of images guess it anew in each frame.

Each frame is laid over those 1, 3, 10, 30 and 100 before it, and all are moved at once so that
they agree with each other, and as little as possible: a frame's number x becomes scale · x +
shift. What the network says on the mean of many frames stays as it is. So nothing drifts away,
where a chain from frame to frame would; and a camera that steadily approaches everything changes
little but the first and the last frames.

Video Depth Anything aligns windows of 32 frames by the 10 that two have in common (FDTA's
specification §4). A network of images says the same of a frame in any window: there is nothing to
align but frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solveh_banded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LAGS = 1, 3, 10, 30, 100
"""Frames are compared with those so many before; far ones fit where the camera stands still, and
then those that walk are far from where they were."""
OWN = 1e-3
"""What the network itself says of a frame counts so much, against 1 for a pair that fits well."""
WELL = 0.01
"""Median error, as a share of the spread over the image, at which a pair counts a quarter."""
PLACES = 45, 80
"""Rows and columns of places in a frame that are looked at."""
ROUNDS = 8
"""Times that a fit is repeated without the places that it does not hold for."""
FEWEST = 64
"""Places, of 3600, that must be known in both frames."""
TOLERANCE = 2.5
"""Robust standard deviations beyond which a place moved by itself."""
WORST = 0.2
"""Median error, as a share of the spread over the image, beyond which it is another scene."""
LARGEST = log(4.0)
"""Log of the scale between two frames beyond which it is another scene."""
_TO_STDDEV = 1.4826


@dataclass(frozen=True, slots=True)
class Moves:
    """What is done to each of T frames: x becomes scale · x + shift.

    Attributes:
        scale: float64 T, above 0.
        shift: float64 T.
    """

    scale: Floats
    shift: Floats


@dataclass(frozen=True, slots=True)
class _Fit:
    log_scale: float
    middle_earlier: float
    middle_later: float
    weight: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """How two frames lie over each other: the scale, and a number of each that fit together."""

    earlier: int
    later: int
    fit: _Fit


class Alignment:
    """Takes the frames of a sequence in, one after the other, and says how to move them.

    Args:
        metric: Numbers are metres: they have a zero, and are scaled alone.
    """

    def __init__(self, *, metric: bool) -> None:
        self._metric = metric
        self._recent: list[NDArray[np.float32]] = []
        self._pairs: list[_Pair] = []
        self._middles: list[float] = []

    def add(self, cells: NDArray[np.float32]) -> None:
        """Take the next frame in, at `PLACES`; NaN where unknown."""
        number = len(self._middles)
        known = cells[np.isfinite(cells)]
        self._middles.append(float(np.median(known)) if len(known) else 0.0)
        for lag in LAGS:
            if lag <= len(self._recent):
                found = _laid_over(self._recent[-lag], cells, self._metric)
                if found is not None:
                    self._pairs.append(_Pair(number - lag, number, found))
        self._recent = [*self._recent[1 - max(LAGS) :], cells]

    def moves(self) -> Moves:
        """Return what makes all frames agree as well as they can."""
        count = len(self._middles)
        log_scale = _agreeing(
            self._pairs, np.array([it.fit.log_scale for it in self._pairs]), count
        )
        scale = np.exp(log_scale)
        if self._metric:
            return Moves(scale, np.zeros(count))
        # A frame that is scaled stays in its middle, but for what the others want.
        own = (1 - scale) * np.array(self._middles)
        steps = [
            scale[it.earlier] * it.fit.middle_earlier
            + own[it.earlier]
            - scale[it.later] * it.fit.middle_later
            - own[it.later]
            for it in self._pairs
        ]
        return Moves(scale, own + _agreeing(self._pairs, np.array(steps), count))


def own_ranges(ranges: list[tuple[float, float]], *, metric: bool) -> Moves:
    """Return what brings each of T images that have nothing to do with each other to [0, 1].

    Args:
        ranges: Least and largest number of each.
        metric: Numbers are metres, and stay as they are.
    """
    if metric:
        return Moves(np.ones(len(ranges)), np.zeros(len(ranges)))
    low, high = np.array(ranges, np.float64).reshape(-1, 2).T
    scale = 1 / np.where(high > low, high - low, 1)
    return Moves(scale, -low * scale)


def _laid_over(
    earlier: NDArray[np.float32], later: NDArray[np.float32], metric: bool
) -> _Fit | None:
    """Return how the later one becomes the earlier one; None where they do not show the same.

    Places where people are, are left out as those
    that the fit does not hold for; so are the least and the largest number of each, which is
    where networks stop counting (the sky).
    """
    counted = _within(earlier) & _within(later)
    if counted.sum() < FEWEST:
        return None
    y, x = earlier[counted].astype(np.float64), later[counted].astype(np.float64)
    spread = _spread(y)
    first = np.median(abs(y)) / np.median(abs(x)) if metric else _ratio(_spread(x), spread)
    scale, x_middle, y_middle = float(first), float(np.median(x)), float(np.median(y))
    for _ in range(ROUNDS):
        shift = 0.0 if metric else y_middle - scale * x_middle
        error = abs(scale * x + shift - y)
        good = error <= max(TOLERANCE * _TO_STDDEV * float(np.median(error)), 1e-6 * spread)
        x_middle, y_middle = float(x[good].mean()), float(y[good].mean())
        # Of both alike: a regression of one on the other would shrink, the more the longer.
        sizes = (x[good], y[good]) if metric else (x[good] - x_middle, y[good] - y_middle)
        scale = _ratio(*(float(np.sqrt(np.mean(size**2))) for size in sizes))
    share = float(np.median(error)) / spread if spread > 0 else 1.0
    if share > WORST or scale <= 0 or abs(log(scale)) > LARGEST:
        return None
    return _Fit(log(scale), y_middle, x_middle, (WELL / (WELL + share)) ** 2)


def _agreeing(pairs: list[_Pair], step: Floats, count: int) -> Floats:
    """Return T numbers near 0 whose differences, later − earlier, are the given ones (P).

    Weighted least squares.
    """
    width = max(LAGS)
    bands = np.zeros((width + 1, count))  # of a symmetric matrix, the diagonal first
    wanted = np.zeros(count)
    bands[0] = OWN
    earlier = np.array([it.earlier for it in pairs], np.intp)
    later = np.array([it.later for it in pairs], np.intp)
    lag = later - earlier
    weight = np.array([it.fit.weight for it in pairs])
    for end, sign in ((earlier, -1), (later, 1)):
        np.add.at(bands[0], end, weight)
        np.add.at(wanted, end, sign * weight * step)
    np.add.at(bands, (lag, earlier), -weight)
    return np.asarray(solveh_banded(bands[: min(width, count - 1) + 1], wanted, lower=True))


def _within(cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    known = np.isfinite(cells)
    low = np.min(cells, initial=np.inf, where=known)
    high = np.max(cells, initial=-np.inf, where=known)
    inside = known & (cells > low) & (cells < high)
    return np.asarray(inside)


def _spread(values: Floats) -> float:
    return _TO_STDDEV * float(np.median(abs(values - np.median(values))))


def _ratio(below: float, above: float) -> float:
    return above / below if below > 0 else 0.0
