"""What is wrong is one line on stderr and exit code 2; nothing half done stays behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path  # noqa: TC003

import cv2
import numpy as np
import pytest
from test_verbs import make_sequence

from mot_perception.cli import recording
from mot_perception.cli.main import main
from mot_perception.pipeline import Pipeline


@pytest.fixture
def sequence(tmp_path) -> Path:
    return make_sequence(tmp_path / 'apart')


@pytest.fixture
def fails(capfd):
    """Run the program, expect exit code 2 and one line; return the line."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if line.startswith('error: ')]
        assert len(lines) == 1
        assert err.rstrip().endswith(lines[0])
        assert 'Traceback' not in err + out
        return lines[0]

    return run


def left_behind(folder: Path) -> list[str]:
    """Hidden or new things beside the inputs."""
    return sorted(path.name for path in folder.iterdir() if path.name != 'apart')


class TestInput:
    def test_missing(self, fails, tmp_path):
        assert 'nowhere' in fails('replay', tmp_path / 'nowhere', '--out', tmp_path / 'out')
        assert left_behind(tmp_path) == []

    def test_empty_folder(self, fails, tmp_path):
        (tmp_path / 'apart').mkdir()
        fails('replay', tmp_path / 'apart', '--out', tmp_path / 'out')

    @pytest.mark.parametrize('suffix', ['.mcap', '.db3', '.mp4', '.avi', '.txt', '.jpg', ''])
    def test_not_what_its_name_says(self, fails, tmp_path, suffix):
        file = tmp_path / f'apart{suffix}'
        file.write_bytes(b'\x00\x01garbage' * 100)
        assert file.name in fails('replay', file, '--out', tmp_path / 'out')
        assert not (tmp_path / 'out').exists()

    @pytest.mark.parametrize(
        ('row', 'part'),
        [
            ('1,-1,nan,2,3,4,0.5', 'det.txt:41'),
            ('1,-1,10,10,-5,8,0.5', 'det.txt:41'),
            ('1,-1,10,10,5,8,140', '--score-range'),
            ('1,-1,10', 'det.txt:41'),
            ('one,two,3,4,5,6', 'det.txt:41'),
            ('99,-1,10,10,5,8,0.5', '99'),
        ],
    )
    def test_bad_rows_are_named(self, fails, sequence, tmp_path, row, part):
        with (sequence / 'det/det.txt').open('a') as stream:
            stream.write(row + '\n')
        assert part in fails('replay', sequence, '--out', tmp_path / 'out')
        assert left_behind(tmp_path) == []

    def test_neither_detections_nor_images(self, fails, sequence, tmp_path):
        (sequence / 'det/det.txt').unlink()
        line = fails('replay', sequence, '--out', tmp_path / 'out')
        assert 'apart: has neither detections nor images; give --detections' in line

    def test_no_detections(self, fails, tmp_path):
        (tmp_path / 'apart').mkdir()
        cv2.imwrite(str(tmp_path / 'apart/0.png'), np.zeros((48, 64, 3), np.uint8))
        config = tmp_path / 'c.yaml'
        config.write_text('detector: {backend: topic}')
        arguments = 'replay', tmp_path / 'apart', '--fps', 9, '--out', tmp_path / 'out'
        line = fails(*arguments, '--config', config)
        assert 'apart: has no detections; give --detections det.txt, or set detector.b' in line
        assert left_behind(tmp_path) == ['c.yaml']

    def test_one_det_file_for_a_set(self, fails, tmp_path):
        for name in ('a', 'b'):
            make_sequence(tmp_path / 'set' / name)
        det = tmp_path / 'set/a/det/det.txt'
        assert 'set' in fails(
            'replay', tmp_path / 'set', '--detections', det, '--out', tmp_path / 'out'
        )

    def test_evaluate_without_tracks(self, fails, sequence, tmp_path):
        assert 'apart' in fails('evaluate', '--gt', sequence, '--tracks', tmp_path)

    @pytest.mark.parametrize(
        'option',
        [
            ('--people', '-1'),
            ('--fps', '0'),
            ('--size', '1', '1'),
            ('--drop-rate', '2'),
            ('--seconds', '0'),
            ('--motion', 'swim'),
            ('--boxes', 'nowhere'),
        ],
    )
    def test_impossible_scene(self, fails, tmp_path, option):
        fails('scene', tmp_path / 'out', *option)
        assert left_behind(tmp_path) == []

    def test_detections_of_another_recording(self, fails, sequence, tmp_path):
        det = tmp_path / 'det.txt'
        det.write_text('21,-1,10,10,5,8,0.5\n')
        line = fails('replay', sequence, '--detections', det, '--out', tmp_path / 'out')
        assert 'up to frame 21, but apart ends with frame 20' in line
        assert left_behind(tmp_path) == ['det.txt']


class TestConfiguration:
    def test_key_without_a_likeness(self, fails, sequence, tmp_path):
        config = tmp_path / 'c.yaml'
        config.write_text('tracker: {iou_thresh: 0.3}')
        line = fails('replay', sequence, '--config', config, '--out', tmp_path / 'out')
        assert 'nearest are' in line
        assert len(line) < 250

    def test_misspelt_key(self, fails, sequence, tmp_path):
        config = tmp_path / 'c.yaml'
        config.write_text('tracker: {maxage: 3}')
        line = fails('replay', sequence, '--config', config, '--out', tmp_path / 'out')
        assert 'did you mean tracker.max_age?' in line

    @pytest.mark.parametrize('role', ['detector', 'depth'])
    def test_model_that_is_not_there(self, fails, tmp_path, role):
        pytest.importorskip('transformers')
        (tmp_path / 'apart').mkdir()
        cv2.imwrite(str(tmp_path / 'apart/0.png'), np.zeros((48, 64, 3), np.uint8))
        config = tmp_path / 'c.yaml'
        config.write_text(f'{role}: {{backend: transformers, model: ./nowhere}}')
        arguments = 'replay', tmp_path / 'apart', '--fps', 9, '--out', tmp_path / 'out'
        assert './nowhere: no such folder' in fails(*arguments, '--config', config)
        assert left_behind(tmp_path) == ['c.yaml']

    def test_topics_that_are_not_there(self, fails, tmp_path):
        from mot_perception.cli.scene import scene

        bag = scene(tmp_path / 'bag', people=1, seconds=0.2, size=(64, 48), quiet=True)
        config = tmp_path / 'c.yaml'
        config.write_text('input: {topics: {image: /camra/image_raw}}')
        assert '/camra/image_raw' in fails(
            'replay', bag, '--config', config, '--out', tmp_path / 'out'
        )


class TestArguments:
    @pytest.mark.parametrize(
        ('arguments', 'part'),
        [
            (['replya'], 'replay'),
            (['replay'], 'INPUT'),
            (['replay', 'x'], '--out'),
            (['replay', 'x', '--out', 'y', '--fps', 'fast'], '--fps'),
            (['replay', 'x', '--out', 'y', '--score-range', '1'], '--score-range'),
            (['scene', 'x', '--peple', '3'], '--people'),
            (['bench', '--objects', '0'], '--objects'),
        ],
    )
    def test_wrong_ones_are_named(self, fails, arguments, part):
        assert part in fails(*arguments)


class TestExtra:
    @pytest.mark.parametrize('library', ['trackeval', 'jinja2'])
    def test_replay_says_what_is_missing(self, fails, sequence, tmp_path, monkeypatch, library):
        monkeypatch.setitem(sys.modules, library, None)
        line = fails('replay', sequence, '--out', tmp_path / 'out')
        assert f'{library}: not installed; run "pip install' in line
        assert left_behind(tmp_path) == []

    def test_evaluate_says_what_is_missing(self, fails, sequence, monkeypatch):
        monkeypatch.setitem(sys.modules, 'trackeval', None)
        gt = sequence / 'gt/gt.txt'
        assert 'trackeval: not installed' in fails('evaluate', '--gt', gt, '--tracks', gt)


class TestOutput:
    def test_nothing_is_replaced_without_force(self, fails, sequence, tmp_path):
        out = tmp_path / 'out'
        out.mkdir()
        (out / 'mine').write_text('precious')
        assert '--force' in fails('replay', sequence, '--out', out)
        assert 'run.json' in fails('replay', sequence, '--out', out, '--force')
        assert (out / 'mine').read_text() == 'precious'
        (out / 'run.json').touch()
        assert main(['replay', str(sequence), '--out', str(out), '--force', '-q']) == 0
        assert not (out / 'mine').exists()
        assert (out / 'apart.txt').exists()

    def test_failure_with_force_keeps_what_was_there(self, fails, sequence, tmp_path):
        out = tmp_path / 'out'
        out.mkdir()
        (out / 'run.json').touch()
        (out / 'mine').write_text('precious')
        (sequence / 'det/det.txt').write_text('what?')
        fails('replay', sequence, '--out', out, '--force')
        assert (out / 'mine').read_text() == 'precious'
        assert left_behind(tmp_path) == ['out']

    def test_force_spares_the_input(self, fails, sequence, tmp_path):
        (sequence / 'run.json').touch()
        (tmp_path / 'run.json').touch()
        for out in (sequence, tmp_path):
            assert 'input' in fails('replay', sequence, '--out', out, '--force')
        assert (sequence / 'det/det.txt').exists()

    def test_out_below_a_file(self, fails, sequence, tmp_path):
        (tmp_path / 'file').touch()
        fails('replay', sequence, '--out', tmp_path / 'file' / 'out')

    @pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
    def test_folder_not_writable(self, fails, sequence, tmp_path):
        locked = tmp_path / 'locked'
        locked.mkdir(mode=0o500)
        assert 'locked' in fails('replay', sequence, '--out', locked / 'out')

    @pytest.mark.parametrize('number', [errno.ENOSPC, errno.EACCES, errno.EIO])
    def test_disk_refuses_in_mid_run(self, fails, sequence, tmp_path, monkeypatch, number):
        """The text of the tracks cannot be written; bag and video are there already."""

        def write(*_args, **_kwargs):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr('mot_perception.bags.mot.write_mot', write)
        assert os.strerror(number) in fails('replay', sequence, '--out', tmp_path / 'out')
        assert left_behind(tmp_path) == []

    def test_interrupted_in_mid_run(self, fails, sequence, tmp_path, monkeypatch):
        class Interrupted(Pipeline):
            def step(self, frame, detections):
                if frame.index == 7:
                    raise KeyboardInterrupt
                return super().step(frame, detections)

        monkeypatch.setattr(recording, 'Pipeline', Interrupted)
        assert 'interrupted' in fails('replay', sequence, '--out', tmp_path / 'out')
        assert left_behind(tmp_path) == []

    @pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
    def test_signal_leaves_nothing(self, tmp_path, how):
        """A real process, stopped while it renders."""
        arguments = ['scene', str(tmp_path / 'out'), '--seconds', '600']
        process = subprocess.Popen(
            [sys.executable, '-m', 'mot_perception', *arguments], stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while not left_behind(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert err.rstrip().splitlines()[-1].startswith('error: interrupted')
        assert 'Traceback' not in err
        assert left_behind(tmp_path) == []
