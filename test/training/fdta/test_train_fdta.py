"""FDTA's training: it learns a clip by heart, can be killed, and processes can share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mot_perception.errors import UserError
from mot_perception.fdta.checkpoint import open_network
from mot_perception.trackers.fdta_settings import FdtaConfig
from mot_perception.training.fdta import settings as of
from mot_perception.training.fdta import transforms
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.scoring import score
from mot_perception.training.fdta.train import (
    Learner,
    _groups,
    _Lessons,
    _plans,
    _rate,
    train_fdta,
)

SIDE = 64


@dataclass(frozen=True)
class Squares:
    """Two squares of different colours that pass each other on a dark floor."""

    name: str = 'squares'
    period: float = 0.05
    length: int = 12

    def __len__(self):
        return self.length

    def legal(self):
        return np.ones(self.length, np.bool_)

    def view(self, number):
        image = np.full((SIDE, SIDE, 3), 20, np.uint8)
        depth = np.full((SIDE, SIDE), 200, np.float32)
        x = 4 + number * 3, 40 - number * 3
        boxes = np.array([[x[0], 10, x[0] + 16, 34], [x[1], 26, x[1] + 16, 58]], np.float64)
        for box, colour, away in zip(boxes.astype(int), ((60, 60, 255), (255, 200, 40)), (90, 40),
                                     strict=True):  # fmt: skip
            left, top, right, bottom = box
            image[top:bottom, left:right] = colour
            depth[top:bottom, left:right] = away
        return View(image, boxes, np.array([7, 9]), np.zeros(2, np.int64), depth)


def settings(**other):
    tiny = of.tiny(of.improved())
    detector = tiny.network.detector.model_copy(
        update={
            'queries': 6,
            'width': 32,
            'points': 2,
            'decoder_layers': 2,
            'hidden': 48,
            'stem': 4,
        }
    )
    network = tiny.network.model_copy(
        update={
            'shorter': SIDE, 'longer': SIDE, 'window': 6, 'detector': detector,
            'spatial': tiny.network.spatial.model_copy(update={'bins': 12}),
            'temporal': tiny.network.temporal.model_copy(update={'layers': 1, 'hidden': 32}),
            'identity': tiny.network.identity.model_copy(update={'identities': 6, 'layers': 2}),
        }
    )  # fmt: skip
    values = {
        'network': network, 'length': 4, 'batch': 2, 'clips': 4, 'epochs': 2, 'falls': (),
        'groups': 2, 'gradient_frames': 2, 'longest_interval': 2, 'warm_up': 0.0, 'rate': 1e-3,
    }  # fmt: skip
    return of.changed(tiny, **{**values, **other})


def train(out, changes=None, **options):
    torch.set_num_threads(1)
    return train_fdta(out, settings(**(changes or {})), [Squares()], device='cpu', **options)


def logged(out):
    return [json.loads(line) for line in (out / 'log.jsonl').read_text().splitlines()]


def losses(out):
    return [row['loss'] for row in logged(out) if 'loss' in row]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp('runs') / 'whole'
    train(out)
    return out


def test_what_it_leaves_is_a_network(trained):
    network = open_network(trained / 'fdta.safetensors')
    assert network.settings == settings().network
    names = {name.removeprefix('losses/') for row in logged(trained) for name in row}
    assert names >= {'boxes', 'depth', 'identities', 'places', 'embeddings', 'right identities'}


def test_embeddings_are_not_compared_in_the_first_epoch(trained):
    weights = settings()
    for row in (row for row in logged(trained) if 'loss' in row):
        parts = {name.removeprefix('losses/'): value for name, value in row.items()}
        whole = (
            parts['boxes']
            + weights.depth_weight * parts['depth']
            + weights.identity_weight * parts['identities']
            + weights.spatial_identity_weight * parts['places']
            + weights.contrastive_weight * parts['embeddings'] * (row['step'] > 2)
        )
        assert parts['loss'] == pytest.approx(whole, rel=1e-4)


def test_a_killed_training_goes_on_exactly(trained, tmp_path):
    def stop(progress):
        if (progress.epoch, progress.batch) == (1, 1):
            raise RuntimeError('killed')

    out = tmp_path / 'killed'
    with pytest.raises(RuntimeError, match='killed'):
        train(out, on_step=stop, checkpoint_every=1)
    train(out, resume=True, checkpoint_every=1)
    assert losses(out) == losses(trained)
    ours, theirs = (open_network(run / 'fdta.safetensors') for run in (out, trained))
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[key]), key


def test_it_learns_a_clip_by_heart(tmp_path, monkeypatch):
    """Every identity is told, and the tracker follows both squares through their crossing."""
    monkeypatch.setattr(transforms, 'augmented', lambda views, to, _: transforms.plain(views, to))
    changes = {
        'clips': None, 'epochs': 50, 'rate': 3e-3, 'length': 6, 'groups': 4,
        'gradient_frames': 6, 'drops': 0.0, 'average': 0.9,
    }  # fmt: skip
    train(tmp_path / 'run', changes)
    told = [row['losses/right identities'] for row in logged(tmp_path / 'run') if 'loss' in row]
    assert np.mean(told[-10:]) > 0.99
    network = open_network(tmp_path / 'run' / 'fdta.safetensors')
    scores = score(network, [Squares()], FdtaConfig(score=0.2, birth_score=0.2))
    assert scores['IDSW'] == 0
    assert scores['IDF1'] > 60  # differs with the threads


TWO = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_train_fdta import train_plainly
train_plainly(Path(sys.argv[2]))
"""


def train_plainly(out):
    """Dropout draws, and what pads images of several sizes, differ between processes."""
    transforms.augmented = lambda views, of_network, _: transforms.plain(views, of_network)
    train(out, {'rate': 1e-6, 'network': without_chance()})


def without_chance():
    network = settings().network
    return network.model_copy(
        update={
            'temporal': network.temporal.model_copy(update={'dropout': 0.0}),
            'spatial': network.spatial.model_copy(update={'order': 'self-vision'}),
        }
    )


def test_two_processes_are_as_one(tmp_path, monkeypatch):
    """Losses, their counts and gradients, the Identity Adapter's among them, are sums."""
    monkeypatch.setattr(transforms, 'augmented', None)  # is put back afterwards
    train_plainly(tmp_path / 'alone')
    (tmp_path / 'two.py').write_text(TWO)
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    command = [*launcher, tmp_path / 'two.py', Path(__file__).parent, tmp_path / 'two']
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / 'two') == pytest.approx(losses(tmp_path / 'alone'), rel=2e-3)


def test_what_is_drawn_follows_from_names_and_not_from_their_order():
    one, two, to = Squares('one'), Squares('two'), settings(seed=3)

    def lesson(*footages):
        return _Lessons([_plans(footages, to, 0)[:3]], footages, to, 0)[0]

    first, second, other = lesson(one, two), lesson(two, one), lesson(one, Squares('three'))
    assert torch.equal(first.batch.images, second.batch.images)
    assert torch.equal(first.learned, second.learned)
    assert not torch.equal(first.batch.images, other.batch.images)


def test_a_frozen_detector_stays_as_it_is(trained, tmp_path):
    start = trained / 'fdta.safetensors'
    train(tmp_path / 'run', {'gradient_frames': 0, 'average': 0.0}, start=start)
    before, after = open_network(start), open_network(tmp_path / 'run' / 'fdta.safetensors')
    same = {
        key: torch.equal(it, after.state_dict()[key]) for key, it in before.state_dict().items()
    }
    assert all(it for key, it in same.items() if key.startswith('detr.'))
    assert not all(it for key, it in same.items() if key.startswith('id_decoder.'))


def test_it_starts_from_a_detector_that_knows_no_depth(tmp_path):
    plain = of.with_adapters(settings(length=1, batch=4), [])
    train_fdta(tmp_path / 'boxes', plain, [Squares()], device='cpu')
    file = tmp_path / 'boxes' / 'fdta.safetensors'
    train(tmp_path / 'run', {'rate': 1e-9, 'average': 0.0}, detector=file)
    before, after = open_network(file), open_network(tmp_path / 'run' / 'fdta.safetensors')
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            after.eval()(image).boxes, before.eval()(image).boxes, atol=1e-4, rtol=1e-3
        )


def test_groups_are_disjoint_and_complete():
    learner = Learner(settings())
    groups = _groups(learner, settings())
    grouped = [id(it) for group in groups for it in group['params']]
    assert sorted(grouped) == sorted(id(it) for it in learner.parameters())
    rates = {id(it): group['lr'] for group in groups for it in group['params']}
    detector = learner.network.detr
    published = of.release()
    groups = _groups(learner, published)
    rates = {id(it): group['lr'] for group in groups for it in group['params']}
    assert rates[id(detector.backbone[0].body.conv1.weight)] == pytest.approx(1e-5)
    assert rates[id(detector.transformer.reference_points.weight)] == pytest.approx(5e-6)
    assert rates[id(learner.network.id_decoder.word_to_embed.weight)] == pytest.approx(1e-4)
    assert rates[id(learner.adapter.layers[0].weight)] == pytest.approx(1e-4)


def test_the_rate_rises_in_the_first_epoch_and_falls_twice():
    published = of.release()
    rates = [_rate(step, published, 100) for step in (0, 49, 99, 100, 599, 600, 899, 900, 1299)]
    assert rates == pytest.approx([0.01, 0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_published_parts_stay_frozen(tmp_path):
    frozen = settings(frozen_stages=2, epochs=1)
    out = train_fdta(tmp_path / 'run', frozen, [Squares()], device='cpu')
    torch.manual_seed(frozen.seed)
    before, after = Learner(frozen).network, open_network(out)
    for stage, same in (('conv1', True), ('layer1', True), ('layer2', False)):
        one, two = (getattr(it.detr.backbone[0].body, stage) for it in (before, after))
        pairs = zip(one.parameters(), two.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same


@pytest.mark.parametrize(
    ('changes', 'said'),
    [({'batch': 50}, 'too few for a batch of 50'), ({'length': 40, 'batch': 1}, 'too few')],
)
def test_too_little_data_is_told(tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        train(tmp_path / 'run', changes)
    assert not (tmp_path / 'run').exists()
