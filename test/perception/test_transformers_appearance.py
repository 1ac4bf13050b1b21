"""Image networks of transformers as appearance: unit vectors of boxes, pooled as they come."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_networks

from mot_perception.config import Config
from mot_perception.errors import UserError
from mot_perception.models import load_models

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')
appearance = pytest.importorskip('mot_perception.perception.transformers_appearance')
pixels = pytest.importorskip('mot_perception.perception.pixels')

KINDS = 'vit', 'dinov2', 'resnet'
IMAGE = np.random.default_rng(5).integers(0, 256, (96, 128, 3), dtype=np.uint8)
BOXES = np.array(
    [
        [10.0, 5, 40, 90],
        [60, 20, 90, 60],
        [100, 10, 101, 11],
        [-500, -500, -400, -300],
        [90, 90, 20, 20],
        [np.nan] * 4,
    ]
)


@pytest.fixture(scope='module', params=KINDS)
def folder(request, tmp_path_factory):
    return tiny_networks.backbone(tmp_path_factory.mktemp('backbones') / 'eye', request.param)


@pytest.fixture(scope='module')
def encoder(folder, device):
    return appearance.TransformersAppearance(str(folder), device=device, half=False)


def test_any_box_has_a_unit_vector(encoder):
    vectors = encoder.embed(IMAGE, BOXES)
    assert vectors.shape == (len(BOXES), 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_equals_transformers_on_the_crop(folder, encoder):
    """By their own class, fed with the crop as its preprocessor wants it."""
    settings = json.loads((folder / 'preprocessor_config.json').read_text())
    crop = IMAGE[5:90, 10:40]
    steps = pixels.read_preprocessing(settings, 'file')
    module = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        output = module(steps.normalised(steps(crop)[None])).pooler_output.flatten()
    (vector,) = encoder.embed(IMAGE, BOXES[:1])
    np.testing.assert_allclose(vector, output / output.norm(), atol=1e-4)


def test_batches_do_not_change_vectors(encoder, monkeypatch):
    together = encoder.embed(IMAGE, BOXES)
    monkeypatch.setattr(appearance, 'BATCH', 2)
    np.testing.assert_allclose(encoder.embed(IMAGE, BOXES), together, atol=1e-5)


def test_different_things_look_different(encoder):
    first, second = encoder.embed(IMAGE, BOXES[:2])
    assert np.abs(first - second).max() > 1e-3


def test_no_boxes(encoder):
    assert encoder.embed(IMAGE, np.empty((0, 4))).shape == (0, 16)


def test_tokens_are_averaged_where_no_pooler_was_published(tmp_path, device):
    from safetensors.torch import load_file, save_file

    folder = tiny_networks.backbone(tmp_path / 'eye', 'vit')
    file = folder / 'model.safetensors'
    weights = {key: it for key, it in load_file(file).items() if not key.startswith('pooler')}
    save_file(weights, file, {'format': 'pt'})
    encoder = appearance.TransformersAppearance(str(folder), device=device, half=False)
    module = transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    steps = pixels.read_preprocessing({'size': {'height': 32, 'width': 32}}, 'file')
    with torch.inference_mode():
        tokens = module(steps.normalised(steps(IMAGE[5:90, 10:40])[None])).last_hidden_state[0]
    mean = sum(tokens) / len(tokens)
    (vector,) = encoder.embed(IMAGE, BOXES[:1])
    np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-4)


@pytest.mark.parametrize('shape', [(2, 5, 3), (2, 3, 4, 5)])
def test_mean_of_features(shape):
    features = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    output = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=features)
    mean = appearance._pooled(output)
    assert mean.shape == (2, 3)
    picked = features[1, :, 2] if len(shape) == 3 else features[1, 2].ravel()
    assert mean[1, 2].item() == pytest.approx(sum(picked.tolist()) / len(picked))


def test_no_features(tmp_path, monkeypatch):
    folder = tiny_networks.backbone(tmp_path / 'eye', 'vit')
    monkeypatch.setattr(appearance, '_pooled', lambda _output: None)
    with pytest.raises(UserError, match='gives no features of an image'):
        appearance.TransformersAppearance(str(folder), device='cpu')


def test_a_detector_is_no_backbone(tmp_path):
    folder = tiny_networks.detector(tmp_path / 'finder', 'rt_detr_v2')
    with pytest.raises(UserError, match='is no network for image features'):
        appearance.TransformersAppearance(str(folder), device='cpu')


@pytest.mark.parametrize(
    'settings',
    [
        {
            'size': {'shortest_edge': 36},
            'do_center_crop': True,
            'crop_size': {'height': 32, 'width': 24},
        },
        {'size': 32},
        {'size': {'shortest_edge': 32}, 'crop_pct': 0.9},
        {'size': {'height': 32, 'width': 24}, 'crop_size': None},
        {'size': 256, 'crop_size': 32, 'do_resize': False, 'keep_aspect_ratio': True},
    ],
)
def test_objects_fill_the_input(settings):
    """Whatever a network's own preprocessor cuts off or leaves as it is."""
    steps = pixels.read_preprocessing(pixels.of_whole_objects(settings), 'file')
    width = 24 if '24' in str(settings) else 32
    assert steps.target(96, 40) == steps.target(10, 300) == (32, width)
    assert steps(IMAGE).shape == (3, 32, width)


@pytest.mark.parametrize('size', [None, 'large', [], {}, 0, -3, {'height': 32}, 10**9])
def test_no_size(size, tmp_path):
    folder = tiny_networks.backbone(tmp_path / 'eye', 'vit', size=size)
    with pytest.raises(UserError, match=r'preprocessor_config.json: .*copy the file again'):
        appearance.TransformersAppearance(str(folder), device='cpu')


class TestConfigured:
    def test_loaded(self, folder, device):
        config = Config.model_validate(
            {
                'detector': {'backend': 'topic'},
                'appearance': {'backend': 'transformers', 'model': str(folder)},
                'models': {'device': device},
            }
        )
        models = load_models(config)
        assert models.names['appearance'].startswith('eye (sha256 ')
        assert bool(models.memory()) == device.startswith('cuda')
        models.close()
        assert models.memory() == {}

    def test_without_a_folder(self):
        with pytest.raises(ValueError, match="'transformers' needs model: a folder"):
            Config.model_validate({'appearance': {'backend': 'transformers'}})
