"""Which clips an epoch consists of: one a legal first frame, in random order (specification §2).

What is drawn follows from the seed, the epoch, and the names of the sequences, never from the
order in which they are listed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.training.fdta.clip import Footage

    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]


class ClipPlan(NamedTuple):
    """Which frames a clip consists of."""

    footage: int
    """Which sequence, its place in the list."""
    frames: tuple[int, ...]
    """T numbers from 0, rising; a still, which is a sequence of one frame, is repeated."""


def fitting(footages: Sequence[Footage], length: int) -> tuple[list[Footage], list[str]]:
    """Return the sequences that a clip can be cut from, and a line about each of the others.

    Args:
        footages: Sequences.
        length: Frames of a clip.

    Raises:
        UserError: There is none: why not the first.
    """
    kept: list[Footage] = []
    notes: list[str] = []
    for footage in footages:
        if _is_still(footage) or clip_starts(footage.legal(), length).any():
            kept.append(footage)
        elif len(footage) < length:
            notes.append(
                f'{footage.name}: {len(footage)} frames, fewer than a clip of {length}; left out'
            )
        else:
            notes.append(
                f'{footage.name}: nowhere {length} frames in a row that can be learned from; '
                'left out'
            )
    if not kept:
        why = notes[0].removesuffix('; left out') if notes else 'no sequences'
        raise UserError(f'{why}; give longer sequences or learn from shorter clips')
    return kept, notes


def plans(
    footages: Sequence[Footage],
    *,
    length: int,
    longest_interval: int,
    seed: int,
    epoch: int,
    drops: float = 0.0,
    most: int | None = None,
) -> list[ClipPlan]:
    """Return the clips of an epoch in the order in which they are learned from.

    Every frame from which a clip of legal frames can start gives one. Its frames are an interval
    apart that is drawn from 1 … `longest_interval`, of those that fit; with `drops`, single frames
    are lost on the way, so that the steps of time differ within a clip.

    Args:
        footages: Sequences, each with a name of its own.
        length: Frames of a clip.
        longest_interval: Frames from one frame of a clip to the next, at most.
        seed: Of the training.
        epoch: Which one, from 0.
        drops: Share of frames that are lost; where a clip would not fit then, none is.
        most: Clips of an epoch, if there are more: those that come first.

    Raises:
        UserError: Two sequences have the same name.
    """
    order = _by_name(footages)
    random = np.random.default_rng([seed, epoch, 0xC11B])
    legal = [footages[index].legal() for index in order]
    starts = [np.flatnonzero(clip_starts(frames, length) | _stills(frames)) for frames in legal]
    rank = np.repeat(np.arange(len(order)), [len(each) for each in starts])
    start = np.concatenate([np.empty(0, np.int64), *starts])
    chosen = random.permutation(len(start))[:most]
    return [
        ClipPlan(
            order[rank[row]],
            _frames(random, legal[rank[row]], int(start[row]), length, longest_interval, drops),
        )
        for row in chosen.tolist()
    ]


def _by_name(footages: Sequence[Footage]) -> list[int]:
    """Return the places of the sequences in the order of their names."""
    names = [footage.name for footage in footages]
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f'{name}: two sequences have this name; give each one of its own')
    return sorted(range(len(names)), key=names.__getitem__)


def _is_still(footage: Footage) -> bool:
    return bool(_stills(footage.legal()).any())


def _stills(legal: Mask) -> Mask:
    """Return where a still starts: in a sequence of a single frame."""
    return legal & (len(legal) == 1)


def clip_starts(legal: Mask, length: int) -> Mask:
    """Return from which frames a clip of legal frames in a row can start."""
    found = np.zeros(len(legal), np.bool_)
    if length <= len(legal):
        windows = np.lib.stride_tricks.sliding_window_view(legal, length)
        found[: len(windows)] = windows.all(1)
    return found


def _frames(
    random: np.random.Generator,
    legal: Mask,
    start: int,
    length: int,
    longest_interval: int,
    drops: float,
) -> tuple[int, ...]:
    """Return the frames of the clip that starts in a frame."""
    if len(legal) == 1:
        return (start,) * length
    steady = [start + np.arange(length) * step for step in range(1, longest_interval + 1)]
    fit = [step for step, frames in enumerate(steady, 1) if _all_legal(legal, frames)]
    interval = fit[random.integers(len(fit))]
    gaps = interval * random.geometric(1 - drops, length - 1)
    uneven = start + np.concatenate([[0], np.cumsum(gaps)])
    frames = uneven if _all_legal(legal, uneven) else steady[interval - 1]
    return tuple(frames.tolist())


def _all_legal(legal: Mask, frames: Index) -> bool:
    return bool(frames[-1] < len(legal) and legal[frames].all())
