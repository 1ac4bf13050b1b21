"""How well vectors tell objects apart, and whether they have collapsed into one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SURE = 1e-6
"""By how much a cosine must be larger to count as larger: rounding is below."""


class Similarity(NamedTuple):
    """Means over objects that have others beside them; NaN where there are none.

    Attributes:
        objects: How many they are.
        match: Cosine of an object's two vectors.
        different: Mean cosine with the other objects of its frame pair; 1 is collapse.
        hardest: Largest of these.
        rank1: Share of objects that are nearest to themselves.
    """

    objects: int
    match: float
    different: float
    hardest: float
    rank1: float

    @property
    def margin(self) -> float:
        """By how much the match is nearer than the hardest non-match."""
        return self.match - self.hardest

    @staticmethod
    def of(sums: Tensor) -> Similarity:
        """Return the means of what `similarity_sums` returned, of one batch or of many added."""
        objects, *totals = sums.tolist()
        match, different, hardest, rank1 = (
            total / objects if objects else float('nan') for total in totals
        )
        return Similarity(int(objects), match, different, hardest, rank1)


def similarity_sums(u1: Tensor, u2: Tensor, pair: Tensor) -> Tensor:
    """Return sums over objects, to be added over batches and processes, then `Similarity.of`.

    Args:
        u1: K×D unit vectors of matched objects in one frame of their pair.
        u2: K×D, of the same in the other.
        pair: K, which frame pair each is of.

    Returns:
        float64, 5: as `Similarity` has them.
    """
    with torch.no_grad(), torch.autocast(u1.device.type, enabled=False):
        cosine = u1.float() @ u2.float().T
        match = cosine.diagonal()
        others = pair[:, None] == pair
        others.fill_diagonal_(False)
        number = others.sum(1)
        different = torch.where(others, cosine, 0).sum(1) / number.clamp(min=1)
        hardest = torch.cat(
            [cosine.masked_fill(~others, -2), cosine.new_full((len(u1), 1), -2)], 1
        )
        hardest = hardest.max(1)[0]
        first = match > hardest + SURE
        rows = torch.stack([torch.ones_like(match), match, different, hardest, first.float()])
        return rows[:, number > 0].double().sum(1)
