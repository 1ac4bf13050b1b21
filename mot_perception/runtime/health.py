"""How one camera fares: rates, latencies, drops and faults, as diagnostics tell it."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

OK, WARN, ERROR = 0, 1, 2
"""Levels of diagnostic_msgs/DiagnosticStatus."""
FRAMES_REMEMBERED = 300
KINDS_REMEMBERED = 100
RECENT = 5.0
"""Seconds for which a fault is news."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of one camera.

    Attributes:
        level: `OK`, `WARN` or `ERROR`.
        message: One line.
        values: What was measured, as text.
    """

    level: int
    message: str
    values: Mapping[str, str]


class Health:
    """Counts what happens to one camera's messages; for any thread.

    Args:
        stale_after: Seconds without a message of an input after which it is missed.
        expected: Name of the topic of each input that there has to be.
    """

    def __init__(self, stale_after: float, expected: Mapping[str, str]) -> None:
        self._stale_after = stale_after
        self._topics = dict(expected)
        self._lock = Lock()
        self._faults: Counter[str] = Counter()
        self._last_fault, self._last_fault_at = '', -RECENT
        self._arrived: dict[str, float] = {}
        self._received: Counter[str] = Counter()
        self._done: deque[float] = deque(maxlen=FRAMES_REMEMBERED)
        self._latency: deque[float] = deque(maxlen=FRAMES_REMEMBERED)
        self._processing: deque[float] = deque(maxlen=FRAMES_REMEMBERED)
        self.begin()
        self.frames = self.dropped = self.unmatched = self.objects = self.resets = 0

    def begin(self) -> None:
        """Start waiting for messages: silence counts from now."""
        self._began = monotonic()
        self._arrived.clear()
        with self._lock:
            self._done.clear()

    def arrived(self, role: str) -> None:
        """Count a message."""
        self._arrived[role] = monotonic()
        self._received[role] += 1

    def finished(self, latency_ns: int, processing_ns: int, objects: int) -> None:
        """Count a frame that was published.

        Args:
            latency_ns: From the stamp of its image to its publication.
            processing_ns: Time it was worked on.
            objects: How many were found in it.
        """
        with self._lock:
            self._done.append(monotonic())
            self._latency.append(latency_ns / 1e6)
            self._processing.append(processing_ns / 1e6)
            self.frames, self.objects = self.frames + 1, objects

    def fault(self, text: str) -> bool:
        """Count something that was wrong; return whether it is the first of its kind."""
        kind = re.sub(r'\d+', '#', text)
        with self._lock:
            if kind not in self._faults and len(self._faults) >= KINDS_REMEMBERED:
                kind = 'others'
            self._faults[kind] += 1
            self._last_fault, self._last_fault_at = text, monotonic()
            return self._faults[kind] == 1

    @property
    def faults(self) -> int:
        """How often something was wrong."""
        return self._faults.total()

    @property
    def rate(self) -> float:
        """Frames per second of late; 0 where nothing has come for a while."""
        with self._lock:
            done = list(self._done)
        if len(done) < 2 or monotonic() - done[-1] > max(self._stale_after, RECENT):
            return 0.0
        return (len(done) - 1) / max(done[-1] - done[0], 1e-9)

    def missing(self) -> dict[str, float]:
        """Return the inputs that have been silent for too long, with the seconds."""
        now = monotonic()
        silent = {role: now - self._arrived.get(role, self._began) for role in self._topics}
        return {role: quiet for role, quiet in silent.items() if quiet > self._stale_after}

    def diagnose(self) -> Diagnosis:
        """Say how the camera fares."""
        return Diagnosis(*self._verdict(), self._values())

    def _verdict(self) -> tuple[int, str]:
        for role, quiet in self.missing().items():
            never = 'yet' if role not in self._arrived else f'for {quiet:.0f} s'
            return WARN, f'no {role} {never} on {self._topics[role]}'
        if self._last_fault and monotonic() - self._last_fault_at < RECENT:
            return WARN, self._last_fault
        return OK, f'{self.rate:.1f} frames/s, {self.objects} objects'

    def _values(self) -> dict[str, str]:
        with self._lock:
            latency, processing = list(self._latency), list(self._processing)
        return {
            'frames/s': f'{self.rate:.1f}',
            'frames': str(self.frames),
            'dropped': str(self.dropped),
            'unmatched': str(self.unmatched),
            'objects': str(self.objects),
            'resets': str(self.resets),
            **_percentiles('latency', latency),
            **_percentiles('processing', processing),
            **{f'received {role}': str(self._received[role]) for role in self._topics},
            'faults': str(self.faults),
            'last fault': self._last_fault,
        }


def _percentiles(name: str, milliseconds: list[float]) -> dict[str, str]:
    median, high = np.percentile(milliseconds, (50, 95)) if milliseconds else (np.nan, np.nan)
    return {f'{name} p50 ms': f'{median:.1f}', f'{name} p95 ms': f'{high:.1f}'}
