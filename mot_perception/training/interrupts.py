"""A wish to stop that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@dataclass
class Wish:
    """Whether somebody has asked to stop."""

    asked: bool = False


@contextmanager
def patient() -> Iterator[Wish]:
    """Note Ctrl-C or a request to terminate; the second one does what it did before."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        usual = before[signal.Signals(number)]
        if wish.asked:
            if callable(usual):
                usual(number, frame)
            raise KeyboardInterrupt
        wish.asked = True

    for number in before:
        signal.signal(number, ask)
    try:
        yield wish
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
