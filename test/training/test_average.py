"""A moving average of weights: what is shared moves once, early steps count for more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mot_perception.training.average import remember


class Shared(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.one = nn.Linear(1, 1, bias=False)
        self.other = self.one
        self.register_buffer('steps', torch.tensor(int(value)))
        nn.init.constant_(self.one.weight, value)


@pytest.mark.parametrize(('step', 'kept'), [(10_000, 0.9), (8, 0.5), (0, 0.1)])
def test_it_moves_towards_the_network(step, kept):
    average, network = Shared(10.0), Shared(20.0)
    remember(average, network, 0.9, step)
    assert average.one.weight.item() == pytest.approx(10 * kept + 20 * (1 - kept))
    assert average.steps == 20
    assert network.one.weight.item() == 20


def test_without_memory_it_is_the_network():
    average, network = Shared(10.0), Shared(20.0)
    remember(average, network, 0.0, 5)
    assert average.one.weight.item() == 20
