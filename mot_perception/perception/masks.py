"""Masks without a network: the pixels of a box that lie as deep as its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mot_perception.perception.grid import GRID, sample
from mot_perception.perception.protocols import ObjectMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

    from mot_perception.types import Frame

TOLERANCE = 0.08
"""How far a pixel's log depth may be from its object's, at least: 0.08 is 40 cm at 5 m."""
RELIEF, DEEPEST = 0.35, 0.3
"""Tolerance of one as tall as the image is wide, and the largest: who is near is deep himself."""
CENTRAL = 0.5
"""Share of a box's width and height in which its object's depth is looked for."""
ROUNDS = 2
"""How often objects' depths are looked for without what others cover."""
FLOOR, BESIDE, FEET = 0.03, 2, 0.3
"""Cells that differ less in log depth from what lies beside the box are floor; how many cells on
either side of it are looked at; and the lower share of a box in which there may be some."""
STEP = 2
"""Cells that an object may move from frame to frame, in either direction."""
STILL = 0.02
"""How much better an object must be found a cell further to have moved there."""
FOOT = 4.0
"""Weight of standing in front against standing in the middle of one's box."""
CLOSE = 4.0
"""Weight of being as deep as one's object, of a cell at the edge of the tolerance."""
MOST_COVERED, LEAST_FILLED = 0.5, 0.15
"""Masks are evidence where less of the middle is covered, and more of the box is filled."""

_BIN = TOLERANCE / 2
_BINS = 256
_EMPTY = np.full(GRID, -1)


class DepthConsistentMasks:
    """Outlines objects by depth; everything is relative, so the unit of depth does not matter.

    An object's depth is the front mode of the depths in the middle of its box; what others in
    front cover is looked at without them. Its mask are the cells of the box that are as deep and
    no floor; where boxes overlap, a cell is its who stands in front, and is as deep as the cell.
    One step back the mask is moved to where the depth image of t−1 fits it best, and drawn anew
    there.
    """

    name = 'depth'

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""

    def outline(self, frame: Frame, xyxy: Array) -> NDArray[np.bool_]:
        """Return masks N×h×w of the N objects with boxes `xyxy` (N×4) in one frame."""
        return self.step(frame, frame, xyxy).current

    def step(self, previous: Frame, current: Frame, xyxy: Array) -> ObjectMasks:
        """Return masks at t and t−1 of the N objects with boxes `xyxy` at t.

        Args:
            previous: The frame at t−1; at the start of a sequence the current one again.
            current: The frame at t; both need `depth`.
            xyxy: N×4, pixels of the current frame.
        """
        now, before = _log_depth(current), _log_depth(previous)
        size = current.width, current.height
        box, middle = _cells(xyxy, *size), _cells(_scaled(xyxy, CENTRAL), *size)
        claim, tolerance = _claims(xyxy, current.width), _tolerances(xyxy, current.width)
        depth, covered = _depths(now, box, middle, claim, tolerance)
        seen = _owners(now, box, claim, depth, tolerance, CLOSE, True)
        step = _steps(seen, box, before, depth, tolerance)
        moved = xyxy + np.tile(step * (size[0] / GRID[1], size[1] / GRID[0]), 2)
        region, claim = _cells(moved, *size), _claims(moved, current.width)
        past = _owners(before, region, claim, depth, tolerance, CLOSE, True)
        number = np.arange(len(xyxy))[:, None, None]
        masks = ObjectMasks(seen == number, past == number, covered <= MOST_COVERED)
        masks.reliable[:] &= masks.current.sum((1, 2)) >= LEAST_FILLED * _area(box)
        return masks


def _log_depth(frame: Frame) -> Array:
    """Return log depth on the grid, NaN where unknown."""
    if frame.depth is None:
        raise ValueError('masks from depth need frames with depth')
    depth = sample(frame.depth).astype(np.float64)
    known = np.isfinite(depth) & (depth > 0)
    return np.log(depth, out=np.full_like(depth, np.nan), where=known)


def _cells(xyxy: Array, width: int, height: int) -> Index:
    """Return the cells with their centre in each box: first column and row, those behind the last.

    Args:
        xyxy: N×4, pixels of a width×height frame; NaN boxes have no cells.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    most = np.array([GRID[1], GRID[0]] * 2)
    with np.errstate(invalid='ignore', over='ignore'):
        edges = np.ceil(xyxy * (most / (width, height, width, height)) - 0.5).clip(0, most)
    return np.asarray(np.nan_to_num(edges), np.int64)


def _area(cells: Index) -> Index:
    return np.asarray((cells[:, 2:] - cells[:, :2]).clip(0).prod(1))


def _tolerances(xyxy: Array, width: int) -> Array:
    """Return N: how far log depths may be from those of objects with these boxes."""
    with np.errstate(invalid='ignore'):
        tall = np.nan_to_num((xyxy[:, 3] - xyxy[:, 1]) / width)
    return np.asarray((RELIEF * tall).clip(TOLERANCE, DEEPEST))


def _claims(xyxy: Array, width: int) -> Array:
    """Return N×3, of what the objects' claims on cells consist: middle, half of the width, foot.

    Two who overlap may both see the one in front in the middle of their boxes. He stands near the
    middle of his own box; and on a floor his box ends lower.
    """
    with np.errstate(invalid='ignore', over='ignore'):
        tall = np.median(xyxy[:, 3] - xyxy[:, 1]) if len(xyxy) else 1.0
        middle, half = (xyxy[:, 0] + xyxy[:, 2]) / 2, (xyxy[:, 2] - xyxy[:, 0]) / 2
        claims = np.stack([middle, half, FOOT * xyxy[:, 3] / tall], 1)
    claims[:, :2] *= GRID[1] / width
    return claims


def _depths(
    log_depth: Array, box: Index, middle: Index, claim: Array, tolerance: Array
) -> tuple[Array, Array]:
    """Return the log depth of N objects, and what share of the middle of their boxes is covered.

    First modes, which find an object among others; then the median about them, which is steadier.
    """
    known = log_depth[np.isfinite(log_depth)]
    nearest = known.min(initial=np.inf)
    depth, _ = _modes(log_depth, nearest, middle, _EMPTY)
    owner, covered = _EMPTY, np.zeros(len(box))
    for _ in range(ROUNDS):
        owner = _owners(log_depth, box, claim, depth, tolerance, 0.0, False)
        depth, covered = _modes(log_depth, nearest, middle, owner)
    return _medians(log_depth, middle, owner, depth, tolerance), covered


@njit(cache=True)
def _owners(
    log_depth: Array,
    region: Index,
    claim: Array,
    depth: Array,
    tolerance: Array,
    close: float,
    no_floor: bool,
) -> Index:
    """Return h×w: whose each cell is, −1 for nobody's.

    A cell is of the object that is as deep, within its tolerance, and has the strongest claim.

    Args:
        log_depth: h×w.
        region: N×4, cells in which each object may be.
        claim: N×3, of `_claims`.
        depth: N.
        tolerance: N.
        close: Weight of being as deep as the object.
        no_floor: Whether floor is nobody's.
    """
    owner = np.full(log_depth.shape, -1)
    best = np.full(log_depth.shape, -np.inf)
    somebody = _within(log_depth.shape, region)
    for n in range(len(region)):
        left, top, right, bottom = region[n]
        middle, half, foot = claim[n]
        for y in range(top, bottom):
            floor = np.nan
            if no_floor and y >= bottom - FEET * (bottom - top):
                floor = _beside(log_depth[y], somebody[y], left, right)
            for x in range(left, right):
                distance = abs(log_depth[y, x] - depth[n]) / tolerance[n]
                if not distance < 1 or abs(log_depth[y, x] - floor) < FLOOR:
                    continue
                claimed = foot - ((x + 0.5 - middle) / half) ** 2 - close * distance**2
                if claimed > best[y, x]:
                    best[y, x] = claimed
                    owner[y, x] = n
    return owner


@njit(cache=True)
def _within(shape: tuple[int, int], region: Index) -> NDArray[np.bool_]:
    """Return h×w: which cells lie in any region."""
    within = np.zeros(shape, np.bool_)
    for left, top, right, bottom in region:
        within[top:bottom, left:right] = True
    return within


@njit(cache=True)
def _beside(row: Array, somebody: NDArray[np.bool_], left: int, right: int) -> float:
    """Return the farthest of the cells beside a region in one row, NaN where there is none.

    An arm may reach out of a box, so several count; somebody may be in cells of any region, so
    these do not.
    """
    farthest = np.nan
    for step in range(1, BESIDE + 1):
        for x in (left - step, right - 1 + step):
            inside = 0 <= x < len(row) and not somebody[x]
            if inside and not np.isnan(row[x]) and not farthest > row[x]:
                farthest = row[x]
    return farthest


@njit(cache=True)
def _modes(log_depth: Array, nearest: float, region: Index, owner: Index) -> tuple[Array, Array]:
    """Return the front mode of log depth in N regions, and what share of them others own.

    That is the nearest depth that is at least half as frequent as the most frequent one: often
    more of a box is wall than object. What others own is not counted. NaN where nothing is known.
    Bins begin at the nearest depth, so that scaling the depth image shifts the bins with it.

    Args:
        log_depth: h×w.
        nearest: The smallest of it.
        region: N×4, cells.
        owner: h×w, −1 for nobody's.
    """
    modes, covered = np.full(len(region), np.nan), np.zeros(len(region))
    for n in range(len(region)):
        left, top, right, bottom = region[n]
        counts = np.zeros(_BINS + 2)
        others = 0
        for y in range(top, bottom):
            for x in range(left, right):
                if owner[y, x] >= 0 and owner[y, x] != n:
                    others += 1
                elif not np.isnan(log_depth[y, x]):
                    counts[1 + min(int((log_depth[y, x] - nearest) / _BIN), _BINS - 1)] += 1
        covered[n] = others / max((bottom - top) * (right - left), 1)
        smooth = 2 * counts[1:-1] + counts[:-2] + counts[2:]
        if smooth.max() > 0:
            modes[n] = nearest + (np.argmax(2 * smooth >= smooth.max()) + 0.5) * _BIN
    return modes, covered


@njit(cache=True)
def _medians(
    log_depth: Array, region: Index, owner: Index, depth: Array, tolerance: Array
) -> Array:
    """Return the median of what is near each object's depth and no other's; `depth` if nothing."""
    medians = depth.copy()
    for n in range(len(region)):
        left, top, right, bottom = region[n]
        values = log_depth[top:bottom, left:right].copy().ravel()
        owners = owner[top:bottom, left:right].copy().ravel()
        own = (owners < 0) | (owners == n)
        values = values[own & (np.abs(values - depth[n]) < tolerance[n])]
        if len(values):
            medians[n] = np.median(values)
    return medians


@njit(cache=True)
def _steps(owner: Index, region: Index, before: Array, depth: Array, tolerance: Array) -> Index:
    """Return N×2, right and down: the step by which most of each mask is as deep in `before`.

    Args:
        owner: h×w, whose cells are at t.
        region: N×4, cells in which each object is at t.
        before: h×w, log depth at t−1.
        depth: N.
        tolerance: N.
    """
    height, width = owner.shape
    steps = np.zeros((len(region), 2), np.int64)
    for n in range(len(region)):
        left, top, right, bottom = region[n]
        best = -1.0
        for down in range(-STEP, STEP + 1):
            for aside in range(-STEP, STEP + 1):
                fit = 0
                for y in range(max(top, -down), min(bottom, height - down)):
                    for x in range(max(left, -aside), min(right, width - aside)):
                        if owner[y, x] == n:
                            apart = abs(before[y + down, x + aside] - depth[n])
                            fit += apart < tolerance[n]
                worth = fit * (1 - STILL * np.hypot(down, aside))
                if worth > best:
                    best = worth
                    steps[n, 0], steps[n, 1] = aside, down
    return steps


def _scaled(xyxy: Array, factor: float) -> Array:
    """Return the boxes grown about their centres; infinite ones become NaN, which is nowhere."""
    with np.errstate(invalid='ignore', over='ignore'):
        margin = (xyxy[:, 2:] - xyxy[:, :2]) * ((factor - 1) / 2)
        return np.hstack([xyxy[:, :2] - margin, xyxy[:, 2:] + margin])
