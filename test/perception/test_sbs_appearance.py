"""SBS-S50 at work: weights as they are published, boxes of all kinds, unit vectors."""

from __future__ import annotations

import golden
import numpy as np
import pytest

from mot_perception.config import Config
from mot_perception.errors import UserError
from mot_perception.models import load_models

torch = pytest.importorskip('torch')
sbs = pytest.importorskip('mot_perception.perception.sbs')
appearance = pytest.importorskip('mot_perception.perception.sbs_appearance')

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


@pytest.fixture(scope='module')
def weights():
    """A state dict as training writes it, of a network that does not forget its input.

    With filters whose sum is not zero, so many layers of positive numbers give nearly constant
    ones.
    """
    torch.manual_seed(0)
    state = sbs.SbsS50().state_dict()
    for key, tensor in state.items():
        if key.endswith(('running_mean', 'bias')):
            tensor.normal_(0, 0.1)
        elif tensor.ndim == 4:
            tensor.normal_().sub_(tensor.mean((1, 2, 3), keepdim=True))
            tensor.mul_(1.6 / tensor[0].numel() ** 0.5)
    return {**state, 'heads.weight': torch.zeros(751, sbs.DIMENSION)}


@pytest.fixture(scope='module')
def file(weights, tmp_path_factory):
    file = tmp_path_factory.mktemp('sbs') / 'sport.pth'
    torch.save({'model': weights, 'iteration': 1}, file)
    return file


@pytest.fixture(scope='module')
def encoder(file, device):
    return appearance.SbsAppearance(str(file), device=device, half=False)


@pytest.fixture
def small(monkeypatch):
    """Smaller crops take a tenth of the time and show the same."""
    monkeypatch.setattr(appearance, 'HEIGHT', 96)
    monkeypatch.setattr(appearance, 'WIDTH', 48)


def test_equals_a_crop_by_hand(encoder, file):
    """RGB from 0 to 255, 384×128, then the network alone."""
    import cv2

    network = sbs.SbsS50().eval()
    state = torch.load(file, weights_only=True)['model']
    del state['heads.weight']
    network.load_state_dict(state)
    crop = cv2.resize(IMAGE[5:90, 10:40], (128, 384), interpolation=cv2.INTER_LINEAR)
    rgb = torch.from_numpy(crop[..., ::-1].transpose(2, 0, 1).astype(np.float32))
    with torch.inference_mode():
        (feature,) = network(rgb[None]).numpy()
    (vector,) = encoder.embed(IMAGE, BOXES[:1])
    np.testing.assert_allclose(vector, feature / np.linalg.norm(feature), atol=1e-5)


def test_any_box_has_a_unit_vector(encoder, small):
    vectors = encoder.embed(IMAGE, BOXES)
    assert vectors.shape == (len(BOXES), sbs.DIMENSION)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_batches_do_not_change_vectors(encoder, small, monkeypatch):
    together = encoder.embed(IMAGE, BOXES)
    monkeypatch.setattr(appearance, 'BATCH', 2)
    np.testing.assert_allclose(encoder.embed(IMAGE, BOXES), together, atol=1e-5)
    single = np.vstack([encoder.embed(IMAGE, box[None]) for box in BOXES])
    np.testing.assert_allclose(single, together, atol=1e-5)


def test_at_most_a_batch_at_a_time(encoder, monkeypatch):
    seen = []

    def see(batch):
        seen.append(len(batch))
        return np.zeros((len(batch), sbs.DIMENSION), np.float32)

    monkeypatch.setattr(encoder, '_see', see)
    assert encoder.embed(IMAGE, np.tile(BOXES[:1], (500, 1))).shape == (500, sbs.DIMENSION)
    assert seen == [appearance.BATCH] * 15 + [20]


def test_no_boxes(encoder):
    vectors = encoder.embed(IMAGE, np.empty((0, 4)))
    assert vectors.shape == (0, sbs.DIMENSION)
    assert vectors.dtype == np.float32


def test_colours_matter(encoder, small):
    """Red and blue are not swapped unnoticed."""
    usual, swapped = (encoder.embed(image, BOXES[:1]) for image in (IMAGE, IMAGE[..., ::-1]))
    assert np.abs(usual - swapped).max() > 1e-3


def test_half_precision_on_a_gpu_alone(file, encoder, small, device):
    halved = appearance.SbsAppearance(str(file), device=device, half=True)
    difference = np.abs(halved.embed(IMAGE, BOXES) - encoder.embed(IMAGE, BOXES)).max()
    assert difference < 5e-3
    assert (difference > 0) == device.startswith('cuda')


def test_golden_weights_of_a_file(tmp_path, device):
    """All 481 keys of the published layout, the classifier among them, in its wrapping."""
    expected = golden.recorded('fastreid')['feature_l2']
    file = tmp_path / 'dance.pth'
    state = {**golden.weights('fastreid'), 'pixel_mean': torch.zeros(3, 1, 1)}
    torch.save({'model': state, 'optimizer': {}, 'iteration': 3}, file)
    encoder = appearance.SbsAppearance(str(file), device=device, half=False)
    shape = 2, 3, sbs.HEIGHT, sbs.WIDTH
    noise = np.random.default_rng(0).integers(0, 256, size=shape).astype(np.uint8)
    bgr = np.ascontiguousarray(noise[:, ::-1].transpose(0, 2, 3, 1))
    whole = np.array([[0.0, 0, sbs.WIDTH, sbs.HEIGHT]])
    vectors = np.vstack([encoder.embed(image, whole) for image in bgr])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


class TestFiles:
    def refused(self, state, tmp_path) -> str:
        file = tmp_path / 'wrong.pth'
        torch.save(state, file)
        with pytest.raises(UserError, match='wrong') as caught:
            appearance.SbsAppearance(str(file), device='cpu')
        return str(caught.value)

    def test_named(self, encoder):
        assert encoder.name.startswith('sport.pth (sha256 ')

    def test_home_folder(self):
        with pytest.raises(UserError, match=r'^/.*nowhere.pth: cannot be read'):
            appearance.SbsAppearance('~/nowhere.pth', device='cpu')

    def test_another_network(self, tmp_path):
        message = self.refused({'model': torch.nn.Linear(3, 4).state_dict()}, tmp_path)
        assert 'not the weights of SBS-S50' in message
        assert '2 unexpected (weight, bias)' in message

    def test_without_a_key(self, weights, tmp_path):
        cut = {key: it for key, it in weights.items() if key != 'heads.pool_layer.p'}
        assert '1 missing (heads.pool_layer.p)' in self.refused(cut, tmp_path)

    def test_safetensors(self, weights, encoder, small, tmp_path, device):
        from safetensors.torch import save_file

        file = tmp_path / 'sport.safetensors'
        save_file(weights, file)
        same = appearance.SbsAppearance(str(file), device=device, half=False)
        np.testing.assert_array_equal(
            same.embed(IMAGE, BOXES[:2]), encoder.embed(IMAGE, BOXES[:2])
        )


class TestConfigured:
    def test_loaded(self, file, device):
        config = Config.model_validate(
            {
                'detector': {'backend': 'topic'},
                'appearance': {'backend': 'fastreid', 'model': str(file)},
                'models': {'device': device},
            }
        )
        models = load_models(config)
        assert models.names['appearance'].startswith('sport.pth (sha256 ')
        assert bool(models.memory()) == device.startswith('cuda')
        models.close()
        assert models.memory() == {}

    def test_without_a_file(self):
        with pytest.raises(ValueError, match="'fastreid' needs model: the file"):
            Config.model_validate({'appearance': {'backend': 'fastreid'}})


def test_memory_does_not_suffice(encoder, monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(encoder, '_network', full)
    with pytest.raises(UserError, match=r'does not suffice; take a smaller network, or appear'):
        encoder.embed(IMAGE, BOXES)
