"""Detection over clips: some frames teach, the order stays, matches are who they should be."""

from __future__ import annotations

import pytest
import torch

from mot_perception.fdta.deformable_detr import DeformableDetr
from mot_perception.fdta.losses.detection_loss import Objects, match
from mot_perception.fdta.settings import FdtaSettings
from mot_perception.training.fdta.seeing import see

FRAMES = 5


@pytest.fixture
def detector(device):
    torch.manual_seed(0)
    settings = FdtaSettings.model_validate(
        {
            'detector': {
                'queries': 6, 'width': 16, 'heads': 2, 'points': 2, 'levels': 3, 'hidden': 16,
                'encoder_layers': 1, 'decoder_layers': 3, 'blocks': (1, 1, 1, 1), 'stem': 4,
            },
            'spatial': {'bins': 8},
            'temporal': {'heads': 2},
            'identity': {'heads': 2},
        }
    )  # fmt: skip
    return DeformableDetr(settings.detector, settings.spatial).eval().to(device)


@pytest.fixture
def images(device):
    # frame-coded: no two frames alike
    return torch.randn(FRAMES, 3, 64, 64, generator=torch.Generator().manual_seed(1)).to(device)


@pytest.fixture
def truth(device):
    return [
        Objects(
            torch.rand(i % 3, 4, generator=torch.Generator().manual_seed(i)).to(device) * 0.4
            + 0.1,
            torch.zeros(i % 3, dtype=torch.int64, device=device),
            torch.arange(i % 3, device=device),
        )
        for i in range(FRAMES)
    ]


def look(detector, images, truth, learned, **options):
    options = {'matched_layer': 'last', **options}
    rows = torch.tensor(learned, dtype=torch.int64, device=images.device)
    return see(detector, images, None, truth, rows, **options)


@pytest.mark.parametrize('learned', [[], [2], [0, 3], [0, 1, 2, 3, 4]])
def test_frames_keep_their_order(detector, images, truth, learned):
    seen = look(detector, images, truth, learned)
    found = detector(images)
    torch.testing.assert_close(seen.embeddings, found.embeddings, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen.boxes, found.boxes[-1], atol=1e-5, rtol=1e-4)


def test_only_some_frames_teach(detector, images, truth):
    images.requires_grad_()
    look(detector, images, truth, [1, 3]).embeddings.sum().backward()
    reached = images.grad.abs().flatten(1).amax(1) > 0
    assert reached.tolist() == [False, True, False, True, False]


@pytest.mark.parametrize(('name', 'layer'), [('last', -1), ('second to last', -2)])
def test_matches_are_those_of_the_layer(detector, images, truth, name, layer):
    seen = look(detector, images, truth, [0, 4], matched_layer=name)
    found = detector(images)
    for i, objects in enumerate(truth):
        wanted = match(found.logits[layer][i], found.boxes[layer][i], objects)
        assert seen.matches[i].queries.tolist() == wanted.queries.tolist()
        assert seen.matches[i].objects.tolist() == wanted.objects.tolist()


def test_a_frozen_detector_has_no_loss(detector, images, truth):
    seen = look(detector, images, truth, [])
    assert seen.loss is None
    assert not seen.embeddings.requires_grad


@pytest.mark.parametrize('at_a_time', [1, 2, 5])
def test_recomputed_activations_give_the_same_gradients(detector, images, truth, at_a_time):
    gradients = []
    for checkpointed in (0, at_a_time):
        detector.zero_grad()
        seen = look(detector, images, truth, [0, 2, 4], checkpointed=checkpointed)
        (seen.loss.total + seen.found.depth.logits.sum() + seen.embeddings.sum()).backward()
        gradients.append([it.grad.clone() for it in detector.parameters() if it.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_padding_stays_with_its_frame(detector, images, truth):
    padded = torch.zeros(FRAMES, 64, 64, dtype=torch.bool, device=images.device)
    padded[3, 40:] = True
    rows = torch.tensor([1, 3], device=images.device)
    seen = see(detector, images, padded, truth, rows, matched_layer='last')
    found = detector(images, padded)
    torch.testing.assert_close(seen.boxes, found.boxes[-1], atol=1e-5, rtol=1e-4)
