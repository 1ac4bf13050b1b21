"""Training of the detector: it learns, goes on exactly, and leaves weights that load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('tensorboard')

import torch
from safetensors import safe_open

from mot_perception.cli.train_detector import detector
from mot_perception.errors import UserError
from mot_perception.perception.yolox_checkpoint import load_yolox
from mot_perception.perception.yolox_input import trained_on
from mot_perception.training import train_detector as training
from mot_perception.training.detector_augment import whole_view
from mot_perception.training.detector_images import Labelled
from mot_perception.training.train_detector import DetectorTraining, train_detector

SETTINGS = DetectorTraining(
    'nano', 64, 96, steps=6, batch=2, epoch=3, rate=2e-3, seed=0, images='white boxes'
)


class WhiteBoxes:
    """A white rectangle on noise, anywhere: the same for the same chance."""

    def draw(self, random, step):
        del step
        image = random.integers(0, 90, (90, 160, 3), np.uint8)
        left, top = random.integers(0, 90), random.integers(0, 30)
        image[top : top + 50, left : left + 30] = 240
        box = np.array([[left, top, left + 30, top + 50]], float)
        return Labelled(image, box, np.zeros((0, 4)))

    def held_out(self, count):
        return [self.draw(np.random.default_rng([9, k]), 0) for k in range(count)]


def train(out, settings=SETTINGS, **more):
    images = WhiteBoxes()
    return train_detector(out, settings, images, images.held_out(3), device='cpu', **more)


def logged(out):
    return [json.loads(line) for line in (out / 'log.jsonl').read_text().splitlines()]


def losses(out):
    return [row['loss'] for row in logged(out) if 'loss' in row]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp('runs') / 'whole'
    train(out)
    return out


def test_what_it_leaves_loads_and_says_how_it_came_about(trained):
    network, size = load_yolox(trained / 'weights.safetensors')
    assert (size, network.classes) == ('nano', 1)
    with safe_open(trained / 'weights.safetensors', 'pt') as file:
        about = file.metadata()
    assert about['seed'] == '0'
    assert about['done'] == '6'


def test_each_epoch_is_scored(trained):
    scored = [row for row in logged(trained) if 'held out/ap50' in row]
    assert [row['step'] for row in scored] == [3, 6]


def test_a_killed_training_goes_on_exactly(trained, tmp_path):
    def stop(progress):
        if (progress.epoch, progress.batch) == (1, 2):
            raise RuntimeError('killed')

    out = tmp_path / 'killed'
    with pytest.raises(RuntimeError, match='killed'):
        train(out, on_step=stop)
    train(out, resume=True)
    assert losses(out) == losses(trained)
    ours, theirs = (load_yolox(run / 'weights.safetensors')[0] for run in (out, trained))
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[key]), key


def test_it_learns_two_images_by_heart(tmp_path, monkeypatch):
    class Two(WhiteBoxes):
        def draw(self, random, step):
            return super().draw(np.random.default_rng(int(random.integers(2))), step)

    monkeypatch.setattr(training, 'random_view', lambda seen, *to: whole_view(seen, *to[:2]))
    settings = replace(SETTINGS, steps=40, epoch=40, rate=5e-3)
    train_detector(tmp_path / 'run', settings, Two(), [], device='cpu')
    values = losses(tmp_path / 'run')
    assert np.mean(values[-5:]) < 0.85 * np.mean(values[:5])  # differs with the threads
    network, _ = load_yolox(tmp_path / 'run' / 'weights.safetensors')
    assert trained_on(network.backbone.backbone.stem) == 'bgr'


def test_it_starts_from_weights(trained, tmp_path):
    settings = replace(SETTINGS, steps=1, epoch=1, weights='before')
    train(tmp_path / 'run', settings, start=trained / 'weights.safetensors')
    assert losses(tmp_path / 'run')[0] != losses(trained)[0]


def test_weights_of_another_size_are_no_start(trained, tmp_path):
    settings = replace(SETTINGS, size='tiny', steps=1, epoch=1)
    with pytest.raises(UserError, match='yolox-nano'):
        train(tmp_path / 'run', settings, start=trained / 'weights.safetensors')


TWO = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_train_detector import SETTINGS, train
train(Path(sys.argv[2]), replace(SETTINGS, steps=2, batch=3, rate=1e-5))
"""


def test_two_processes_are_as_one(tmp_path):
    """In small steps: who finds what changes by leaps, and AdamW makes much of rounding."""
    train(tmp_path / 'alone', replace(SETTINGS, steps=2, batch=3, rate=1e-5))
    (tmp_path / 'two.py').write_text(TWO)
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    command = [*launcher, tmp_path / 'two.py', Path(__file__).parent, tmp_path / 'two']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, env=environment,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / 'two') == pytest.approx(losses(tmp_path / 'alone'), rel=1e-3)


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'input': '100x100'}, 'multiples of 32'),
        ({'input': '256'}, 'height×width'),
        ({'size': 'micro'}, 'nano, tiny, s, m, l, x'),
        ({'data': [Path('/nowhere')]}, '/nowhere'),
    ],
)
def test_wrong_options_are_told_in_one_line(tmp_path, wrong, said):
    with pytest.raises(UserError, match=said) as told:
        detector(out=tmp_path / 'run', **wrong)
    assert '\n' not in str(told.value)
    assert not (tmp_path / 'run').exists()
