"""Calibrated scores are shares of boxes that are right."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch')

import torch

from mot_perception.perception.yolox import Yolox
from mot_perception.training import detector_calibration as calibration
from mot_perception.training.detector_calibration import Evidence, Lines, calibrate, fit, gather
from mot_perception.training.detector_images import Labelled

HEIGHT, WIDTH = 64, 96


def evidence(count=20_000):
    """Return boxes that are right as often as known lines through their logits say."""
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, count, generator=random, dtype=torch.float64)
    share = (2 * logits[0] + 1).sigmoid() * (0.5 * logits[1] - 1).sigmoid()
    return Evidence(*logits, torch.rand(count, generator=random) < share), share


def image(*xyxy):
    boxes = np.array(xyxy, float).reshape(-1, 4)
    return Labelled(np.full((128, 192, 3), 90, np.uint8), boxes, np.zeros((0, 4)))


def test_lines_are_found_again():
    given, share = evidence()
    (a, b), (c, d) = fit(given)
    assert (a, b) == pytest.approx((2, 1), rel=0.15)
    assert (c, d) == pytest.approx((0.5, -1), rel=0.15)
    score = (a * given.objectness + b).sigmoid() * (c * given.label + d).sigmoid()
    for low in np.arange(0, 1, 0.2):
        some = (score >= low) & (score < low + 0.2)
        assert score[some].mean().item() == pytest.approx(share[some].mean().item(), abs=0.02)


def test_the_network_says_what_the_lines_say(monkeypatch):
    torch.manual_seed(0)
    network = Yolox('nano', 1).eval()
    pixels = 255 * torch.rand(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        before = network(pixels)
        given, _ = evidence(2000)
        monkeypatch.setattr(calibration, 'gather', lambda *_: given)
        (a, b), (c, d) = calibrate(network, [], HEIGHT, WIDTH)
        after = network(pixels)
    assert torch.equal(after[..., :4], before[..., :4])
    assert torch.allclose(after[..., 4], a * before[..., 4] + b, atol=1e-4)
    assert torch.allclose(after[..., 5], c * before[..., 5] + d, atol=1e-4)


def test_too_little_evidence_changes_nothing():
    network = Yolox('nano', 1)
    before = {key: it.clone() for key, it in network.state_dict().items()}
    assert calibrate(network, [image([10, 10, 40, 90])], HEIGHT, WIDTH) == Lines()
    assert all(torch.equal(it, before[key]) for key, it in network.state_dict().items())


def test_boxes_are_judged_where_the_people_are():
    class Sure(torch.nn.Module):
        """Says the same of two cells, whatever it sees: one box where the person is, one not."""

        def __init__(self):
            super().__init__()
            self.nothing = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pixels):
            cells = torch.full((len(pixels), 8 * 12 + 4 * 6 + 2 * 3, 6), -20.0)
            cells[:, [26, 80], :4] = torch.tensor([1.0, 1, 1, 1])
            cells[:, 26, 4:] = torch.tensor([2.0, 1])
            cells[:, 80, 4:] = torch.tensor([0.5, 1])
            return cells

    middle, half = 8 * (np.array([2, 2]) + 1), 8 * np.e / 2
    person = 2 * np.concatenate([middle - half, middle + half])  # the view is half as large
    given = gather(Sure(), [image(person)], HEIGHT, WIDTH)
    assert given.objectness.tolist() == pytest.approx([2, 0.5])
    assert given.label.tolist() == pytest.approx([1, 1])
    assert given.right.tolist() == [True, False]
