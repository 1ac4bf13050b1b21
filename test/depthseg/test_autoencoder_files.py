"""Autoencoders in files: what is written is read, and what is not an autoencoder is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
safetensors = pytest.importorskip('safetensors.torch')
checkpoint = pytest.importorskip('mot_perception.depthseg.checkpoint')
weights_file = pytest.importorskip('mot_perception.perception.weights_file')
CropAutoencoder = checkpoint.CropAutoencoder
FullFrameAutoencoder = checkpoint.FullFrameAutoencoder


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return CropAutoencoder()


@pytest.fixture
def file(network, tmp_path):
    file = tmp_path / 'cropped.safetensors'
    checkpoint.save_autoencoder(network, file, {'seed': '0'})
    return file


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key


def refused(file, read=checkpoint.load_autoencoder):
    with pytest.raises(UserError) as caught:
        read(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert '\n' not in message
    assert len(message) < 2500
    return message


class TestRoundTrip:
    def test_weights_and_notes(self, network, file):
        loaded = checkpoint.load_autoencoder(file)
        same(loaded, network)
        assert not loaded.training
        assert weights_file.read_about(file) == {'seed': '0', 'form': 'cropped'}
        assert [it.name for it in file.parent.iterdir()] == [file.name]

    def test_replaces(self, file):
        torch.manual_seed(1)
        other = CropAutoencoder()
        checkpoint.save_autoencoder(other, file, {})
        same(checkpoint.load_autoencoder(file), other)

    def test_not_written(self, network, tmp_path):
        def write(file):
            checkpoint.save_autoencoder(network, file, {})

        refused(tmp_path / 'nowhere' / 'cropped.safetensors', write)
        folder = tmp_path / 'folder.safetensors'
        (folder / 'full').mkdir(parents=True)
        refused(folder, write)
        assert [it.name for it in tmp_path.iterdir()] == [folder.name]

    def test_no_notes(self, network, tmp_path):
        file = tmp_path / 'plain.safetensors'
        safetensors.save_file(network.state_dict(), file)
        assert weights_file.read_about(file) == {}


class TestPublished:
    @pytest.fixture(scope='class')
    def small(self):
        """The paper's layers, so narrow that files are quick."""
        from mot_perception.depthseg import full_frame_autoencoder as module

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, 'CHANNELS', (2, 3, 4))
            patch.setattr(module, 'DIMENSION', 8)
            yield FullFrameAutoencoder()

    @pytest.mark.parametrize('prefix', ['', 'auto_encoder_depth.', 'module.auto_encoder_depth.'])
    def test_names(self, prefix, small, tmp_path):
        file = tmp_path / 'epoch_11.pth'
        torch.save({prefix + key: it for key, it in small.state_dict().items()}, file)
        loaded = checkpoint.load_autoencoder(file)
        assert isinstance(loaded, FullFrameAutoencoder)
        same(loaded, small)

    def test_encoder_alone(self, small, tmp_path):
        weights = {
            f'auto_encoder_depth.encoder.{key}': it
            for key, it in small.encoder.state_dict().items()
        }
        file = tmp_path / 'encoder.pth'
        torch.save(weights, file)
        same(checkpoint.load_autoencoder(file).encoder, small.encoder)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class TestBad:
    def test_missing_keys_are_listed(self, network, tmp_path):
        weights = {
            key: it for key, it in network.state_dict().items() if 'encoder.maps' not in key
        }
        file = tmp_path / 'part.safetensors'
        safetensors.save_file(weights, file)
        message = refused(file)
        assert '14 missing (encoder.maps.0.weight' in message
        assert message.count('encoder.maps') == 10
        assert 'cropped' in message

    def test_another_shape(self, network, tmp_path):
        weights = {**network.state_dict(), 'encoder.maps.0.bias': torch.zeros(5)}
        file = tmp_path / 'wide.safetensors'
        safetensors.save_file(weights, file)
        assert 'encoder.maps.0.bias 5 instead of 32' in refused(file)

    def test_another_network(self, tmp_path):
        file = tmp_path / 'other.pth'
        torch.save(torch.nn.Linear(2, 2).state_dict(), file)
        assert '2 unexpected (weight, bias)' in refused(file)

    def test_not_finite(self, network, tmp_path):
        weights = {**network.state_dict(), 'encoder.maps.0.bias': torch.full((32,), torch.nan)}
        file = tmp_path / 'broken.safetensors'
        safetensors.save_file(weights, file)
        assert 'encoder.maps.0.bias holds NaN' in refused(file)

    @pytest.mark.parametrize('kept', [0, 4, 8, 500, -10])
    @pytest.mark.parametrize('read', [checkpoint.load_autoencoder, weights_file.read_about])
    def test_cut_off(self, kept, read, file):
        file.write_bytes(file.read_bytes()[:kept])
        refused(file, read)

    def test_not_there(self, tmp_path):
        assert 'No such file' in refused(tmp_path / 'none.safetensors')
        assert 'No such file' in refused(tmp_path / 'none.safetensors', weights_file.read_about)

    @pytest.mark.parametrize(
        'save', [torch.save, lambda it, to: to.write_bytes(pickle.dumps(it, 2))]
    )
    def test_code_is_never_run(self, save, network, tmp_path):
        file, mark = tmp_path / 'evil.pth', tmp_path / 'it ran'
        save({**network.state_dict(), 'evil': Evil(mark)}, file)
        refused(file)
        assert not mark.exists()

    @pytest.mark.parametrize(
        'header',
        [
            b'{"__metadata__": {"seed": 3}}',
            b'{"__metadata__": {"seed": {"deep": "value"}}}',
            b'[]',
            b'\xff\xfe',
            json.dumps({'__metadata__': {'long': 'x' * (2 << 20)}}).encode(),
        ],
        ids=['number', 'nested', 'list', 'no text', 'long'],
    )
    def test_notes_that_are_none(self, header, tmp_path):
        file = tmp_path / 'notes.safetensors'
        file.write_bytes(len(header).to_bytes(8, 'little') + header)
        refused(file, weights_file.read_about)
