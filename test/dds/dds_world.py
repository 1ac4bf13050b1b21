"""A DDS domain for each test, on the loopback interface alone; and processes in it."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

PEER = Path(__file__).with_name('dds_peer.py')
LOOPBACK = (
    '<General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
    '<AllowMulticast>false</AllowMulticast></General>'
    '<Discovery><ParticipantIndex>auto</ParticipantIndex>'
    '<Peers><Peer address="127.0.0.1"/></Peers><Tag>{}</Tag></Discovery>'
)
_count = itertools.count()
PATIENCE = 30.0
"""Seconds after which something is taken as never coming."""


def enter_new_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test and its processes meet where nobody else is, nor lingers from before."""
    number = next(_count)
    monkeypatch.setenv('ROS_DOMAIN_ID', str((os.getpid() + number) % 100 + 1))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SYSTEM_DEFAULT')
    monkeypatch.setenv('CYCLONEDDS_URI', LOOPBACK.format(f'test_{os.getpid()}_{number}'))


class Process:
    """A program whose lines on stdout and stderr are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: dict[str, queue.Queue[str]] = {
            'stdout': queue.Queue(),
            'stderr': queue.Queue(),
        }
        self.errors = ''
        self._readers = [
            Thread(target=self._read, args=(name,), daemon=True) for name in self._lines
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def line(self, containing: str = '', stream: str = 'stdout') -> str:
        """Wait for the next line that contains a text."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines[stream].get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f'{containing!r} never came; stderr: {self.errors}') from None
            if containing in line:
                return line

    def finding(self) -> Any:
        return json.loads(self.line())

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        code = self._process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def _read(self, name: str) -> None:
        for line in getattr(self._process, name):
            if name == 'stderr':
                self.errors += line
            self._lines[name].put(line)


def peer(role: str, *options: str) -> Process:
    return Process(str(PEER), role, *options)
