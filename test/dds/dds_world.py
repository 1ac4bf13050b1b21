"""A DDS domain for one test run, on the loopback interface alone; and processes in it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

PEER = Path(__file__).with_name('dds_peer.py')
LOOPBACK = (
    '<General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
    '<AllowMulticast>false</AllowMulticast></General>'
    '<Discovery><ParticipantIndex>auto</ParticipantIndex>'
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery>'
)
ENVIRONMENT = {
    'ROS_DOMAIN_ID': str(os.getpid() % 100 + 1),
    'CYCLONEDDS_URI': LOOPBACK,
    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
}
PATIENCE = 30.0
"""Seconds after which something is taken as never coming."""


class Process:
    """A program whose lines on stdout and stderr are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
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
        while True:
            try:
                line = self._lines[stream].get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f'{containing!r} never came; stderr: {self.errors}') from None
            if containing in line:
                return line

    def finding(self) -> Any:
        return json.loads(self.line())

    def stop(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self._process.send_signal(number)
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
