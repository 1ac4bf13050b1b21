"""Checkpoints: tensors come out whatever they are wrapped in, and nothing else ever does."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
checkpoint = pytest.importorskip('mot_perception.perception.checkpoint')


def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))


def refused(file: Path) -> str:
    """Return what is said, in one line, of a file that cannot be taken for the module's."""
    with pytest.raises(UserError) as caught:
        checkpoint.load_weights(module(), checkpoint.read_weights(file), file, 'Little')
    message = str(caught.value)
    assert message.startswith(str(file))
    assert '\n' not in message
    assert len(message) < 2500
    return message


@pytest.fixture
def weights():
    return {key: tensor + 1 for key, tensor in module().state_dict().items()}


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'little.pth'


class TestRead:
    @pytest.mark.parametrize(
        'wrap',
        [
            lambda weights: weights,
            lambda weights: {'model': weights, 'iteration': 3, 'scheduler': {'lr': [0.1]}},
            lambda weights: {'model': {f'module.{key}': it for key, it in weights.items()}},
            lambda weights: {'state_dict': weights, 'best': np.float64(0.5), 'n': np.int64(3)},
        ],
        ids=['plain', 'nested', 'parallel', 'numbers of numpy'],
    )
    @pytest.mark.parametrize('zipped', [True, False])
    def test_pickled(self, wrap, zipped, weights, file):
        torch.save(wrap(weights), file, _use_new_zipfile_serialization=zipped)
        self.same(checkpoint.read_weights(file), weights)

    def test_safetensors(self, weights, tmp_path):
        from safetensors.torch import save_file

        file = tmp_path / 'little.safetensors'
        save_file(weights, file)
        self.same(checkpoint.read_weights(file), weights)

    def same(self, read, expected):
        assert read.keys() == expected.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(read[key], tensor, rtol=0, atol=0)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class TestHostile:
    @pytest.mark.parametrize(
        'save', [torch.save, lambda it, to: to.write_bytes(pickle.dumps(it, 2))]
    )
    def test_code_is_never_run(self, save, weights, file, tmp_path):
        mark = tmp_path / 'it ran'
        save({'model': weights, 'extra': Evil(mark)}, file)
        assert 'more than tensors' in refused(file)
        assert not mark.exists()

    @pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.98])
    @pytest.mark.parametrize('zipped', [True, False])
    def test_cut_off(self, share, zipped, weights, file):
        torch.save(weights, file, _use_new_zipfile_serialization=zipped)
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * share)])
        refused(file)

    @pytest.mark.parametrize(
        'content', [b'', b'\x80\x02.', b'\xff' * 500, b'PK\x05\x06' + bytes(18)]
    )
    @pytest.mark.parametrize('ending', ['pth', 'safetensors'])
    def test_something_else(self, content, ending, tmp_path):
        file = tmp_path / f'little.{ending}'
        file.write_bytes(content)
        refused(file)

    def test_cut_off_safetensors(self, weights, tmp_path):
        from safetensors.torch import save_file

        file = tmp_path / 'little.safetensors'
        save_file(weights, file)
        file.write_bytes(file.read_bytes()[:-10])
        assert 'no whole safetensors file' in refused(file)

    def test_unpacks_to_too_much(self, file, monkeypatch):
        monkeypatch.setattr(checkpoint, 'LARGEST', 1 << 16)
        with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('archive/data.pkl', bytes(1 << 17))
        assert file.stat().st_size < 1 << 16
        assert 'unpacks to 131072 bytes' in refused(file)

    @pytest.mark.parametrize('module', ['builtins', '__builtin__'])
    @pytest.mark.parametrize('zipped', [True, False])
    @pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_a_number_is_no_memory(self, module, zipped, method, weights, file):
        """Torch's unpickler makes 2 TB of bytes if a pickle of 30 says so."""
        call = f'c{module}\nbytearray\n'.encode() + b'\x8a\x06' + (1 << 41).to_bytes(6, 'little')
        torch.save(weights, file, _use_new_zipfile_serialization=zipped)
        if zipped:
            with zipfile.ZipFile(file) as archive:
                parts = {entry: archive.read(entry) for entry in archive.namelist()}
            with zipfile.ZipFile(file, 'w', method) as archive:
                for name, content in parts.items():
                    hostile = b'\x80\x02' + call + b'\x85R.'
                    archive.writestr(name, hostile if name.endswith('data.pkl') else content)
        else:
            head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
            innocent = io.BytesIO()  # a zip file ends the file: torch looks at its beginning
            zipfile.ZipFile(innocent, 'w', method).close()
            file.write_bytes(head + b'\x80\x02' + call + b'\x85R.' + innocent.getvalue())
        assert 'holds more than tensors and numbers' in refused(file)

    def test_a_long_pickle(self, weights, file, monkeypatch):
        monkeypatch.setattr(checkpoint, 'LARGEST_PICKLE', 100)
        torch.save(weights, file)
        assert 'holds more than tensors and numbers' in refused(file)

    def test_too_large(self, file, monkeypatch):
        monkeypatch.setattr(checkpoint, 'LARGEST', 100)
        file.write_bytes(bytes(101))
        assert '101 bytes' in refused(file)

    @pytest.mark.parametrize(
        'odd',
        [
            torch.eye(4)[0].to_sparse(),
            torch.ones(4, device='meta'),
        ],
        ids=['sparse', 'meta'],
    )
    def test_tensors_without_plain_numbers(self, odd, weights, file):
        torch.save({**weights, '0.bias': odd}, file)
        refused(file)

    def test_more_numbers_than_memory(self, weights, file):
        vast = torch.zeros(1).expand(1 << 20, 1 << 20)
        torch.save({**weights, '0.bias': vast, '5.num_batches_tracked': vast}, file)
        assert '1 of another shape (0.bias 1048576×1048576 instead of 4)' in refused(file)

    @pytest.mark.parametrize('content', [{}, [], 3, {'model': {}}, {'model': {'a': 3}}, {1: 2}])
    def test_no_tensors(self, content, file):
        torch.save(content, file)
        assert 'holds no weights' in refused(file)


def test_not_there(tmp_path):
    assert 'cannot be read (No such file' in refused(tmp_path / 'nowhere.pth')
    assert 'cannot be read (Is a directory' in refused(tmp_path)


class TestLoad:
    def test_all_keys(self, weights, file):
        loaded = module()
        checkpoint.load_weights(loaded, weights, file, 'Little')
        for key, tensor in loaded.state_dict().items():
            torch.testing.assert_close(tensor, weights[key], rtol=0, atol=0)

    def test_of_half_precision(self, weights, file):
        loaded = module()
        halved = {key: it.half() if it.is_floating_point() else it for key, it in weights.items()}
        checkpoint.load_weights(loaded, halved, file, 'Little')
        assert loaded[0].weight.dtype == torch.float32
        torch.testing.assert_close(loaded[0].weight, weights['0.weight'], rtol=1e-3, atol=1e-3)

    def test_without_a_copy(self, weights, file):
        """A network that has no memory yet takes the tensors themselves."""
        loaded = module().to('meta')
        weights['0.bias'] = weights['0.bias'].half()
        checkpoint.load_weights(loaded, weights, file, 'Little')
        for key, tensor in loaded.state_dict().items():
            assert tensor.data_ptr() == weights[key].data_ptr()

    def test_counters_may_be_missing(self, weights, file):
        del weights['1.num_batches_tracked']
        checkpoint.load_weights(module(), weights, file, 'Little')

    def test_other_keys(self, weights, file):
        weights['2.bias'] = weights.pop('0.bias')
        torch.save(weights, file)
        message = refused(file)
        assert 'not the weights of Little: 1 missing (0.bias); 1 unexpected (2.bias)' in message

    def test_keys_of_several_lines(self, weights, file):
        weights['one\ntwo\r\u2028three'] = torch.zeros(1)
        torch.save(weights, file)
        assert '1 unexpected (one?two??three)' in refused(file)

    def test_other_shapes(self, weights, file):
        weights['0.weight'] = torch.zeros(4, 3, 1, 1)
        weights['0.bias'] = torch.tensor(0.0)
        torch.save(weights, file)
        message = refused(file)
        assert '2 of another shape (0.weight 4×3×1×1 instead of 4×3×3×3' in message
        assert '0.bias a number instead of 4)' in message

    def test_ten_are_named(self, weights, file):
        torch.save({**weights, **{f'other.{n}': torch.zeros(1) for n in range(12)}}, file)
        message = refused(file)
        assert '12 unexpected (other.0, ' in message
        assert 'other.9, …)' in message
        assert 'other.10' not in message

    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_not_finite(self, value, weights, file):
        weights['0.bias'][2] = value
        torch.save(weights, file)
        assert '0.bias holds NaN or infinite numbers' in refused(file)


def test_digest(file):
    file.write_bytes(b'weights')
    assert checkpoint.digest(file) == hashlib.sha256(b'weights').hexdigest()
