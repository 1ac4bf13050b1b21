"""The fastest forms give the same numbers: fused, halved, compiled, recorded."""

from __future__ import annotations

import pytest
import torch
from test_deformable_detr import varied
from test_id_decoder import biased
from test_trajectories import Stream
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mot_perception.fdta import fast
from mot_perception.fdta.deformable_detr import DeformableDetr, FrozenBatchNorm
from mot_perception.fdta.fast import FastDetector, Replayed, fused
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.trajectories import Trajectories


@pytest.fixture
def detr(tiny, device):
    torch.manual_seed(0)
    made = varied(DeformableDetr(tiny.detector, tiny.spatial))
    for module in made.modules():
        if isinstance(module, FrozenBatchNorm):
            module.weight.uniform_(0.5, 2)
            module.bias.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made.to(device)


class Recalled:
    """Stands in for a CUDA graph: computes anew with what it reads, into what it wrote."""

    def __init__(self, function, given):
        self._function, self._given = function, [tensor.clone() for tensor in given]
        self._result = function(*self._given)
        self.replays = 0

    def replay(self):
        self.replays += 1
        for own, new in zip(_flat(self._result), _flat(self._function(*self._given)), strict=True):
            own.copy_(new)


def _flat(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [] if result is None else [tensor for part in result for tensor in _flat(part)]


@pytest.fixture
def streaming(tiny, device):
    """A network with the relative time code."""
    torch.manual_seed(0)
    temporal = tiny.temporal.model_copy(update={'time_code': 'relative'})
    return biased(Fdta(tiny.model_copy(update={'temporal': temporal}))).to(device)


@pytest.fixture
def recordings(monkeypatch):
    """What was recorded, by a stand-in that needs no GPU."""
    made = []

    def record(function, given):
        graph = Recalled(function, given)
        made.append(graph)
        return fast.Recording(graph, graph._given, graph._result)

    monkeypatch.setattr(fast, 'record', record)
    return made


def test_fused(detr, device):
    """No normalisation is left in the backbone, and the detector it was made of stays."""
    images = torch.randn(2, 3, 70, 96, device=device)
    before = {key: tensor.clone() for key, tensor in detr.state_dict().items()}
    made = fused(detr)
    assert not any(isinstance(module, FrozenBatchNorm) for module in made.modules())
    assert not any(parameter.requires_grad for parameter in made.parameters())
    with torch.no_grad():
        whole, found = detr(images), made(images)
    for one, other in zip(_flat(found), _flat(whole), strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
    assert before.keys() == detr.state_dict().keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in detr.state_dict().items())


def test_fast_detector(detr, device):
    images = torch.randn(1, 3, 64, 96, device=device)
    with torch.no_grad():
        whole = detr(images)
    found = FastDetector(detr)(images)
    torch.testing.assert_close(found.boxes, whole.boxes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.embeddings, whole.embeddings, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision(detr, device, precision):
    """Of a detector that is halved already, the normalisations are folded as exact numbers."""
    images = torch.randn(1, 3, 64, 96, device=device)
    with torch.no_grad():
        whole = detr(images)
    found = FastDetector(detr.to(precision))(images)
    assert found.embeddings.dtype == precision
    assert found.boxes.dtype == torch.float32
    atol = 0.02 if precision == torch.float16 else 0.1
    torch.testing.assert_close(found.boxes, whole.boxes, atol=atol, rtol=0)


def test_half_is_for_gpus(detr, device):
    found = FastDetector(detr, half=True)(torch.randn(1, 3, 64, 96, device=device))
    assert found.embeddings.dtype == (torch.float32 if device == 'cpu' else torch.float16)


class OnOneDevice(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold: tensors on the host, copies from and to it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, torch.Tensor):
                assert leaf.device.type == 'meta', f'{function} touches the host'
        return result


@torch.no_grad()
def test_nothing_touches_the_host(streaming):
    """On the meta device no operation can look at a value, nor make its shape of it."""
    network, width, count, past = streaming.to('meta'), 32, 3, 4
    adapter, decoder = network.trajectory_embedding, network.id_decoder
    features = torch.empty(count, width, device='meta')
    labels = torch.empty(count, dtype=torch.int64, device='meta')
    temporal = torch.empty(past, len(adapter.trca), 2, width, device='meta')
    seen = torch.empty(count, past, dtype=torch.bool, device='meta')
    times = torch.empty(count, dtype=torch.float64, device='meta')
    kept = torch.empty(1 + past, len(decoder.ffn_layers), 2, 2 * width, device='meta')
    detector, images = fused(network.detr), torch.empty(1, 3, 70, 41, device='meta')
    with OnOneDevice():
        found = detector(images)
        for_rows, for_all = network.remember(features, labels, temporal, seen, times)
        logits = decoder.decode(features, kept, torch.empty(past, device='meta'), seen[0, :count])
    assert found.embeddings.shape == (1, 7, width)
    assert for_rows.shape == (count, *temporal.shape[1:])
    assert for_all.shape == (count, *kept.shape[1:])
    assert logits.shape == (count, 10)


def test_compiles_as_one_graph(tiny):
    settings = tiny.detector.model_copy(update={'decoder_layers': 1})
    detector = fused(varied(DeformableDetr(settings, tiny.spatial)))
    compiled = torch.compile(detector, fullgraph=True, dynamic=False, backend='eager')
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found, whole = compiled(images), detector(images)
    torch.testing.assert_close(found.boxes, whole.boxes, atol=1e-5, rtol=1e-4)


def test_replayed_when_shapes_repeat(recordings):
    """Twice the same shapes in a row are recorded; then each call reads the new values."""
    calls = []

    def add(one, two):
        calls.append(len(one))
        return one + two, one * two

    both = Replayed(add, most=2)

    def check(count):
        one, two = torch.randn(count), torch.randn(count)
        added, multiplied = both(one, two)
        assert torch.equal(added, one + two)
        assert torch.equal(multiplied, one * two)

    for count in (1, 2, 1, 2):
        check(count)
    assert not recordings
    for _ in range(3):
        check(2)
    assert [it.replays for it in recordings] == [3]
    for count in (1, 1, 2, 3, 3, 3):  # 1 was longest not used when 3 came
        check(count)
    assert [it.replays for it in recordings] == [4, 1, 2]
    check(2)
    check(1)
    check(1)
    assert [it.replays for it in recordings] == [5, 1, 2, 1]


def test_other_precision_is_another_shape(recordings):
    double = Replayed(lambda tensor: 2 * tensor, most=4)
    for dtype in (torch.float32, torch.float32, torch.float64, torch.float64):
        assert double(torch.ones(2, dtype=dtype)).dtype == dtype
    assert len(recordings) == 2


def test_what_cannot_be_recorded_is_called(monkeypatch, caplog):
    def record(function, given):
        raise RuntimeError('operation not permitted when stream is capturing')

    monkeypatch.setattr(fast, 'record', record)
    double = Replayed(lambda tensor: 2 * tensor, most=4)
    for value in (1.0, 2.0, 3.0):
        assert double(torch.tensor([value])).tolist() == [2 * value]
    (said,) = caplog.messages
    assert 'without CUDA graphs: operation not permitted' in said


def test_recorded_detector(detr, recordings):
    """Sizes change, come back, and give what they gave."""
    detector = FastDetector(detr)
    detector._detect = Replayed(detector._detect, most=2)
    with torch.no_grad():
        for size in ((64, 96), (64, 96), (64, 96), (70, 41), (64, 96)):
            images = torch.randn(1, 3, *size, device=next(detr.parameters()).device)
            found, whole = detector(images), detr(images)
            torch.testing.assert_close(found.boxes, whole.boxes, atol=1e-5, rtol=1e-4)
    assert [it.replays for it in recordings] == [3]


@torch.inference_mode()
def test_recorded_memory(streaming, device, recordings):
    """Filled up to few shapes and replayed, identities are predicted as ever."""
    plain, memory = (Trajectories(streaming, oldest=1e9) for _ in range(2))
    memory._together = 4, 8
    memory._decode = Replayed(streaming.id_decoder.decode, 4)
    memory._remember = Replayed(streaming.remember, 4)
    stream = Stream(device)
    for _ in range(30):
        features, labels, time = stream.frame()
        told = [it.probabilities(features, time) for it in (plain, memory)]
        torch.testing.assert_close(*told, atol=2e-6, rtol=0)
        for it in (plain, memory):
            it.forget(labels[:1])
            it.append(features, labels, time)
    assert sum(it.replays for it in recordings) > 20


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_graph(detr):
    """The only test that records a CUDA graph; the others show all but that."""
    detr = detr.cuda()
    detector = FastDetector(detr)
    with torch.no_grad():
        for _ in range(4):
            images = torch.randn(1, 3, 64, 96, device='cuda')
            found, whole = detector(images), detr(images)
            torch.testing.assert_close(found.boxes, whole.boxes, atol=1e-4, rtol=1e-3)
    assert len(detector._detect._recordings) == 1
