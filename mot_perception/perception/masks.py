"""Masks without a network: the pixels of a box that lie as deep as its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.perception.grid import GRID, inside, sample
from mot_perception.perception.protocols import ObjectMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import Frame

TOLERANCE = 0.08
"""How far a pixel's log depth may be from its object's: 0.08 is 40 cm at 5 m."""
CENTRAL = 0.5
"""Share of a box's width and height in which its object's depth is looked for."""
STEP = 0.05
"""How far an object may move from frame to frame, as a share of its box."""
FOOT = 4.0
"""Weight of standing in front against standing in the middle of one's box."""
MOST_COVERED, LEAST_FILLED = 0.5, 0.15
"""Masks are evidence where less of the middle is covered, and more of the box is filled."""

_BIN = TOLERANCE / 2
_BINS = 256


class DepthConsistentMasks:
    """Outlines objects by depth; everything is relative, so the unit of depth does not matter.

    An object's depth is the front mode of the depths in the middle of its box; what others in
    front cover is looked at without them. One step back the same depth is looked for, in the depth
    image of t−1, within the box of t widened by what an object moves in one step.
    """

    name = 'depth'

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks N×h×w of the N objects with boxes `xyxy` (N×4) in one frame."""
        return self.step(frame, frame, xyxy).current

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks at t and t−1 of the N objects with boxes `xyxy` at t.

        Args:
            previous: The frame at t−1; at the start of a sequence the current one again.
            current: The frame at t; both need `depth`.
            xyxy: N×4, pixels of the current frame.
        """
        now, before = _log_depth(current), _log_depth(previous)
        size = current.width, current.height
        box, middle = inside(xyxy, *size), inside(_scaled(xyxy, CENTRAL), *size)
        claim = _claims(xyxy, current.width)
        covered = middle & _taken(box & _near(now, _modes(now, middle)), claim)
        depth = _modes(now, middle & ~covered)
        seen = box & _near(now, depth)
        seen &= ~_taken(seen, claim)
        past = inside(_scaled(xyxy, 1 + 2 * STEP), *size) & _near(before, depth)
        past &= ~_taken(past, claim)
        free = _count(covered) <= MOST_COVERED * _count(middle)
        return ObjectMasks(seen, past, free & (_count(seen) >= LEAST_FILLED * _count(box)))


def _log_depth(frame: Frame) -> NDArray[np.float32]:
    """Return log depth on the grid, NaN where unknown."""
    if frame.depth is None:
        raise ValueError('masks from depth need frames with depth')
    depth = sample(frame.depth)
    known = np.isfinite(depth) & (depth > 0)
    return np.log(depth, out=np.full_like(depth, np.nan), where=known)


def _near(log_depth: NDArray[np.float32], modes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return N×h×w: which cells are as deep as each object; none where that is unknown."""
    near: NDArray[np.bool_] = abs(log_depth - modes[:, None, None]) < TOLERANCE
    return near


def _claims(xyxy: NDArray[np.float64], width: int) -> NDArray[np.float32]:
    """Return N×w: how strong a claim each box has on the cells of a column that several want.

    Two who overlap may both see the one in front in the middle of their boxes. He stands near the
    middle of his own box; and on a floor his box ends lower.
    """
    x = (np.arange(GRID[1]) + 0.5) * (width / GRID[1])
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        centre, half = (xyxy[:, 0] + xyxy[:, 2]) / 2, (xyxy[:, 2] - xyxy[:, 0]) / 2
        height = np.median(xyxy[:, 3] - xyxy[:, 1]) if len(xyxy) else 1.0
        aside = ((x - centre[:, None]) / half[:, None]) ** 2
        claims = FOOT * (xyxy[:, 3] / height)[:, None] - aside
    return np.nan_to_num(claims, nan=-np.inf, posinf=-np.inf).astype(np.float32)


def _taken(masks: NDArray[np.bool_], claims: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return N×h×w: which cells belong to another object, the one with the strongest claim."""
    if not len(masks):
        return masks
    wanted = np.where(masks, claims[:, None, :], -np.inf)
    owner = np.where(masks.any(0), wanted.argmax(0), -1)
    taken: NDArray[np.bool_] = (owner >= 0) & (owner != np.arange(len(masks))[:, None, None])
    return taken


def _count(cells: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.asarray(cells.sum((1, 2)))


def _scaled(xyxy: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return the boxes grown about their centres; infinite ones become NaN, which is nowhere."""
    with np.errstate(invalid='ignore', over='ignore'):
        margin = (xyxy[:, 2:] - xyxy[:, :2]) * ((factor - 1) / 2)
        return np.hstack([xyxy[:, :2] - margin, xyxy[:, 2:] + margin])


def _modes(log_depth: NDArray[np.float32], regions: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the front mode of log depth in each of N regions; NaN where none is known.

    The nearest depth that is at least half as frequent as the most frequent one: often more of a
    box is wall than object. Counted in bins from the nearest depth on, so that scaling the depth
    image shifts the bins with it.
    """
    known = np.isfinite(log_depth)
    if not known.any():
        return np.full(len(regions), np.nan, np.float32)
    nearest = log_depth[known].min()
    bins = np.where(known, (log_depth - nearest) / _BIN, 0).astype(np.intp).clip(0, _BINS - 1)
    rows, cells = np.nonzero((regions & known).reshape(len(regions), known.size))
    index = rows * _BINS + bins.ravel()[cells]
    counts = np.bincount(index, minlength=len(regions) * _BINS).reshape(-1, _BINS)
    smooth = 2 * counts
    smooth[:, 1:] += counts[:, :-1]
    smooth[:, :-1] += counts[:, 1:]
    front = (2 * smooth >= smooth.max(1, keepdims=True)).argmax(1)
    modes = nearest + (front + 0.5) * _BIN
    return np.where(counts.any(1), modes, np.nan).astype(np.float32)
