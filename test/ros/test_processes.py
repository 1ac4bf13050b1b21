"""The installed program of a node: how it is interrupted, and how it refuses to start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed here')

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

LONGEST = 120


@pytest.fixture
def program():
    """Return the path of the tracker's program."""
    try:
        return Path(get_package_prefix('mot_perception')) / 'lib/mot_perception/tracker_node'
    except PackageNotFoundError:
        pytest.skip('mot_perception is not installed: colcon build')


def test_wrong_parameters_are_told_in_one_line(program):
    command = [program, '--ros-args', '-p', 'tracker.max_age:=-1.0', '-r', '__ns:=/mot_test/wrong']
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: tracker.max_age: ')


def test_control_c_in_a_terminal_ends_it_cleanly(program):
    """It reaches the node twice: from the terminal, and from `ros2 launch`."""
    if shutil.which('ros2') is None:
        pytest.skip('ros2 is not installed here')
    command = ['ros2', 'launch', 'mot_perception', 'tracker.launch.py', 'namespace:=/mot_test/end']
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as launched:
        lines = iter(launched.stdout.readline, '')
        assert any('ready' in line for line in lines)
        os.killpg(launched.pid, signal.SIGINT)
        rest = launched.stdout.read()
        assert launched.wait(LONGEST) == 0, rest
    assert 'process has finished cleanly' in rest
    assert 'Traceback' not in rest
