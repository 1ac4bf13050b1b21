"""A wish to stop that cannot get lost.

An interrupt is an exception at any point of the program. Where that point is inside a compiler or
a library's clean-up, it may be swallowed, or come out as another exception.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

FAILED = 2
"""Exit code of whatever the user can mend, and of an interrupt."""
INTERRUPTED = 'interrupted; nothing was kept'

_asked = False


def listen() -> None:
    """Remember Ctrl-C and a request to terminate, besides raising KeyboardInterrupt."""
    signal.signal(signal.SIGINT, _ask)
    signal.signal(signal.SIGTERM, _ask)


def asked() -> bool:
    """Return whether somebody has asked to stop."""
    return _asked


def check() -> None:
    """Raise KeyboardInterrupt if somebody has asked to stop; for loops over frames."""
    if _asked:
        raise KeyboardInterrupt


def leave(code: int) -> NoReturn:
    """Leave the program; whoever asks to stop from now on comes too late to change its code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if _asked:  # a compiler that was interrupted may crash when Python clears it away
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    sys.unraisablehook = lambda _: None  # half-made objects complain as they are cleared away
    raise KeyboardInterrupt
