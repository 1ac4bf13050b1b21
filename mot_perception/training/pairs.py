"""Which two maps are of one object: as it is in a frame, and as the next frame finds it there.

Pairs are made within a shard, so never across sequences. They need no identities: the masks of a
frame's objects followed one frame back overlap the masks of that frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from mot_perception.training.run import random_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.training.shard import Form, PackedMaps, Shard

    Rows = NDArray[np.intp]

By = Literal['identity', 'overlap']

LEAST_OVERLAP = 0.5
"""IoU from which two masks are taken for the same object's, if neither overlaps another more."""


class FramePair(NamedTuple):
    """Two frames of a shard, the second later; numbers, from 0."""

    shard: int
    first: int
    second: int


class ObjectBatch(NamedTuple):
    """What a network is shown of some frame pairs: M objects, of which K are matched.

    Attributes:
        maps: float16 M×C×S×S, of all objects of the first frames as they are then, then of all
            objects of the second frames as they were one frame earlier.
        place: float32 M×P.
        one: int64 K, rows of objects in their first frame.
        other: int64 K, rows of the same objects in their second frame.
        pair: int64 K, which frame pair each is of, from 0.
    """

    maps: torch.Tensor
    place: torch.Tensor
    one: torch.Tensor
    other: torch.Tensor
    pair: torch.Tensor

    def to(self, device: torch.device) -> ObjectBatch:
        """Return the same on a device."""
        return ObjectBatch(*(tensor.to(device) for tensor in self))


@dataclass(frozen=True)
class _Indexed:
    """A shard with what is looked up in it often.

    Attributes:
        shard: The shard.
        who: int64 N, equal numbers for the same object; −1 for nobody knows.
        first: int64 F+1, where each frame's objects begin.
    """

    shard: Shard
    who: NDArray[np.int64]
    first: NDArray[np.int64]

    def rows(self, frame: int, maps: PackedMaps) -> Rows:
        """Return the objects of a frame of which there is something to show."""
        start, stop = self.first[frame : frame + 2]
        rows: Rows = start + maps.seen[start:stop].nonzero()[0]
        return rows

    def matched(self, first: int, second: int) -> tuple[Rows, Rows]:
        """Return which objects of two frames are the same, if their masks are evidence."""
        one = self._evident(self.rows(first, self.shard.now))
        other = self._evident(self.rows(second, self.shard.before))
        _, in_one, in_other = np.intersect1d(self.who[one], self.who[other], return_indices=True)
        return one[in_one], other[in_other]

    def _evident(self, rows: Rows) -> Rows:
        evident: Rows = rows[self.shard.reliable[rows] & (self.who[rows] >= 0)]
        return evident


class Pairs:
    """All frame pairs of some shards in which at least one object is matched.

    Args:
        shards: Where objects are.
        form: Of their maps.
        by: How the same object is found: by the identities that were stored, or by the overlap of
            masks from frame to frame.
    """

    def __init__(self, shards: Sequence[Shard], form: Form, by: By) -> None:
        self._form = form
        self._shards = [_indexed(shard, by) for shard in shards]

    def neighbours(self) -> list[FramePair]:
        """Return the pairs of one frame and the next."""
        return [
            pair
            for number, it in enumerate(self._shards)
            for pair in self._between(number, np.ones(len(it.shard.index), np.int64))
        ]

    def epoch(self, seed: int, epoch: int, batch: int, longest: int = 1) -> list[list[FramePair]]:
        """Return all frame pairs in batches, shuffled; the same for the same numbers.

        Args:
            seed: Of the training.
            epoch: From 0.
            batch: Frame pairs in each; the last has what is left.
            longest: Frames from first to second; drawn from 1 to this for each first one.
        """
        random = random_of(seed, epoch)
        found = []
        for number, it in enumerate(self._shards):
            steps = random.integers(1, longest, len(it.shard.index), endpoint=True)
            found += self._between(number, steps)
        order = random.permutation(len(found))
        return batches([found[place] for place in order], batch)

    def largest(self, pairs: Sequence[FramePair]) -> int:
        """Return the number of objects that are shown of the frame with most of them."""
        counts = [len(rows) for pair in pairs for rows in self._rows(pair)]
        return max(counts, default=0)

    def read(self, pairs: Sequence[FramePair]) -> ObjectBatch:
        """Return what is shown of frame pairs; there may be none."""
        shown: list[tuple[Rows, Rows]] = [self._rows(pair) for pair in pairs]
        maps, places, start = [], [], [0]
        for time, parts in enumerate(zip(*shown, strict=True)):
            for pair, rows in zip(pairs, parts, strict=True):
                shard = self._shards[pair.shard].shard
                packed = shard.before if time else shard.now
                maps.append(packed.maps(rows, self._form))
                places.append(packed.place[rows])
                start.append(start[-1] + len(rows))
        ones, others, numbers = [], [], []
        for number, (pair, (first, second)) in enumerate(zip(pairs, shown, strict=True)):
            one, other = self._shards[pair.shard].matched(pair.first, pair.second)
            ones.append(start[number] + np.searchsorted(first, one))
            others.append(start[len(pairs) + number] + np.searchsorted(second, other))
            numbers.append(np.full(len(one), number))
        size = self._form.channels, self._form.side, self._form.side
        return ObjectBatch(
            _tensor(maps, np.empty((0, *size), np.float16)),
            _tensor(places, np.empty((0, self._form.places), np.float32)),
            *(_tensor(rows, np.empty(0, np.int64)) for rows in (ones, others, numbers)),
        )

    def _rows(self, pair: FramePair) -> tuple[Rows, Rows]:
        it = self._shards[pair.shard]
        return it.rows(pair.first, it.shard.now), it.rows(pair.second, it.shard.before)

    def _between(self, number: int, steps: NDArray[np.int64]) -> list[FramePair]:
        """Return the pairs of each frame of a shard with the one so many steps later."""
        it = self._shards[number]
        second = np.arange(len(steps)) + steps
        inside = (second < len(steps)).nonzero()[0]
        pairs = [
            FramePair(number, int(first), int(second[first]))
            for first in inside
            if it.shard.follows[second[first]]
        ]
        return [pair for pair in pairs if len(it.matched(pair.first, pair.second)[0])]


def batches(pairs: Sequence[FramePair], size: int) -> list[list[FramePair]]:
    """Return pairs in groups of a size; the last has what is left."""
    return [list(pairs[start : start + size]) for start in range(0, len(pairs), size)]


def chains(shard: Shard) -> NDArray[np.int64]:
    """Return a number for each object that is the same from frame to frame, without identities.

    Of two frames those belong together whose masks overlap most, seen from both sides: the mask
    in the former, and that of the latter followed one frame back.
    """
    earlier, later = shard.overlap_rows.T
    most = np.zeros((2, len(shard)), np.float32)
    np.maximum.at(most[0], earlier, shard.overlap)
    np.maximum.at(most[1], later, shard.overlap)
    mutual = (shard.overlap >= most[0][earlier]) & (shard.overlap >= most[1][later])
    same = shard.overlap_rows[mutual & (shard.overlap >= LEAST_OVERLAP)]
    who = np.arange(len(shard))
    for former, latter in same[np.argsort(same[:, 1], kind='stable')]:
        who[latter] = who[former]
    return who


def _indexed(shard: Shard, by: By) -> _Indexed:
    first = np.searchsorted(shard.frame, np.arange(len(shard.index) + 1))
    return _Indexed(shard, shard.identity if by == 'identity' else chains(shard), first)


def _tensor(parts: Sequence[NDArray[Any]], empty: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([empty, *parts]))
