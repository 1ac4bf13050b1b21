"""The processes that train one network together: `torchrun` starts them, sums join them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import cv2
import torch
from torch import distributed

from mot_perception.perception.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    T = TypeVar('T')

PATIENCE = timedelta(hours=1)
"""How long one process waits for the others: they may be reading, or scoring what is held out."""


@dataclass(frozen=True)
class Processes:
    """All processes of a training, seen from one of them; often that is the only one.

    A batch is split among them. Losses and gradients are sums over its samples, which are added
    over the processes and divided by the whole batch's count: so the same batch gives the same
    step, however many there are, up to rounding.

    Attributes:
        device: Where this one computes.
        rank: Its number, from 0.
        count: How many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, samples: Sequence[T]) -> Sequence[T]:
        """Return this process' part of a batch; it may be empty."""
        return samples[self.rank :: self.count]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sums over all processes, without gradients; every process must ask."""
        total = values.detach().clone()
        if self.count > 1:
            distributed.all_reduce(total)
        return total

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Add up the gradients of all processes; those that none has stay None."""
        if self.count == 1:
            return
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        had = torch.tensor([p.grad is not None for p in wanted], device=self.device)
        used = [p for p, n in zip(wanted, self.sum(had.int()).tolist(), strict=True) if n]
        if not used:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        together = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [parameter.numel() for parameter in used]
        for parameter, part in zip(used, torch.split(together, sizes), strict=True):
            parameter.grad = part.view_as(parameter)

    def copy_from_first(self, network: torch.nn.Module) -> None:
        """Overwrite weights and buffers with those of the first process."""
        if self.count > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.sum(torch.zeros(1, device=self.device))


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` has started; without it there is this one alone.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'; with several processes each takes the GPU of
            its number.

    Raises:
        UserError: The device is not there.
    """
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        yield Processes(choose_device(device))
        return
    chosen = choose_device(device)
    if chosen.type == 'cuda':
        chosen = choose_device(f'cuda:{os.environ["LOCAL_RANK"]}')
        torch.cuda.set_device(chosen)
    backend = 'nccl' if chosen.type == 'cuda' else 'gloo'
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(chosen, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def one_thread(_: int) -> None:
    """Let OpenCV use one thread in a process that reads data: there is one for each core."""
    cv2.setNumThreads(1)
