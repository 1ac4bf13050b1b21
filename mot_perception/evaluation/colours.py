"""Colours of identities: few, calm, and never the same side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.evaluation.timeline import Runs, Switches

COLOURS = 12
"""How many there are; the style sheet defines them as --id-0 … --id-11."""
_SWAPPED = 1000.0
_USED = 1e-3


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
    until: list[list[int]] = [[] for _ in range(COLOURS)]
    colours: dict[int, int] = {}
    for k in np.argsort(birth, kind='stable').tolist():
        until = [[end for end in ends if end >= birth[k]] for ends in until]
        cost = np.array([len(ends) for ends in until], float)
        cost += _USED * np.bincount(list(colours.values()), minlength=COLOURS)
        taken = [colours[rival] for rival in rivals.get(ids[k], ()) if rival in colours]
        np.add.at(cost, taken, _SWAPPED)
        colours[ids[k]] = choice = int(np.argmin(cost))
        until[choice].append(int(death[k]))
    return colours


def _spans(lives: Runs) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    ids, start = np.unique(lives.row, return_index=True)
    if not len(ids):
        return [], ids, ids
    return ids.tolist(), lives.first[start], np.maximum.reduceat(lives.last, start)


def _rivals(switches: Switches | None) -> dict[int, set[int]]:
    rivals: dict[int, set[int]] = {}
    if switches is not None:
        for a, b in zip(switches.before.tolist(), switches.after.tolist(), strict=True):
            rivals.setdefault(a, set()).add(b)
            rivals.setdefault(b, set()).add(a)
    return rivals
