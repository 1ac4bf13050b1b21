"""A moving average of weights: it forgets the noise of the latest steps."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@torch.no_grad()
def remember(average: nn.Module, network: nn.Module, kept: float, step: int) -> None:
    """Move the average towards the network; at first quickly, as it knows nothing yet.

    Args:
        average: A copy of the network.
        network: As it is after a step.
        kept: How much of the average stays in each step.
        step: Steps done.
    """
    kept = min(kept, (1 + step) / (10 + step))
    # not state_dict: what has several names there would be moved several times
    for old, new in zip(_tensors(average), _tensors(network), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - kept)
        else:
            old.copy_(new)


def _tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    return chain(network.parameters(), network.buffers())
