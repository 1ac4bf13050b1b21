"""Colours of identities: few, calm, and never the same side by side."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mot_perception.evaluation.timeline import Runs, Switches

COLOURS = 12
"""How many there are; the style sheet defines them as --id-0 … --id-11."""


def identity_colours(lives: Runs, switches: Switches | None = None) -> dict[int, int]:
    """Give every tracker id one of the colours.

    Ids that took over from each other get different ones; beyond that an id takes the colour
    that the fewest ids alive at its birth have.

    Args:
        lives: When each tracker id was reported, a row per id.
        switches: Which id took over from which.

    Returns:
        Colour index by tracker id.
    """
    ids, birth, death = _spans(lives)
    rivals = _rivals(switches)
    colours: dict[int, int] = {}
    used, alive = [0] * COLOURS, [0] * COLOURS
    ends: list[tuple[int, int]] = []
    for k in np.argsort(birth, kind='stable').tolist():
        while ends and ends[0][0] < birth[k]:
            alive[heappop(ends)[1]] -= 1
        taken = {colours.get(rival) for rival in rivals.get(ids[k], ())}
        choice = min(range(COLOURS), key=lambda c: (c in taken, alive[c], used[c]))
        colours[ids[k]] = choice
        used[choice] += 1
        alive[choice] += 1
        heappush(ends, (death[k], choice))
    return colours


def _spans(lives: Runs) -> tuple[list[int], list[int], list[int]]:
    """Return every id with its first and last frame."""
    ids, start = np.unique(lives.row, return_index=True)
    end = np.append(start[1:], len(lives)) - 1
    return ids.tolist(), lives.first[start].tolist(), lives.last[end[: len(ids)]].tolist()


def _rivals(switches: Switches | None) -> dict[int, set[int]]:
    rivals: dict[int, set[int]] = {}
    if switches is not None:
        for a, b in zip(switches.before.tolist(), switches.after.tolist(), strict=True):
            rivals.setdefault(a, set()).add(b)
            rivals.setdefault(b, set()).add(a)
    return rivals
