"""A training that is killed, stopped or spread over processes goes as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('tensorboard')

import torch
from tiny_training import STEPS, TinyNetwork, log, train

from mot_perception.errors import UserError
from mot_perception.training.batch_norm import normalise_together
from mot_perception.training.interrupts import patient
from mot_perception.training.processes import Processes
from mot_perception.training.run import random_of

PROGRAM = str(Path(__file__).with_name('tiny_training.py'))
ONE_THREAD = {**os.environ, 'OMP_NUM_THREADS': '1'}


def program(*arguments, launcher=()):
    command = [sys.executable, *launcher, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD, timeout=120)


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Several add up in another order than the one of the programs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Log of a run that nothing interrupted, with dropout."""
    return train(tmp_path_factory.mktemp('runs') / 'whole', drop=0.5)


def test_learns(tmp_path):
    lines = [line for line in train(tmp_path / 'run', lr=0.1) if 'loss' in line]
    assert [line['step'] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]['loss'] < lines[0]['loss'] / 2
    assert all(line['again'] == pytest.approx(line['loss']) for line in lines)


def test_killed_run_goes_on_exactly(tmp_path, whole):
    """In the third epoch, three steps after a checkpoint."""
    killed = program(tmp_path / 'run', '--drop', 0.5, '--kill-after', 11)
    assert killed.returncode == -signal.SIGKILL
    assert len(log(tmp_path / 'run')) < len(whole)
    assert train(tmp_path / 'run', drop=0.5, resume=True) == whole


def test_run_that_breaks_off_before_any_checkpoint_starts_again(tmp_path, whole):
    def break_off(now):
        raise RuntimeError('power loss')

    with pytest.raises(RuntimeError):
        train(tmp_path / 'run', drop=0.5, on_step=break_off)
    assert len(log(tmp_path / 'run')) == 1
    assert train(tmp_path / 'run', drop=0.5, resume=True) == whole


def test_interrupted_run_keeps_its_last_step(tmp_path, whole):
    """The wish comes at the end of step 6; all processes know of it in the next one."""
    stopped = program(tmp_path / 'run', '--drop', 0.5, '--stop-after', 6)
    assert stopped.returncode == 1
    assert stopped.stderr.endswith('interrupted after step 7; go on with --resume\n')
    assert log(tmp_path / 'run') == whole[:8]  # seven steps, and a score after the fifth
    assert train(tmp_path / 'run', drop=0.5, resume=True) == whole


def test_who_asks_twice_need_not_wait():
    before = signal.getsignal(signal.SIGINT)  # in the background it may be ignored
    with patient() as wish:
        assert not wish.asked
        signal.raise_signal(signal.SIGTERM)
        assert wish.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_two_processes_are_as_one(tmp_path):
    alone = train(tmp_path / 'alone')
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    done = program(tmp_path / 'two', launcher=launcher)
    assert done.returncode == 0, done.stderr
    together = log(tmp_path / 'two')
    for one, two in zip(alone, together, strict=True):
        assert one == pytest.approx(two, rel=1e-5, abs=1e-6)


def test_finished_run_is_left_alone(tmp_path):
    lines = train(tmp_path / 'run')
    assert train(tmp_path / 'run', resume=True) == lines
    (checkpoint,) = (tmp_path / 'run' / 'checkpoint').iterdir()
    assert checkpoint.name == f'step-{STEPS:09}'


def test_other_settings_are_refused(tmp_path):
    train(tmp_path / 'run')
    with pytest.raises(UserError, match=r'was started with lr 0.01, not 0.02; go on with the'):
        train(tmp_path / 'run', resume=True, lr=0.02)
    with pytest.raises(UserError, match='was started with seed 0, not 1'):
        train(tmp_path / 'run', resume=True, seed=1)
    with pytest.raises(UserError, match='exists already; add --resume'):
        train(tmp_path / 'run')


@pytest.mark.parametrize('content', ['', '[]', '{"settings": 3}', '[' * 100_000])
def test_foreign_run_file_is_refused(tmp_path, content):
    (tmp_path / 'run.json').write_text(content)
    with pytest.raises(UserError, match='not what a training has written'):
        train(tmp_path, resume=True)


def test_foreign_folder_is_not_written_to(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    for resume in (False, True):
        with pytest.raises(UserError, match='exists already'):
            train(tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


@pytest.mark.parametrize('file', ['state.pt', 'network.safetensors'])
@pytest.mark.parametrize('content', [b'', b'nonsense', None])
def test_damaged_checkpoint_is_refused(tmp_path, file, content):
    train(tmp_path / 'run')
    (checkpoint,) = (tmp_path / 'run' / 'checkpoint').iterdir()
    old = (checkpoint / file).read_bytes()
    (checkpoint / file).write_bytes(old[: len(old) // 2] if content is None else content)
    with pytest.raises(UserError) as refused:
        train(tmp_path / 'run', resume=True)
    assert '\n' not in str(refused.value)
    assert str(checkpoint) in str(refused.value)


def test_checkpoint_of_other_contents_is_refused(tmp_path):
    train(tmp_path / 'run')
    (checkpoint,) = (tmp_path / 'run' / 'checkpoint').iterdir()
    torch.save({'kept': {}, 'about': json.dumps({})}, checkpoint / 'state.pt')
    with pytest.raises(UserError, match='cannot be gone on with'):
        train(tmp_path / 'run', resume=True)


def test_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(UserError, match='the loss of step 0 is nan'):
        train(tmp_path / 'run', fault=lambda total: total * float('nan'))


def test_memory_that_does_not_suffice_is_told(tmp_path):
    def too_much(total):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB')

    with pytest.raises(
        UserError, match='the memory of cpu does not suffice; take a smaller batch'
    ):
        train(tmp_path / 'run', fault=too_much)


def test_share_of_all_processes_is_the_whole():
    device = torch.device('cpu')
    shares = [Processes(device, rank, 3).share(range(7)) for rank in range(3)]
    assert sorted(index for share in shares for index in share) == list(range(7))


def test_random_follows_from_its_parts():
    assert random_of(1, 2).random() == random_of(1, 2).random()
    assert random_of(1, 2).random() != random_of(2, 1).random()


def test_common_batch_norm_is_torchs(tmp_path):
    """With one process that thinks it is of several: means, gradients, running statistics."""
    from torch import distributed

    store = distributed.FileStore(str(tmp_path / 'store'), 1)
    distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        maps = torch.randn(6, 1, 5, 5) * 3 + 2
        torch.manual_seed(0)
        own, torchs = TinyNetwork(), TinyNetwork()
        own.load_state_dict(torchs.state_dict())
        normalise_together(own)
        outputs = [network(maps, True, 0.0) for network in (own, torchs)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.square().sum().backward()
        for one, other in zip(own.parameters(), torchs.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)
        assert own.state_dict().keys() == torchs.state_dict().keys()
        for name, tensor in own.state_dict().items():
            torch.testing.assert_close(tensor, torchs.state_dict()[name])
        torch.testing.assert_close(own.eval()(maps, True, 0.0), torchs.eval()(maps, True, 0.0))
        assert own.train()(maps[:0], True, 0.0).shape == (0, 1)
    finally:
        distributed.destroy_process_group()


def test_tensorboard_has_the_losses(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    lines = train(tmp_path / 'run')
    board = EventAccumulator(str(tmp_path / 'run' / 'tensorboard')).Reload()
    shown = [event.value for event in board.Scalars('loss')]
    np.testing.assert_allclose(
        shown, [line['loss'] for line in lines if 'loss' in line], rtol=1e-6
    )
