"""Which sequences of some stores are learned from, and which are held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mot_perception.errors import UserError
from mot_perception.training.pairs import Pairs
from mot_perception.training.run import random_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mot_perception.training.pairs import By
    from mot_perception.training.shard import Shard
    from mot_perception.training.store import Store, StoredSequence

HELD_OUT = 0.2
"""Share of the sequences that is held out where no others are given for that."""

Chosen = list[tuple['Store', 'StoredSequence']]


@dataclass(frozen=True)
class Split:
    """Frame pairs to learn from and to look at, from different sequences.

    Attributes:
        form: Of the maps.
        learned: To learn from.
        held_out: To look at.
        held_out_names: Of which sequences.
        sha256: Of all stores they are of.
    """

    form: str
    learned: Pairs
    held_out: Pairs
    held_out_names: tuple[str, ...]
    sha256: tuple[str, ...]


def split(stores: Sequence[Store], held_out: Sequence[Store], by: By, seed: int) -> Split:
    """Return the pairs of stores.

    Args:
        stores: To learn from.
        held_out: To look at; if there are none, a fifth of the sequences of the others is, at
            least one, chosen by the seed.
        by: How the same object is found.
        seed: Of the choice.

    Raises:
        UserError: They were made in different ways, are too few, damaged, or have no pairs; or a
            sequence is in both.
    """
    every = [*stores, *held_out]
    _check_alike(every)
    learned, looked_at = _all(stores), _all(held_out)
    known = {shard.sha256 for _, sequence in learned for shard in sequence.shards}
    if both := [it for _, it in looked_at if any(shard.sha256 in known for shard in it.shards)]:
        raise UserError(f'{both[0].name}: both learned from and held out; give other stores')
    if not held_out:
        learned, looked_at = _divided(learned, seed)
    form = every[0].form
    pairs = Pairs(_shards(learned), form, by), Pairs(_shards(looked_at), form, by)
    for part, name in zip(pairs, ('to learn from', 'held out'), strict=True):
        if not part.neighbours():
            raise UserError(
                f'{every[0].folder}: no object is seen in two frames of what is {name}; extract '
                'more, or take --pairs overlap where there are no identities'
            )
    names = tuple(sequence.name for _, sequence in looked_at)
    sums = tuple(store.sha256 for store in every)
    return Split(every[0].recipe['form'], *pairs, names, sums)


def _check_alike(stores: Sequence[Store]) -> None:
    first = stores[0]
    for store in stores:
        if store.key != first.key:
            other = [name for name in first.recipe if store.recipe.get(name) != first.recipe[name]]
            raise UserError(
                f'{store.folder}: made with another {", ".join(other) or "recipe"} than '
                f'{first.folder}; extract both in the same way'
            )


def _all(stores: Sequence[Store]) -> Chosen:
    return [(store, sequence) for store in stores for sequence in store.sequences]


def _divided(chosen: Chosen, seed: int) -> tuple[Chosen, Chosen]:
    """Return the rest, and a share that is held out."""
    if len(chosen) < 2:
        raise UserError(
            f'{len(chosen)} sequence is not enough to hold one out; extract more, or give '
            '--held-out another store'
        )
    order = random_of(seed).permutation(len(chosen))
    number = math.ceil(HELD_OUT * len(chosen))
    return [chosen[place] for place in order[number:]], [chosen[place] for place in order[:number]]


def _shards(chosen: Chosen) -> list[Shard]:
    return [shard for store, sequence in chosen for shard in store.read(sequence)]
