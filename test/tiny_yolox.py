"""YOLOX with random weights that differ from cell to cell in what they say, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip('torch')
yolox = pytest.importorskip('mot_perception.perception.yolox')


def network(size: str = 'nano', classes: int = 2, seed: int = 0):
    """Return a network whose batch normalisations have seen something, ready for use."""
    torch.manual_seed(seed)
    made = yolox.Yolox(size, classes)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return made.eval()


def decided(classes: int = 2, mean: float = 127.5, spread: float = 127.5):
    """Return a nano network that is sure of objects in some cells and of none in others.

    Colours lie evenly about their mean, as far away as the spread at most.
    """
    made = network('nano', classes)
    norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_parameters()
        norm.momentum = 1  # all that it remembers is the next batch
    with torch.no_grad():
        made.train()(mean + spread * (2 * torch.rand(8, 3, 64, 96) - 1))
        for prediction in (*made.head.obj_preds, *made.head.cls_preds):
            prediction.weight.normal_(0, 0.6)
        for prediction in made.head.reg_preds:
            prediction.weight.normal_(0, 0.02)
            prediction.bias.copy_(torch.tensor([0.5, 0.5, 1, 1]))  # so large that they overlap
    return made.eval()


def save(made, file: Path) -> Path:
    """Write the weights as YOLOX' own programs do."""
    torch.save({'model': made.state_dict(), 'start_epoch': 300}, file)
    return file
