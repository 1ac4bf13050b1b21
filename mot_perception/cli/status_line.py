"""One line that tells how things are, and stays at the bottom of the terminal."""

from __future__ import annotations

import shutil
import sys
from threading import Lock
from time import monotonic

PERIOD = 10.0
"""Seconds between two lines where there is no terminal to write over."""
ERASE = '\r\x1b[2K'


class StatusLine:
    """Writes to stderr, for any thread.

    Args:
        quiet: Write nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._lock = Lock()
        self._shown = ''
        self._written = monotonic()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            self._write(f'{ERASE * bool(self._shown)}{text}\n{self._shown}')

    def show(self, text: str) -> None:
        """Write the line anew; where it cannot be written over, only now and then."""
        with self._lock:
            if self._terminal:
                self._shown = text[: shutil.get_terminal_size().columns - 1]
                self._write(ERASE + self._shown)
            elif monotonic() - self._written >= PERIOD:
                self._written = monotonic()
                self._write(f'{text}\n')

    def end(self, text: str) -> None:
        """Write the last line."""
        with self._lock:
            self._write(f'{ERASE * bool(self._shown)}{text}\n')
            self._shown = ''

    def _write(self, text: str) -> None:
        if not self._quiet:
            sys.stderr.write(text)
            sys.stderr.flush()
