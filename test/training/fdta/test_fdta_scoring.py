"""Scores of a network that tracks footage: known ones for stand-ins that know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tiny_fdta import picture, seeing

from mot_perception.errors import UserError
from mot_perception.trackers.fdta_settings import FdtaConfig
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.scoring import METRICS, score


@dataclass
class Squares:
    """Two squares that pass through each other's places."""

    name: str = 'squares'
    period: float = 0.05
    length: int = 12
    ids: tuple[int, int] = (7, 3)

    def __len__(self):
        return self.length

    def legal(self):
        return np.ones(len(self), bool)

    def view(self, number):
        boxes = {0: (8 * number, 20, 8 * number + 40, 80)}
        boxes[1] = (100 - 8 * number, 90, 140 - 8 * number, 150)
        xyxy = np.array(list(boxes.values()), float)
        return View(picture(boxes), xyxy, np.array(self.ids), np.zeros(2, int), None)


CONFIG = FdtaConfig(min_hits=1)


def test_all_right():
    scores = score(seeing(window=30), [Squares(), Squares('more', ids=(1, 2))], CONFIG)
    assert set(scores) == set(METRICS)
    assert scores['AssA'] == scores['DetA'] == pytest.approx(scores['HOTA'])
    assert scores['HOTA'] > 90  # boxes are right to a pixel
    assert scores['IDF1'] == scores['MOTA'] == 100
    assert scores['IDSW'] == 0


def test_mixed_up():
    """Whoever is told apart by nothing changes identity."""

    class Mixed(Squares):
        def view(self, number):
            view = super().view(number)
            turn = slice(None, None, -1) if number >= self.length // 2 else slice(None)
            return View(view.image, view.xyxy, view.ids[turn], view.labels, None)

    scores = score(seeing(window=30), [Mixed()], CONFIG)
    assert scores['IDSW'] == 2
    assert scores['IDF1'] == 50
    assert scores['DetA'] > 90


def test_period_makes_time():
    """A slower camera than the memory lasts loses everybody in every frame."""
    scores = score(seeing(), [Squares(period=5.0)], CONFIG)
    assert scores['IDSW'] == 2 * 11


def test_blind():
    network = seeing()
    network.detr.register_forward_hook(lambda *told: told[-1]._replace(boxes=told[-1].boxes * 0))
    scores = score(network, [Squares()], CONFIG)
    assert scores['HOTA'] == scores['MOTA'] == 0


@pytest.mark.parametrize('training', [True, False])
def test_goes_on_learning(training):
    network = seeing().train(training)
    score(network, [Squares(length=2)], CONFIG)
    assert network.training == training
    (torch.ones(1, 10) @ network.id_decoder.word_to_embed.weight.t()[:10]).sum().backward()


def test_nothing_to_score():
    with pytest.raises(UserError, match='no sequence'):
        score(seeing(), [], CONFIG)
    with pytest.raises(UserError, match='no frames'):
        score(seeing(), [Squares(length=0)], CONFIG)
