"""`replay.launch.py`: a bag through the real node gives what the offline replay of it gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed here')
pytest.importorskip('mot_perception.msg', reason='the messages are not built: colcon build')

import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from mot_perception.bags.tracks_bag import read_tracks
from mot_perception.cli.scene import scene

LAUNCH_FILE = Path(__file__).resolve().parents[2] / 'launch' / 'replay.launch.py'
LONGEST = 300
FRAMES = 45


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Return a short RGB-D recording of people, with detections."""
    try:
        get_package_prefix('mot_perception')
    except PackageNotFoundError:
        pytest.skip('mot_perception is not installed: colcon build')
    ros2 = shutil.which('ros2')
    if ros2 is None or subprocess.run([ros2, 'bag', '--help'], capture_output=True).returncode:
        pytest.skip('ros2 bag is not installed here')
    return scene(
        tmp_path_factory.mktemp('bags') / 'crossing',
        people=4, seconds=3, fps=15, size=(320, 180), quiet=True,
    )  # fmt: skip


@pytest.mark.parametrize('config', ['motion', 'selftrencmot'])
def test_equals_the_offline_replay(bag, tmp_path, config):
    # In a process of its own, with the installed package: what it compiles, the node need not.
    offline = tmp_path / 'offline'
    run([sys.executable, '-m', 'mot_perception', 'replay', bag, '--out', offline,
         '--config', config, '--no-evaluate', '--quiet'], tmp_path)  # fmt: skip
    out = tmp_path / 'recorded'
    arguments = {'bag': bag, 'out': out, 'params_file': config, 'rate': 0.5, 'name': 'replayed'}
    command = ['ros2', 'launch', '--noninteractive', LAUNCH_FILE]
    said = run(command + [f'{name}:={value}' for name, value in arguments.items()], tmp_path)
    assert out.is_dir(), said

    online = list(read_tracks(out, '/tracks'))
    expected = list(read_tracks(offline / 'tracks', '/tracks'))
    assert len(expected) == FRAMES
    assert [it.frame.stamp_ns for it in online] == [it.frame.stamp_ns for it in expected], said
    assert sum(it.dropped_frames for it in online) == 0
    for ours, theirs in zip(online, expected, strict=True):
        for name in ('id', 'state', 'xyxy', 'score', 'depth', 'velocity', 'age', 'hits'):
            np.testing.assert_array_equal(
                getattr(ours.tracks, name), getattr(theirs.tracks, name), err_msg=name
            )


def run(command, folder) -> str:
    """Run a program, with the Python of this test first in PATH; return what it said."""
    env = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True, text=True, timeout=LONGEST, env=env, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
