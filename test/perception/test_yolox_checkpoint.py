"""Files of YOLOX: size and classes follow from the shapes, and what does not fit is told."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tiny_yolox

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
yolox = pytest.importorskip('mot_perception.perception.yolox')
checkpoint = pytest.importorskip('mot_perception.perception.yolox_checkpoint')


@pytest.fixture(scope='module')
def network():
    return tiny_yolox.network('nano', classes=1)


@pytest.fixture
def weights(network):
    return dict(network.state_dict())


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'yolox_nano.pth'


def refused(weights, file) -> str:
    torch.save({'model': weights}, file)
    with pytest.raises(UserError) as caught:
        checkpoint.load_yolox(file)
    message = str(caught.value)
    assert message.startswith(f'{file}: ')
    assert '\n' not in message
    assert len(message) < 2500
    return message


def same(file, network) -> None:
    """Check that a file gives a network that computes the same."""
    loaded, size = checkpoint.load_yolox(file)
    assert (size, loaded.classes) == ('nano', network.classes)
    assert not loaded.training
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image), network(image))


class TestLoads:
    @pytest.mark.parametrize('zipped', [True, False])
    @pytest.mark.parametrize('name', ['yolox_nano.pth', 'bytetrack_nano_mot17.pth.tar'])
    def test_published(self, zipped, name, network, tmp_path):
        """With what training goes on from beside the weights."""
        optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        content = {
            'start_epoch': 80,
            'model': network.state_dict(),
            'optimizer': optimiser.state_dict(),
            'best_ap': np.float64(0.5),
            'amp': None,
        }
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        same(tmp_path / name, network)

    def test_plain(self, network, weights, file):
        torch.save(weights, file)
        same(file, network)

    def test_safetensors(self, network, weights, tmp_path):
        from safetensors.torch import save_file

        save_file(weights, tmp_path / 'nano.safetensors')
        same(tmp_path / 'nano.safetensors', network)

    def test_half_precision_is_widened(self, weights, file):
        halved = {key: it.half() if it.is_floating_point() else it for key, it in weights.items()}
        torch.save(halved, file)
        loaded, _ = checkpoint.load_yolox(file)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}

    @pytest.mark.parametrize('classes', [2, 80])
    def test_classes(self, classes, file):
        several = tiny_yolox.network('nano', classes)
        same(tiny_yolox.save(several, file), several)


@pytest.mark.parametrize('size', yolox.SIZES)
@pytest.mark.parametrize('classes', [1, 80])
def test_size_follows_from_the_shapes(size, classes):
    with torch.device('meta'):
        weights = yolox.Yolox(size, classes).state_dict()
    assert checkpoint._likeliest_size(weights) == (size, 1)
    assert checkpoint._classes(weights) == classes
    some = {key: it for number, (key, it) in enumerate(weights.items()) if number % 3}
    likeliest, alike = checkpoint._likeliest_size(some)
    assert likeliest == size
    assert 0.6 < alike < 0.7


class TestRefused:
    def test_missing_and_unexpected(self, weights, file):
        weights['head.stems.0.conv.bias'] = weights.pop('head.stems.0.conv.weight')
        message = refused(weights, file)
        assert 'not the weights of yolox-nano, which they look like: ' in message
        assert '1 missing (head.stems.0.conv.weight); ' in message
        assert '1 unexpected (head.stems.0.conv.bias)' in message

    def test_shapes(self, weights, file):
        weights['head.reg_preds.1.weight'] = torch.zeros(5, 64, 1, 1)
        message = refused(weights, file)
        assert '1 of another shape (head.reg_preds.1.weight 5×64×1×1 instead of 4×64×1×1)' in (
            message
        )

    def test_number_of_classes_differs_from_grid_to_grid(self, weights, file):
        weights['head.cls_preds.2.weight'] = torch.zeros(2, 64, 1, 1)
        assert 'head.cls_preds.2.weight 2×64×1×1 instead of 1×64×1×1' in refused(weights, file)

    @pytest.mark.parametrize('shape', [(), (0, 64, 1, 1), (3,), (1 << 40, 64, 1, 1)])
    def test_no_number_of_classes(self, shape, weights, file):
        weights['head.cls_preds.0.weight'] = torch.zeros(1).expand(shape) if shape else None
        message = refused({k: it for k, it in weights.items() if it is not None}, file)
        assert 'head.cls_preds.0.weight' in message

    def test_of_a_head_alone(self, weights, file):
        message = refused({k: it for k, it in weights.items() if 'head' in k}, file)
        assert 'no weights of YOLOX' in message

    def test_of_another_architecture(self, file):
        other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        message = refused(other.state_dict(), file)
        assert "no weights of YOLOX (they begin with '0.weight', '0.bias', '1.weight')" in message
        assert 'nano, tiny, s, m, l, x' in message

    def test_names_in_several_lines(self, file):
        refused({'one\ntwo': torch.zeros(1)}, file)

    def test_broken_numbers(self, weights, file):
        weights['head.obj_preds.0.bias'] = torch.tensor([float('nan')])
        assert 'head.obj_preds.0.bias holds NaN' in refused(weights, file)


@pytest.mark.parametrize(
    ('size', 'pixels', 'expected'),
    [
        ('nano', 'bgr', (416, 416)),
        ('tiny', 'bgr', (416, 416)),
        ('x', 'bgr', (640, 640)),
        ('x', 'imagenet', (800, 1440)),
    ],
)
def test_usual_input(size, pixels, expected):
    assert checkpoint._usual_input(size, pixels) == expected


def test_ready(weights, network, file):
    """Fused, on its usual input, with all that is known of it."""
    torch.save({'model': weights}, file)
    ready = checkpoint.ready_yolox(file, width=96, pixels='bgr')
    assert (ready.size, ready.height, ready.width, ready.pixels) == ('nano', 416, 96, 'bgr')
    assert ready.class_names == ('person',)
    assert ready.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not any(isinstance(it, torch.nn.BatchNorm2d) for it in ready.network.modules())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = network(image)
        spread = float(expected.std())
        torch.testing.assert_close(ready.network(image), expected, rtol=1e-4, atol=1e-4 * spread)
