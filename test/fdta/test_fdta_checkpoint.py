"""Checkpoints: the published layout, others, and what is damaged."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mot_perception.errors import UserError
from mot_perception.fdta import checkpoint
from mot_perception.fdta.checkpoint import (
    load_checkpoint,
    load_detector,
    open_network,
    save_network,
)
from mot_perception.fdta.deformable_detr import DeformableDetr
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import release
from mot_perception.perception.weights_file import read_about


@pytest.fixture
def weights(tiny):
    torch.manual_seed(1)
    return {key: tensor.clone() for key, tensor in Fdta(tiny).state_dict().items()}


@pytest.fixture
def network(tiny):
    torch.manual_seed(2)
    return Fdta(tiny)


def saved(folder, weights, **beside):
    file = folder / 'weights.pth'
    torch.save({'model': weights, **beside}, file)
    return file


def same(network, weights):
    return all(torch.equal(t, weights[key]) for key, t in network.state_dict().items())


def test_published_layout(tmp_path, network, weights):
    assert not same(network, weights)
    file = saved(tmp_path, weights, optimizer=None, scheduler=None, states={'epoch': 3})
    load_checkpoint(file, network)
    assert same(network, weights)
    shared = network.detr.transformer.decoder.bbox_embed
    assert shared is network.detr.bbox_embed


def test_safetensors(tmp_path, network, weights):
    file = tmp_path / 'weights.safetensors'
    save_file(weights, file)
    load_checkpoint(file, network)
    assert same(network, weights)


def test_counters_of_batch_norms_are_left_out(tmp_path, network, weights):
    weights['detr.backbone.0.body.bn1.num_batches_tracked'] = torch.tensor(5)
    load_checkpoint(saved(tmp_path, weights), network)


def test_half_precision_is_widened(tmp_path, network, weights):
    half = {key: tensor.half() for key, tensor in weights.items()}
    load_checkpoint(saved(tmp_path, half), network)
    assert network.detr.query_embed.weight.dtype == torch.float32


def test_key_report(tmp_path, network, weights):
    del weights['id_decoder.rel_pos_embeds']
    weights['surplus'] = torch.zeros(1)
    weights['detr.query_embed.weight'] = torch.zeros(3, 64)
    with pytest.raises(UserError) as error:
        load_checkpoint(saved(tmp_path, weights), network)
    said = str(error.value)
    assert '\n' not in said
    for part in (
        '1 missing (id_decoder.rel_pos_embeds)',
        '1 unexpected (surplus)',
        'detr.query_embed.weight 3×64 instead of 7×64',
    ):
        assert part in said


@pytest.mark.parametrize(
    'key',
    ['id_decoder.embed_to_word_layers.2.weight', 'detr.bbox_embed.1.layers.0.bias'],
)
def test_what_is_one_must_not_differ(tmp_path, network, weights, key):
    weights[key] = weights[key] + 1
    with pytest.raises(UserError, match='are one in this network') as error:
        load_checkpoint(saved(tmp_path, weights), network)
    assert '\n' not in str(error.value)


def test_not_finite(tmp_path, network, weights):
    weights['detr.query_embed.weight'][0, 0] = torch.nan
    with pytest.raises(UserError, match='NaN'):
        load_checkpoint(saved(tmp_path, weights), network)


@pytest.mark.parametrize('cut', [0, 10, 1000, -100])
def test_truncated(tmp_path, network, weights, cut):
    file = saved(tmp_path, weights)
    file.write_bytes(file.read_bytes()[:cut])
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_checkpoint(file, network)
    assert '\n' not in str(error.value)
    assert same(network, before)


class Harm:
    def __reduce__(self):
        return print, ('harm',)


def test_code_is_not_run(tmp_path, network, weights, capsys):
    with pytest.raises(UserError):
        load_checkpoint(saved(tmp_path, weights, states=Harm()), network)
    assert 'harm' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [{}, [1, 2], {'model': 3}, torch.zeros(2)])
def test_no_weights(tmp_path, network, content):
    file = tmp_path / 'weights.pth'
    torch.save(content, file)
    with pytest.raises(UserError):
        load_checkpoint(file, network)


def test_not_there(tmp_path, network):
    with pytest.raises(UserError, match='cannot be read'):
        load_checkpoint(tmp_path / 'nothing.pth', network)


def detector_of(weights):
    return {
        key.removeprefix('detr.'): tensor
        for key, tensor in weights.items()
        if key.startswith('detr.') and 'depth' not in key
    }


def test_detector_alone_is_no_tracker(tmp_path, network, weights):
    with pytest.raises(UserError, match='detector alone'):
        load_checkpoint(saved(tmp_path, detector_of(weights)), network)


@pytest.mark.parametrize('whole', [False, True])
def test_pretrained_detector(tmp_path, network, weights, whole):
    """Out of a detector's file or a tracker's; what it does not have stays as it is."""
    given = weights if whole else detector_of(weights)
    own = network.detr.depth_predictor.depth_classifier.weight.clone()
    load_detector(saved(tmp_path, given), network.detr)
    detector = network.detr.state_dict()
    assert all(torch.equal(detector[key], tensor) for key, tensor in detector_of(weights).items())
    kept = torch.equal(detector['depth_predictor.depth_classifier.weight'], own)
    assert kept != whole


def test_one_of_many_classes(tmp_path, network, weights):
    detector = detector_of(weights)
    for layer in range(2):
        detector[f'class_embed.{layer}.weight'] = torch.randn(91, 32)
        detector[f'class_embed.{layer}.bias'] = torch.randn(91)
    load_detector(saved(tmp_path, detector), network.detr, class_index=16)
    head = network.detr.class_embed[1]
    assert torch.equal(head.weight, detector['class_embed.1.weight'][16:17])
    assert torch.equal(head.bias, detector['class_embed.1.bias'][16:17])
    with pytest.raises(UserError, match='no class 91'):
        load_detector(saved(tmp_path, detector), network.detr, class_index=91)


def test_detector_of_another_kind(tmp_path, tiny, weights):
    plain = tiny.spatial.model_copy(update={'order': 'self-vision'})
    detr = DeformableDetr(tiny.detector, plain)
    load_detector(saved(tmp_path, detector_of(weights)), detr)
    detector = detector_of(weights)
    del detector['transformer.level_embed']
    with pytest.raises(UserError, match='missing'):
        load_detector(saved(tmp_path, detector), detr)


HUGE = json.dumps(
    {
        'detector': {
            'width': 1024,
            'stem': 256,
            'hidden': 8192,
            'blocks': [48] * 4,
            'encoder_layers': 12,
            'decoder_layers': 12,
        }
    }
)
"""Five thousand million weights, all within the bounds."""


class TestOpened:
    """Files that say which network they are of, and published ones that do not."""

    @pytest.fixture
    def file(self, tmp_path, network):
        file = tmp_path / 'fdta.safetensors'
        save_network(network, file, {'seed': '2'})
        return file

    def test_round_trip(self, file, network):
        opened = open_network(file)
        assert opened.settings == network.settings
        assert same(opened, network.state_dict())
        assert not opened.training
        assert all(it.dtype == torch.float32 for it in opened.parameters())
        decoder = opened.detr.transformer.decoder
        assert decoder.bbox_embed[0].layers[0].weight is opened.detr.bbox_embed[0].layers[0].weight
        assert read_about(file)['seed'] == '2'
        assert [it.name for it in file.parent.iterdir()] == [file.name]

    def test_same_numbers(self, file, network):
        images = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected, found = network.eval()(images), open_network(file)(images)
        assert torch.equal(expected.boxes, found.boxes)
        assert torch.equal(expected.embeddings, found.embeddings)

    def test_what_is_one_is_stored_once(self, file, network):
        with safe_open(file, 'pt') as opened:
            numbers = sum(opened.get_tensor(key).numel() for key in opened.keys())  # noqa: SIM118
        buffers = sum(it.numel() for it in network.buffers())
        assert numbers == sum(it.numel() for it in network.parameters()) + buffers

    def test_own_file_into_a_network(self, file, tiny, network):
        torch.manual_seed(3)
        other = Fdta(tiny)
        load_checkpoint(file, other)
        assert same(other, network.state_dict())
        load_detector(file, DeformableDetr(tiny.detector, tiny.spatial))

    def test_half_precision_is_widened(self, tmp_path, network):
        save_network(network.half(), tmp_path / 'half.safetensors', {})
        opened = open_network(tmp_path / 'half.safetensors')
        assert opened.detr.query_embed.weight.dtype == torch.float32

    @pytest.mark.parametrize('data_set', ['dancetrack', 'sportsmot', 'bft'])
    def test_published(self, tmp_path, monkeypatch, data_set):
        """The data set follows from the numbers of bins and rows."""
        monkeypatch.setattr(checkpoint, 'release', lambda name='dancetrack': narrow(release(name)))
        torch.manual_seed(1)
        published = Fdta(narrow(release(data_set)))
        opened = open_network(saved(tmp_path, published.state_dict(), epoch=12))
        assert opened.settings == published.settings
        assert same(opened, published.state_dict())

    def test_nothing_that_was_published(self, tmp_path, weights):
        with pytest.raises(UserError, match='of another shape') as error:
            open_network(saved(tmp_path, weights))
        assert '\n' not in str(error.value)

    @pytest.mark.parametrize(
        ('settings', 'said'),
        [
            ('', 'JSON'),
            ('[' * 5000, 'JSON'),
            ('{"window": 1e9}', 'window'),
            ('{"window": NaN}', 'window'),
            ('{"unknown": 1}', 'unknown'),
            ('{"detector": {"blocks": [1, 1, 1, 1000000000]}}', 'blocks'),
            ('{"detector": {"width": 264}}', 'multiple of 32'),
            (HUGE, 'of another shape'),
        ],
    )
    def test_settings_that_cannot_be(self, file, settings, said):
        weights = load_file(file)
        save_file(weights, file, {'settings': settings})
        with pytest.raises(UserError, match=said) as error:
            open_network(file)
        assert '\n' not in str(error.value)
        assert len(str(error.value)) < 5000

    @pytest.mark.parametrize('cut', [0, 4, 1000, -100])
    def test_truncated(self, file, cut):
        file.write_bytes(file.read_bytes()[:cut])
        with pytest.raises(UserError) as error:
            open_network(file)
        assert '\n' not in str(error.value)

    def test_not_there(self, tmp_path):
        with pytest.raises(UserError, match=r'none\.pth: cannot be read'):
            open_network(tmp_path / 'none.pth')

    def test_not_written(self, tmp_path, network):
        with pytest.raises(UserError, match='cannot be written'):
            save_network(network, tmp_path / 'nowhere' / 'fdta.safetensors', {})


def narrow(settings):
    """Settings of the published networks, with few channels and layers."""
    detector = settings.detector.model_copy(
        update={'width': 32, 'heads': 4, 'stem': 4, 'encoder_layers': 1, 'decoder_layers': 1}
    )
    return settings.model_copy(update={'detector': detector})
