"""How the program ends: with its own code, whatever clean-up and late signals do."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import atexit, os, signal
from mot_perception.cli.interrupt import asked, leave, listen

listen()
"""
CRASH = """
atexit.register(os.abort)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print('stopped', asked())
    leave(2)
"""
LATE = """
atexit.register(os.kill, os.getpid(), signal.{name})
print('stopped', asked())
leave(0)
"""


def outcome(code):
    done = subprocess.run([sys.executable, '-c', BEFORE + code], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_clean_up_that_crashes_after_an_interrupt_changes_nothing():
    """Such as that of a compiler which was stopped half-way."""
    assert outcome(CRASH) == (2, 'stopped True\n', '')


def test_an_interrupt_while_libraries_load():
    code = """
class Interrupts:
    def find_spec(self, name, path, target=None):
        if name == 'numpy':
            os.kill(os.getpid(), signal.SIGINT)

import sys
from mot_perception.__main__ import run
sys.meta_path.insert(0, Interrupts())
run()
"""
    assert outcome(code) == (2, '', 'error: interrupted; nothing was kept\n')


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM'])
def test_a_signal_that_comes_too_late_changes_nothing(name):
    assert outcome(LATE.format(name=name)) == (0, 'stopped False\n', '')
