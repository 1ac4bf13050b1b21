"""Encoders learn to tell objects apart, the same way however the training is run."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('tensorboard')

import cv2
import torch
from made_stores import CONFIG, made_shard, made_store, rendered

from mot_perception.cli.main import main
from mot_perception.depthseg import full_frame_autoencoder
from mot_perception.depthseg.checkpoint import load_autoencoder
from mot_perception.depthseg.encoder import DepthSegEncoder
from mot_perception.depthseg.losses import paper_loss, release_loss
from mot_perception.errors import UserError
from mot_perception.perception.weights_file import read_about
from mot_perception.training import encoder_loss, judge
from mot_perception.training.encoder_loss import LOSSES, NETWORKS, batch_loss
from mot_perception.training.extract import extract, models_for, store_for
from mot_perception.training.pairs import Pairs
from mot_perception.training.processes import Processes
from mot_perception.training.shard import FORMS
from mot_perception.training.split import split
from mot_perception.training.store import open_store
from mot_perception.training.train_encoder import EncoderTraining, train_encoder


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Several add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stores') / 'store'
    made_store(folder)
    return folder


def train(out, folder, loss='improved', *, epochs=2, batch=4, pairs='identity', **options):
    data = split([open_store(folder)], [], pairs, 0)
    settings = EncoderTraining.usual(loss, epochs=epochs, batch=batch, pairs=pairs)
    return train_encoder(out, data, settings, **{'device': 'cpu', **options})


def log(out):
    return [json.loads(line) for line in (out / 'log.jsonl').read_text().splitlines()]


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    """Folder of a store of rendered people."""
    models = models_for(CONFIG, detect=False)
    folder = tmp_path_factory.mktemp('stores') / 'people'
    store = store_for(folder, CONFIG, models, 'cropped', 'truth', None)
    sequences = [rendered(str(seed), seed, figures=5, frames=13) for seed in range(3)]
    extract(sequences, store, CONFIG, models)
    return folder


WHOLE = {'epochs': 5, 'command': 'mot-perception train encoder'}


@pytest.fixture(scope='module')
def whole(people, tmp_path_factory):
    """Folder of a training that nothing interrupted, and what it brought."""
    out = tmp_path_factory.mktemp('runs') / 'whole'
    return out, train(out, people, **WHOLE)


def test_people_are_told_apart_better(whole):
    out, result = whole
    assert result.trained['margin'] > result.untrained['margin'] + 0.1
    assert result.trained['rank1'] >= result.untrained['rank1']
    losses = [line['loss'] for line in log(out) if 'loss' in line]
    assert len(losses) == 5 * 6  # epochs of 24 frame pairs, 4 at once
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) / 2
    looked = [line for line in log(out) if 'held out/rank1' in line]
    assert [line['step'] for line in looked] == [0, 6, 12, 18, 24, 30]


def test_tracker_loads_what_was_trained(whole):
    out, result = whole
    assert result.file == out / 'encoder.safetensors'
    encoder = DepthSegEncoder(str(result.file), device='cpu')
    masks = np.zeros((1, 36, 64), np.bool_)
    masks[0, 5:20, 5:12] = True
    vectors, valid = encoder.embed(np.full((36, 64), 3, np.float32), masks)
    assert valid.all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    about = read_about(result.file)
    assert about['form'] == 'cropped'
    assert about['command'] == 'mot-perception train encoder'
    assert json.loads(about['settings'])['loss'] == 'improved'
    assert json.loads(about['held out'])['rank1'] == result.trained['rank1']
    assert int(about['epoch']) == result.epoch + 1


def test_pictures_show_objects_above_what_is_remembered(whole):
    out, _ = whole
    files = sorted((out / 'pictures').iterdir())
    assert [file.name for file in files] == [f'epoch-00{epoch}.png' for epoch in (1, 2, 3, 4, 5)]
    picture = cv2.imread(str(files[-1]))
    tile = judge.side_by_side([np.zeros((1, 2, 32, 32), np.float32)]).shape[0]
    assert picture.shape == (4 * tile, 6 * tile, 3)  # of every other of twelve held-out pairs
    assert picture[: tile // 2].std() > 0


def test_run_that_broke_off_goes_on_exactly(tmp_path, people, whole):
    def break_off(now):
        if (now.epoch, now.batch) == (2, 3):
            raise RuntimeError('power loss')

    with pytest.raises(RuntimeError):
        train(tmp_path, people, on_step=break_off, checkpoint_every=4, **WHOLE)
    result = train(tmp_path, people, resume=True, **WHOLE)
    assert log(tmp_path) == log(whole[0])
    assert result.trained == whole[1].trained
    one, other = (load_autoencoder(it.file).state_dict() for it in (result, whole[1]))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_two_processes_are_as_one(tmp_path, folder):
    """By the command line; of the last batch, of three frame pairs, one gets two."""
    arguments = ['train', 'encoder', str(folder), '--epochs', '1', '--batch', '4', '--quiet']
    assert main([*arguments, '--device', 'cpu', '--out', str(tmp_path / 'one')]) == 0
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    launcher += ['--nproc-per-node', '2', '-m', 'mot_perception']
    subprocess.run(
        [*launcher, *arguments, '--device', 'cpu', '--out', str(tmp_path / 'two')],
        check=True,
        capture_output=True,
        timeout=300,
    )
    one, two = log(tmp_path / 'one'), log(tmp_path / 'two')
    assert len(one) == 1 + 4 + 1
    for line, other in zip(one, two, strict=True):
        assert line == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('form', FORMS)
def test_shares_of_a_batch_add_up_to_the_whole(form, loss, monkeypatch):
    """Loss and gradients of three processes, of which one has nothing, and of one."""
    monkeypatch.setattr(full_frame_autoencoder, 'DIMENSION', 8)
    pairs = Pairs([made_shard(form=form, frames=3)], FORMS[form], 'identity')
    plan = pairs.neighbours()
    torch.manual_seed(0)
    network = NETWORKS[form]().eval()  # what batch norm does over processes is tested elsewhere

    def sums(count):
        network.zero_grad()
        totals = []
        for rank in range(count):
            objects = pairs.read(Processes(torch.device('cpu'), rank, count).share(plan))
            terms, _ = batch_loss(network, objects, loss, 0, pairs.largest(plan))
            terms.total.backward()
            totals.append([terms.total.item(), terms.count.item()])
        return np.sum(totals, 0), [parameter.grad.clone() for parameter in network.parameters()]

    (whole, gradients), (shared, summed) = sums(1), sums(3)
    np.testing.assert_allclose(shared, whole, rtol=1e-5)
    for one, other in zip(gradients, summed, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


@pytest.mark.parametrize('loss', ['paper', 'release'])
def test_published_losses_end_without_reconstruction(tmp_path, folder, loss, monkeypatch):
    for module in (encoder_loss, paper_loss, release_loss):
        assert module.JOINT_EPOCHS == 10
        monkeypatch.setattr(module, 'JOINT_EPOCHS', 2)
    train(tmp_path, folder, loss, epochs=3, batch=100)
    steps = [line for line in log(tmp_path) if 'loss' in line]
    assert ['reconstruction' in line for line in steps] == [True, True, False]
    assert read_about(tmp_path / 'encoder.safetensors')['epoch'] == '3'


def test_faithful_network_learns_from_full_frames(tmp_path, monkeypatch, device):
    monkeypatch.setattr(full_frame_autoencoder, 'DIMENSION', 8)
    made_store(tmp_path / 'store', 2, form='full_frame', frames=3, objects=3)
    train(tmp_path / 'run', tmp_path / 'store', 'release', batch=1, device=device)
    losses = [line['loss'] for line in log(tmp_path / 'run') if 'loss' in line]
    assert losses[-1] < losses[0]


def test_usual_settings_are_the_published_ones():
    paper, release = EncoderTraining.usual('paper'), EncoderTraining.usual('release')
    assert (paper.epochs, paper.batch) == (12, 128)
    assert (release.epochs, release.batch) == (15, 64)
    assert EncoderTraining.usual('paper', epochs=3, batch=None).epochs == 3
    assert EncoderTraining.usual('paper', epochs=3, batch=None).batch == 128


def test_collapse_is_told(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(judge, 'COLLAPSED', -1.0)
    lines = []
    train(tmp_path, folder, epochs=1, batch=100, warn=lines.append)
    assert len(lines) == 1
    assert 'epoch 1: the mean cosine of different objects is' in lines[0]


def test_overlap_pairs_train_as_identities_do(tmp_path, folder):
    one, other = (
        train(tmp_path / pairs, folder, epochs=1, pairs=pairs) for pairs in ('identity', 'overlap')
    )
    assert one.trained == pytest.approx(other.trained, rel=1e-4)


def test_other_stores_are_refused_by_a_resumed_run(tmp_path, folder):
    train(tmp_path / 'run', folder, epochs=1, batch=100)
    made_store(tmp_path / 'store', noise=0.2)
    with pytest.raises(UserError, match='was started with stores'):
        train(tmp_path / 'run', tmp_path / 'store', epochs=1, batch=100, resume=True)
    with pytest.raises(UserError, match='was started with epochs 1, not 2'):
        train(tmp_path / 'run', folder, epochs=2, batch=100, resume=True)


def test_verbs_lead_from_a_bag_to_an_encoder(tmp_path, capsys):
    for seed in '12':
        bag = str(tmp_path / f'bag{seed}')
        assert main(['scene', bag, '--people', '3', '--seconds', '0.1', '--seed', seed, '-q']) == 0
    (tmp_path / 'c.yaml').write_text('depth: {backend: topic}\nmasks: {backend: depth}\n')
    bags = [str(tmp_path / name) for name in ('bag1', 'bag2')]
    maps, run = str(tmp_path / 'maps'), str(tmp_path / 'run')
    assert main(['extract', *bags, '--out', maps, '--config', str(tmp_path / 'c.yaml')]) == 0
    assert main(['train', 'encoder', maps, '--out', run, '--epochs', '1', '--device', 'cpu']) == 0
    said = capsys.readouterr().out
    assert 'bag1' in said
    assert 'untrained' in said
    assert DepthSegEncoder(f'{run}/encoder.safetensors', device='cpu').form == 'cropped'


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['train'], 'Missing command; see mot-perception train --help'),
        (['train', 'encoder', 'a', '--out', 'b', '--x'], '--x'),
        (['train', 'encoder', 'nowhere', '--out', 'b'], 'make a store by mot-perception extract'),
        (['extract', 'nowhere', '--out', 'b', '--config', 'motion'], 'nowhere: does not exist'),
    ],
)
def test_wrong_arguments_are_one_line(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count('\n') == 1
