"""What is remembered between frames: exact over any number of them, bounded, never changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_id_decoder import biased

from mot_perception.fdta.id_decoder import Current, History
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.trajectories import Trajectories

WIDTH, WINDOW, SLOTS = 32, 6, 9


@pytest.fixture(params=['row', 'relative'])
def network(request, tiny, device):
    torch.manual_seed(0)
    temporal = tiny.temporal.model_copy(update={'time_code': request.param})
    return biased(Fdta(tiny.model_copy(update={'temporal': temporal}))).to(device)


class Stream:
    """Frames with 0 to 5 objects in slots of their own, at uneven times."""

    def __init__(self, device: str, seed: int = 0) -> None:
        self._device, self._random = device, np.random.default_rng(seed)
        self.time = 0.0

    def frame(self) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Features, labels and time of the next one."""
        self.time += float(self._random.uniform(0.5, 2))
        count = int(self._random.integers(0, 6))
        labels = torch.from_numpy(self._random.permutation(SLOTS)[:count])
        features = self._random.standard_normal((count, WIDTH)).astype(np.float32)
        return torch.from_numpy(features).to(self._device), labels.to(self._device), self.time


def expected(network, rows, features, time):
    """Probabilities from all rows since the beginning, of which the newest are in the window.

    Rows are (features, labels, time); the relative code sees beyond the ID decoder's window, as
    what a row has become stays.
    """
    device = features.device
    known = torch.zeros(len(rows), SLOTS, WIDTH, device=device)
    missing = torch.ones(len(rows), SLOTS, dtype=torch.bool, device=device)
    for number, (seen, labels, _) in enumerate(rows):
        known[number, labels], missing[number, labels] = seen, False
    times = torch.tensor([when for *_, when in rows], dtype=torch.float64, device=device)
    adapter, newest = network.trajectory_embedding, slice(1 - WINDOW, None)
    if not adapter.relative:
        known, missing = known[newest], missing[newest]
        times = torch.arange(len(known), device=device)
        time = len(known)
    enriched = adapter(known[None, None], missing[None, None], times[None])[0, 0]
    modelled = network.trajectory_modeling(enriched)[newest]
    labels = torch.arange(SLOTS, device=device).expand(len(modelled), -1)
    history = History(
        modelled[None, None], labels[None, None], missing[newest][None, None], times[newest][None]
    )
    nobody = torch.zeros(1, 1, 1, len(features), dtype=torch.bool, device=device)
    now = torch.tensor([[time]], dtype=torch.float64, device=device)
    logits = network.id_decoder(history, Current(features[None, None, None], nobody, now))
    return logits[0, 0, 0].softmax(-1).cpu()


@torch.inference_mode()
def test_three_windows_of_rows_are_the_parallel_form(network, device):
    memory, stream, rows = Trajectories(network, oldest=1e9), Stream(device), []
    compared = 0
    for _ in range(3 * WINDOW):
        features, labels, time = stream.frame()
        told = memory.probabilities(features, time)
        if len(features) and memory.remembered().any():
            wanted = expected(network, rows, features, time)
            torch.testing.assert_close(told, wanted, atol=2e-5, rtol=0)
            compared += len(features)
        memory.append(features, labels, time)
        rows.append((features, labels, time))
    assert compared > 20


@torch.inference_mode()
def test_forgotten_labels_were_never_there(network, device):
    """Slots are emptied, given to others, and give what a memory without them gives."""
    stream = Stream(device)
    memory, without = (Trajectories(network, oldest=1e9) for _ in range(2))
    frames = [stream.frame() for _ in range(4)]
    gone = torch.tensor([2, 5], device=device)
    for features, labels, time in frames:
        memory.append(features, labels, time)
        others = ~torch.isin(labels, gone)
        without.append(features[others], labels[others], time)
    assert memory.remembered()[gone.cpu()].any()
    memory.forget(gone)
    assert not memory.remembered()[gone.cpu()].any()
    for features, labels, time in (stream.frame() for _ in range(WINDOW)):
        found, wanted = (it.probabilities(features, time) for it in (memory, without))
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)
        for it in (memory, without):
            it.append(features, labels, time)


@torch.inference_mode()
def test_snapshots_stay_as_they_are(network, device):
    """Two futures of the same past do not know of each other."""
    memory = Trajectories(network, oldest=1e9)
    before, *futures = (Stream(device, seed) for seed in range(3))
    for _ in range(WINDOW + 2):
        memory.append(*before.frame())
    past, asked = memory.rows, torch.randn(4, WIDTH, device=device)
    told = []
    for future in (*futures, *(Stream(device, seed) for seed in (1, 2))):
        memory.rows = past
        for _ in range(4):
            features, labels, time = future.frame()
            memory.forget(labels[:1])
            memory.append(features, labels, before.time + time)
        told.append(memory.probabilities(asked, before.time + 100))
        memory.forget_older(before.time + 1e10)
        assert not memory.remembered().any()
    assert torch.equal(told[0], told[2])
    assert torch.equal(told[1], told[3])
    assert not torch.allclose(told[0], told[1], atol=1e-3)


@torch.inference_mode()
def test_nothing_grows(network, device):
    """Tensors keep no more memory alive than two windows of sightings need."""
    memory, stream = Trajectories(network, oldest=1e9), Stream(device)
    for _ in range(20 * WINDOW):
        memory.append(*stream.frame())
        rows = memory.rows
        assert len(rows.times) <= WINDOW - 1
        assert len(rows.row) == len(rows.slot) <= 5 * (WINDOW - 1)
        assert (np.diff(rows.row) >= 0).all()
        for tensor in (rows.features, rows.temporal, rows.identity):
            if tensor is not None:
                row = tensor[:1].numel() * tensor.element_size()
                assert tensor.untyped_storage().nbytes() <= (1 + 2 * 5 * WINDOW) * max(row, 1)


@torch.inference_mode()
def test_what_is_too_old_is_forgotten(network, device):
    memory = Trajectories(network, oldest=2.0)
    one = torch.randn(1, WIDTH, device=device)
    for time, label in ((0.0, 3), (1.0, 4), (2.0, 4)):
        memory.append(one, torch.tensor([label], device=device), time)
    memory.forget_older(2.0)
    assert memory.remembered().nonzero()[:, 0].tolist() == [3, 4]
    memory.forget_older(2.5)
    assert memory.remembered().nonzero()[:, 0].tolist() == [4]
    assert memory.rows.times.tolist() == [1.0, 2.0]
    assert memory.rows.row.tolist() == [0, 1]
    memory.forget_older(50.0)
    assert memory.probabilities(one, 50.0).tolist() == [[*[0.0] * SLOTS, 1.0]]


@pytest.mark.parametrize('precision', [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precision(network, device, precision):
    frames = [Stream(device, seed).frame() for seed in range(6)]
    told = []
    for dtype in (torch.float32, precision):
        memory = Trajectories(network.to(dtype), oldest=1e9)
        for index, (features, labels, _) in enumerate(frames):
            memory.append(features, labels, float(index))
        told.append(memory.probabilities(frames[1][0], 6.0))
    torch.testing.assert_close(*told, atol=0.1, rtol=0)
