"""Loading networks: what is wrong is said in one line, and no code of a folder is run."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import tiny_networks

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')
network = pytest.importorskip('mot_perception.perception.network')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return tiny_networks.detector(tmp_path_factory.mktemp('network') / 'tiny', 'rt_detr_v2')


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / 'tiny'))


def load(model, kind='object detection'):
    return network.Network(str(model), kind, 'cpu', half=True)


def change(file, **values):
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, **values}))


def refused(model, kind='object detection'):
    with pytest.raises(UserError) as caught:
        load(model, kind)
    message = str(caught.value)
    assert '\n' not in message
    assert len(message) < 500
    return message


def test_loads_without_any_connection(folder, monkeypatch):
    monkeypatch.setattr(socket.socket, 'connect', lambda *_: pytest.fail('asks the hub'))
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: pytest.fail('asks the hub'))
    assert load(folder).config.model_type == 'rt_detr_v2'


@pytest.mark.parametrize('name', ['./nowhere', '/nowhere/at all', 'nowhere', 'a/b/c', '../x'])
def test_no_folder(name):
    assert 'no such folder' in refused(name)


@pytest.mark.parametrize('name', ['config.json', 'preprocessor_config.json', 'model.safetensors'])
@pytest.mark.parametrize('content', [None, b'', b'{', b'[1]', b'\xff' * 500, b'[' * 100_000])
def test_file_is_missing_or_damaged(folder, name, content):
    file = folder / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert str(folder) in refused(folder)


def test_cut_off(folder):
    file = folder / 'model.safetensors'
    file.write_bytes(file.read_bytes()[:-100])
    assert 'weights' in refused(folder)


def test_pickled_weights_are_never_read(folder):
    """They can run code while they are read."""
    from safetensors.torch import load_file

    torch.save(load_file(folder / 'model.safetensors'), folder / 'pytorch_model.bin')
    (folder / 'model.safetensors').unlink()
    assert 'model.safetensors' in refused(folder)


def test_code_beside_the_weights_is_never_run(folder):
    (folder / 'evil.py').write_text('raise SystemExit("it ran")')
    change(folder / 'config.json', auto_map={'AutoModelForObjectDetection': 'evil.Model'})
    load(folder)
    change(folder / 'config.json', model_type='evil', auto_map={'AutoConfig': 'evil.Config'})
    assert "'evil' is no network for object detection" in refused(folder)


def test_weights_are_missing(folder):
    from safetensors.torch import load_file, save_file

    file = folder / 'model.safetensors'
    weights = {name: it for name, it in load_file(file).items() if 'score_head' not in name}
    save_file(weights, file, {'format': 'pt'})
    assert 'score_head' in refused(folder)


def test_weights_of_another_shape(folder):
    change(folder / 'config.json', encoder_ffn_dim=32)
    message = refused(folder)
    assert '3 weights are missing or of another shape, such as model.encoder' in message


@pytest.mark.parametrize('values', [{'d_model': 'x'}, {'d_model': -3}, {'encoder_layers': None}])
def test_nonsense_in_its_settings(folder, values):
    change(folder / 'config.json', **values)
    refused(folder)


def test_does_not_fit_together(folder):
    """Its settings load, yet it fails at an image: said at once, by the first, black one."""
    change(folder / 'config.json', num_queries=10**9)
    with pytest.raises(UserError, match='fails at an image'):
        load(folder)([np.zeros((20, 20, 3), np.uint8)])


def test_of_another_kind(folder):
    assert "'rt_detr_v2' is no network for depth estimation" in refused(folder, 'depth estimation')
    change(folder / 'config.json', model_type='bert')
    assert "'bert' is no network for object detection" in refused(folder)


class TestHub:
    @pytest.fixture
    def asked(self, monkeypatch):
        """Write down what is asked of the hub; answers are made by the test."""
        calls, answers = [], {}

        def snapshot(name, *, allow_patterns, local_files_only=False):
            calls.append('cache' if local_files_only else 'hub')
            assert '*.bin' not in allow_patterns
            answer = answers.get(calls[-1], FileNotFoundError('offline\nmore about it'))
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr('huggingface_hub.snapshot_download', snapshot)
        return calls, answers

    def test_cache_is_enough(self, asked, whole):
        calls, answers = asked
        answers['cache'] = whole
        assert load('someone/tiny').name.startswith('tiny (sha256')
        assert calls == ['cache']

    def test_copied_once(self, asked, whole):
        calls, answers = asked
        answers['hub'] = whole
        load('someone/tiny')
        assert calls == ['cache', 'hub']

    def test_half_a_copy_is_completed(self, asked, folder, whole):
        calls, answers = asked
        (folder / 'model.safetensors').unlink()
        answers.update(cache=folder, hub=whole)
        load('someone/tiny')
        assert calls == ['cache', 'hub']

    def test_offline(self, asked):
        message = refused('someone/tiny')
        assert 'cannot be copied from the hub (offline)' in message
        assert asked[0] == ['cache', 'hub']


class TestDevice:
    def test_cpu(self):
        assert network.choose_device('cpu').type == 'cpu'

    @pytest.mark.parametrize('name', ['cuda', 'cuda:0', 'cuda:7'])
    def test_none_there(self, name, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        with pytest.raises(UserError, match=r"models.device 'cuda.*set 'auto' or 'cpu'"):
            network.choose_device(name)

    def test_too_few(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
        assert str(network.choose_device('cuda:0')) == 'cuda:0'
        assert network.choose_device('cuda').type == 'cuda'
        with pytest.raises(UserError, match='can use 1 GPU'):
            network.choose_device('cuda:1')

    @pytest.mark.parametrize(('there', 'expected'), [(False, 'cpu'), (True, 'cuda')])
    def test_auto(self, there, expected, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: there)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
        assert network.choose_device('auto').type == expected

    def test_memory_does_not_suffice(self, whole, monkeypatch):
        loaded = load(whole)

        def full(*_args):
            raise torch.OutOfMemoryError('CUDA out of memory')

        monkeypatch.setattr(loaded, '_module', full)
        with pytest.raises(UserError, match='memory of cpu does not suffice'):
            loaded([np.zeros((20, 20, 3), np.uint8)])


def test_attention_of_the_hub_is_not_fetched(tmp_path):
    """A config.json may name a kernel, which would be code to run."""
    folder = tiny_networks.depth_estimator(tmp_path / 'far')
    values = json.loads((folder / 'config.json').read_text())
    for section in (values, values['backbone_config']):
        section |= {'attn_implementation': 'some/kernel', '_attn_implementation': 'some/kernel'}
    (folder / 'config.json').write_text(json.dumps(values))
    from mot_perception.perception.network import Network

    config = Network(str(folder), 'depth estimation', 'cpu', half=False).config
    for part in (config, config.backbone_config):
        assert part._attn_implementation in {'eager', 'sdpa'}
