"""The ID decoder's first guess: whoever looks alike is the same, and nobody alike is new."""

from __future__ import annotations

import pytest
import torch

from mot_perception.fdta.id_decoder import Current, History
from mot_perception.fdta.likeness import start_by_likeness
from mot_perception.fdta.network import Fdta

TRACKS, ROWS = 5, 3


@pytest.fixture(params=['row', 'relative'])
def started(tiny, request):
    """A network, and the looks of some objects: all have much in common."""
    torch.manual_seed(0)
    temporal = tiny.temporal.model_copy(update={'time_code': request.param})
    network = Fdta(tiny.model_copy(update={'temporal': temporal})).eval()
    common = torch.randn(tiny.detector.width) * 3
    looks = torch.nn.functional.layer_norm(
        common + torch.randn(40, tiny.detector.width), [tiny.detector.width]
    )
    start_by_likeness(network, looks)
    return network, looks


def ask(network, known, now, labels):
    history = History(
        known[None, None, None].expand(-1, -1, ROWS, -1, -1),
        labels.expand(1, 1, ROWS, -1),
        torch.zeros(1, 1, ROWS, len(labels), dtype=torch.bool),
        torch.arange(ROWS, dtype=torch.float64)[None],
    )
    there = torch.zeros(1, 1, 1, len(now), dtype=torch.bool)
    current = Current(now[None, None, None], there, torch.full((1, 1), float(ROWS)).double())
    with torch.no_grad():
        return network.identify(history, current)[0, 0, 0].softmax(-1)


def test_the_same_looks_get_the_label_of_their_track(started):
    network, looks = started
    labels = torch.tensor([7, 2, 4, 0, 5])
    answers = ask(network, looks[:TRACKS], looks[[3, 0, 4]], labels)
    assert answers.argmax(-1).tolist() == [0, 7, 5]
    assert (answers.amax(-1) > 0.5).all()


def test_nobody_alike_is_newborn(started):
    network, looks = started
    common = looks.mean(0)
    opposite = 2 * common - looks[:1]  # as unlike the only track as can be
    answers = ask(network, looks[:1], opposite, torch.tensor([3]))
    assert answers.argmax(-1).tolist() == [network.id_decoder.newborn]


def test_it_learns_all_the_same(started):
    """What waits is reached by gradients: no branch is cut off for good."""
    network, looks = started
    labels = torch.tensor([7, 2, 4, 0, 5])
    history = History(
        looks[None, None, None, :TRACKS].expand(-1, -1, ROWS, -1, -1),
        labels.expand(1, 1, ROWS, -1),
        torch.zeros(1, 1, ROWS, TRACKS, dtype=torch.bool),
        torch.arange(ROWS, dtype=torch.float64)[None],
    )
    there = torch.zeros(1, 1, 1, 2, dtype=torch.bool)
    now = Current(looks[None, None, None, 8:10], there, torch.full((1, 1), 3.0).double())
    network.identify(history, now)[..., 1].sum().backward()
    for part in (network.trajectory_embedding, network.trajectory_modeling, network.id_decoder):
        reached = {
            name for name, it in part.named_parameters() if it.grad is not None and it.grad.any()
        }
        last = {
            name
            for name, _ in part.named_parameters()
            if name.endswith(('out_proj.weight', 'linear2.weight'))
        }
        assert last <= reached
