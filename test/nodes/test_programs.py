"""The installed programs before they come to rclpy: what is missing, and early signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / 'cmake' / 'node.py.in'
LONGEST = 60


@pytest.fixture
def start(tmp_path):
    """Start the program of a node in a world that has nothing but what a test puts there."""
    program = tmp_path / 'program.py'
    text = TEMPLATE.read_text('utf-8')
    program.write_text(text.replace('@PROJECT_NAME@', 'world').replace('@_node@', 'some_node'))

    def start(**modules: str) -> subprocess.Popen[str]:
        for name, source in modules.items():
            (tmp_path / f'{name}.py').write_text(source)
        return subprocess.Popen(
            [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_is_no_crash(start, number):
    slow = "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    with start(rclpy=slow) as running:
        assert running.stdout.readline() == 'importing\n'
        running.send_signal(number)
        _, errors = running.communicate(timeout=LONGEST)
    assert (running.returncode, errors) == (0, '')


def test_without_libraries_one_line_says_so(start):
    with start(rclpy='') as running:
        _, errors = running.communicate(timeout=LONGEST)
    assert running.returncode == 1
    (line,) = errors.splitlines()
    assert 'activate the virtual environment' in line
