"""Detection networks of transformers: boxes, classes and scores of each query."""

from __future__ import annotations

import math
import sys
from functools import cache, partial

import numpy as np
import pytest
import tiny_networks
from tiny_networks import HEIGHT, NAMES, WIDTH

KINDS = 'rt_detr_v2', 'd_fine', 'detr'
torch = pytest.importorskip('torch')
pytest.importorskip('transformers')


@pytest.fixture(scope='module', params=KINDS)
def folder(request, tmp_path_factory):
    return tiny_networks.detector(
        tmp_path_factory.mktemp('networks') / request.param, request.param
    )


@pytest.fixture(scope='module')
def make(folder, device):
    from mot_perception.perception.transformers_detector import TransformersDetector

    return cache(partial(TransformersDetector, str(folder), device=device, half=False))


@pytest.fixture
def image():
    """One that no network scales."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def by_hand(folder, image):
    """Read the network's output query by query; return rows of box, score and class."""
    from transformers import AutoModelForObjectDetection

    network = AutoModelForObjectDetection.from_pretrained(folder).eval()
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    softmax = folder.name == 'detr'
    if softmax:
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        pixels = (pixels - mean) / std
    with torch.no_grad():
        output = network(pixels)
    rows = []
    for logits, (x, y, w, h) in zip(
        output.logits[0].tolist(), output.pred_boxes[0].tolist(), strict=True
    ):
        if softmax:
            total = sum(math.exp(value) for value in logits)
            scores = [math.exp(value) / total for value in logits[:-1]]
        else:
            scores = [1 / (1 + math.exp(-value)) for value in logits]
        score = max(scores)
        box = [
            (x - w / 2) * WIDTH,
            (y - h / 2) * HEIGHT,
            (x + w / 2) * WIDTH,
            (y + h / 2) * HEIGHT,
        ]
        rows.append((*box, score, scores.index(score)))
    return np.array(sorted(rows, key=lambda row: -row[4]))


def test_each_query_by_hand(folder, make, image):
    expected = by_hand(folder, image)
    (found,) = make(score=0).detect([image])
    assert len(found) == len(expected) == (12 if folder.name == 'detr' else 20)
    np.testing.assert_allclose(found.score, expected[:, 4], atol=1e-4)
    np.testing.assert_allclose(found.xyxy, expected[:, :4], atol=0.02)
    np.testing.assert_array_equal(found.label, expected[:, 5])


def test_no_object_is_no_class(folder, make, image):
    """Only DETR's kind shares the probability with it: its logits have one column more."""
    network = make()._network
    width = network([image]).logits.shape[-1]
    assert width == len(NAMES) + (folder.name == 'detr')


def test_boxes_are_in_pixels_of_the_image(make):
    """One colour looks the same at any size."""
    small, large = (np.full((HEIGHT * k, WIDTH * k, 3), 90, np.uint8) for k in (1, 3))
    one, other = make(score=0).detect([small, large])
    np.testing.assert_allclose(other.score, one.score, atol=1e-5)
    np.testing.assert_allclose(other.xyxy, 3 * one.xyxy, atol=0.01)


def test_many_images_of_several_sizes(make, image):
    other = image[: HEIGHT // 2, : WIDTH // 2]
    detector = make(score=0)
    batch = detector.detect([image, other, image[::-1], image])
    assert detector.detect([]) == []
    for found, alone in zip(batch, (image, other, image[::-1], image), strict=True):
        (expected,) = detector.detect([alone])
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        np.testing.assert_allclose(np.sort(found.xyxy, 0), np.sort(expected.xyxy, 0), atol=0.01)


def test_lowest_score(make, image):
    (everything,) = make(score=0).detect([image])
    middle = float(np.median(everything.score))
    (some,) = make(score=middle).detect([image])
    assert 0 < len(some) < len(everything)
    assert (some.score >= middle).all()
    (none,) = make(score=1).detect([image])
    assert len(none) == 0


def test_names(make, folder):
    detector = make()
    assert detector.class_names == tuple(NAMES.values())
    assert detector.name.startswith(f'{folder.name} (sha256 ')


def test_name_has_the_hash_of_the_weights(make, folder):
    import hashlib

    digest = hashlib.sha256((folder / 'model.safetensors').read_bytes()).hexdigest()
    assert make().name.endswith(f'(sha256 {digest[:8]})')


def test_wanted_classes(make, image):
    (everything,) = make(score=0).detect([image])
    name = NAMES[int(everything.label[-1])]
    (some,) = make(score=0, classes=(name,)).detect([image])
    expected = everything.select(everything.label == everything.label[-1])
    assert 0 < len(some) == len(expected)
    np.testing.assert_allclose(some.score, expected.score, atol=1e-6)


def test_unknown_class(make):
    from mot_perception.errors import UserError

    with pytest.raises(UserError, match=r"'bicycles' is no class of .*nearest name is 'bicycle'"):
        make(classes=('bicycles',))


def test_broken_numbers_are_no_objects(make, image):
    detector = make.__wrapped__(score=0)  # one of its own
    with torch.no_grad():
        for parameter in detector._network._module.parameters():
            parameter.fill_(math.nan)
    (found,) = detector.detect([image])
    assert len(found) == 0


def test_half_precision(make, image, device):
    if not device.startswith('cuda'):
        pytest.skip('half precision is for GPUs: --device cuda')
    (exact,), (found,) = make(score=0).detect([image]), make(score=0, half=True).detect([image])
    np.testing.assert_allclose(found.score, exact.score, atol=0.02)


def test_memory(make, image, device):
    detector = make.__wrapped__()
    detector.detect([image])
    assert (detector.gpu_bytes() > 0) == device.startswith('cuda')
    detector.close()


def test_torchvision_is_not_needed(folder, image, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    from mot_perception.perception.transformers_detector import TransformersDetector

    TransformersDetector(str(folder), device='cpu').detect([image])
