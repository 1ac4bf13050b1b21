"""Batch normalisation over the batch of all processes; torch's own does that on GPUs only."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes; each one's loss depends on it, so gradients are summed, too."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(context, gradient)


def _sum(values: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class CommonBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose means and variances are those of the whole batch.

    While it trains, every process must run it equally often, if need be on an empty batch.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the normalised N×C×H×W maps; N may be 0."""
        if not self.training:
            return super().forward(maps)
        with torch.autocast(maps.device.type, enabled=False):
            return self._normalised(maps.float()).to(maps.dtype)

    def _normalised(self, maps: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = maps.shape
        cells = torch.tensor(float(n * height * width), device=maps.device)
        distributed.all_reduce(cells)
        cells = cells.clamp(min=1)
        mean = _sum(maps.sum((0, 2, 3))) / cells
        shape = 1, channels, 1, 1
        centred = maps - mean.view(shape)
        # Two sums, one after the other: a mean of squares would lose digits to the mean.
        variance = _sum(centred.square().sum((0, 2, 3))) / cells
        self._remember(mean, variance * cells / (cells - 1).clamp(min=1))
        scale = self.weight * (variance + self.eps).rsqrt()
        out: torch.Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return out

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics, as `nn.BatchNorm2d` does."""
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def normalise_together(network: nn.Module) -> None:
    """Let all `nn.BatchNorm2d` of a network see the batch of all processes; keys stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = CommonBatchNorm
