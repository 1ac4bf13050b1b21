"""What all losses are given and return.

A batch holds frame pairs, each with the objects that are seen in both frames, as flat rows. A loss
returns a sum and what to divide it by, both over this process's part of the batch, so that
processes that share a batch get what one would get: each adds up the counts of all of them, and
divides its own total by that. As `DistributedDataParallel` means gradients instead of adding them,
a process multiplies its total with their number first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

JOINT_EPOCHS = 10
"""After so many of 12 epochs the paper's and the released losses drop the reconstruction."""


class Batch(NamedTuple):
    """What losses are given of K matched objects, and of M that are reconstructed.

    Attributes:
        u1: K×D, unit vectors of objects as they were in the first frame of their pair.
        u2: K×D, of the same objects, found from the second frame, in the same order.
        pair: int64 K, which frame pair each is of, from 0.
        errors: M, see `reconstruction_errors`; of the objects of both frames, matched or not.
        elements: How many numbers the maps of one object hold.
        largest: Objects in the frame that has most, of the whole batch on all processes.
        epoch: How often all data were seen before.
    """

    u1: Tensor
    u2: Tensor
    pair: Tensor
    errors: Tensor
    elements: int
    largest: int
    epoch: int


@dataclass(frozen=True)
class LossTerms:
    """A loss as a sum and its divisor.

    Attributes:
        total: Sum over what counts, with gradients.
        count: By what it is divided, at least 1 or exactly 0; of float.
        parts: Parts of `total` by name, without gradients.
    """

    total: Tensor
    count: Tensor
    parts: dict[str, Tensor]

    def mean(self, count: Tensor | None = None) -> Tensor:
        """Return the loss, with gradients; 0 where nothing counts.

        Args:
            count: That of all processes together; None: there is one.
        """
        count = self.count if count is None else count
        return self.total * torch.where(count > 0, 1 / count.clamp(min=1), 0)


def terms(count: Tensor | int, **parts: Tensor) -> LossTerms:
    """Return the terms whose total is the sum of the parts."""
    total = torch.stack(list(parts.values())).sum()
    divisor = torch.as_tensor(count, dtype=torch.float32, device=total.device)
    return LossTerms(total, divisor, {name: part.detach() for name, part in parts.items()})


def reconstruction_errors(
    maps: Tensor, place: Tensor, decoded_maps: Tensor, decoded_place: Tensor
) -> Tensor:
    """Return the mean squared error of each of M objects, float32.

    The scalars of its place together count as much as its maps.

    Args:
        maps: M×C×S×S, as the encoder was shown them.
        place: M×P.
        decoded_maps: M×C×S×S, as the decoder made them of the vectors.
        decoded_place: M×P.
    """
    errors = (decoded_maps.float() - maps).square().flatten(1).mean(1)
    if place.shape[1]:
        errors = errors + (decoded_place.float() - place).square().mean(1)
    return errors
