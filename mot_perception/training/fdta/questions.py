"""What the ID decoder is asked in training: histories under random labels, with made-up faults.

Every clip is asked several times (groups), each time with other labels for its identities, so that
labels mean nothing by themselves. Faults are those of a tracker: a track is not seen for a while
(occlusion), or two tracks got each other's detection (switch); specification §2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

OCCLUDED = 0.5
"""Share of tracks with a gap."""
SWITCHED = 0.5
"""Share of the tracks of a frame whose observations are dealt anew."""
SPATIAL_NOISE = 0.5
"""Standard deviation of the noise on generalised IoU by which neighbours are switched."""


class Questions(NamedTuple):
    """G groups over T frames of N identities: a subset of those in the clip, as columns says."""

    columns: Index
    """(N): which identities of the clip."""
    source: Index
    """(G, T, N): whose observation, among the N, a history holds."""
    missing: Mask
    """(G, T, N): where it holds none."""
    asked_missing: Mask
    """(G, T, N): where nobody is asked about."""
    labels: Index
    """(G, N)."""
    target: Index
    """(G, T, N): the right answers; the number of labels means newborn."""


def make_questions(
    present: Mask,
    boxes: NDArray[np.float64],
    random: np.random.Generator,
    *,
    groups: int,
    identities: int,
    switches: Literal['uniform', 'spatial'],
) -> Questions:
    """Draw labels and faults for a clip.

    Args:
        present: bool (T, I), where each of the clip's identities is seen.
        boxes: (T, I, 4), left, top, right, bottom in any unit; anything where not seen.
        random: Draws.
        groups: G.
        identities: Labels that there are; if the clip has more identities, some are left out.
        switches: Deal observations to anybody, or rather to whoever is near (MOTIP2's spatial
            switches): in use, neighbours are confused.
    """
    count = present.shape[1]
    columns = np.sort(random.permutation(count)[:identities])
    present, boxes = present[:, columns], boxes[:, columns]
    frames, count = present.shape
    labels = np.stack([random.permutation(identities)[:count] for _ in range(groups)])
    asked = present & ~_gaps(random, groups, frames, count)
    source = np.broadcast_to(np.arange(count), (groups, frames, count)).copy()
    for group, frame in np.ndindex(groups, frames):
        chosen = np.flatnonzero(random.random(count) < SWITCHED)
        source[group, frame, chosen] = chosen[_deal(boxes[frame, chosen], random, switches)]
    there = np.take_along_axis(asked, source, 2)
    before = np.zeros_like(there)
    before[:, 1:] = np.logical_or.accumulate(there, 1)[:, :-1]
    target = np.where(before, labels[:, None], identities)
    return Questions(columns, source, ~there, ~asked, labels, target)


def _gaps(random: np.random.Generator, groups: int, frames: int, count: int) -> Mask:
    """Return where tracks are hidden, (G, T, N): half of them once, from anywhere for a while."""
    start = random.integers(0, frames, (groups, 1, count))
    length = np.ceil((frames - 1 - start) * random.random((groups, 1, count)))
    frame = np.arange(frames)[:, None]
    hidden: Mask = (frame >= start) & (frame < start + length)
    return hidden & (random.random((groups, 1, count)) < OCCLUDED)


def _deal(
    boxes: NDArray[np.float64],
    random: np.random.Generator,
    switches: Literal['uniform', 'spatial'],
) -> Index:
    """Return a permutation: row i gets the observation of which row."""
    if switches == 'uniform':
        return random.permutation(len(boxes))
    alike = _generalised_iou(boxes) + random.normal(0, SPATIAL_NOISE, (len(boxes), len(boxes)))
    return np.asarray(linear_sum_assignment(np.nan_to_num(alike), maximize=True)[1])


def _generalised_iou(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the generalised IoU of all pairs of M×4 boxes; 0 where it is not defined."""
    one, two = boxes[:, None], boxes[None]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), -1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], -1)
    union = area[:, None] + area - common
    low, high = np.minimum(one[..., :2], two[..., :2]), np.maximum(one[..., 2:], two[..., 2:])
    around = np.prod(high - low, -1)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(np.nan_to_num(common / union - (around - union) / around))
