"""Find what belongs to one frame among the messages of several topics."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LATENESS_NS = NANOSECONDS
"""A companion may be logged so much later than its frame: a detector takes its time."""
MOST_WAITING = 64
"""Frames kept in memory while their companions are awaited."""
MOST_COMPANIONS = 256
"""Companions kept in memory while their frame is awaited."""
JUMP_NS = NANOSECONDS // 2
"""Stamps that run back farther are a jump of the clock, no disorder."""


@dataclass(frozen=True, slots=True)
class Stamped:
    """One raw message.

    Attributes:
        role: What it carries: 'image', 'depth', ….
        stamp_ns: Its header's stamp.
        log_ns: When it was recorded, or when it arrived.
        raw: Its bytes.
    """

    role: str
    stamp_ns: int
    log_ns: int
    raw: bytes


class Synchroniser:
    """Gives each message of the leading role the nearest one of each companion role.

    A frame is given out once every companion has a message of its stamp or a later one, or can no
    longer be expected. Each message is used once. Frames come in the order they arrived in, also
    where time jumps back.

    Args:
        leader: Role that makes a frame.
        companions: Roles that are matched to it.
        tolerance_ns: Largest difference of stamps.
        lateness_ns: How much later than its frame a companion may arrive.
        most_waiting: Frames kept in memory while their companions are awaited.
        stale_ns: A companion that has been silent for so long is not waited for; 0: it always is.
    """

    def __init__(
        self,
        leader: str,
        companions: Iterable[str],
        tolerance_ns: float,
        *,
        lateness_ns: int = LATENESS_NS,
        most_waiting: int = MOST_WAITING,
        stale_ns: int = 0,
    ) -> None:
        self._leader = leader
        self._tolerance_ns = tolerance_ns
        self._lateness_ns = lateness_ns
        self._most_waiting = most_waiting
        self._stale_ns = stale_ns
        self._waiting: deque[Stamped] = deque()
        self._streams: dict[str, deque[Stamped]] = {
            role: deque(maxlen=MOST_COMPANIONS) for role in companions
        }
        self._newest_ns: int | None = None
        self._heard_ns: dict[str, int] = {}

    def push(self, message: Stamped) -> Iterator[dict[str, Stamped]]:
        """Take a message, and yield the frames that are complete now, by role.

        A companion without a match is missing from its frame.
        """
        if message.role != self._leader:
            stream = self._streams[message.role]
            stream.append(message)
            if not self._waiting:  # frames may never come: depth images would fill the memory
                self._forget_old(stream, message.log_ns)
            self._heard_ns[message.role] = message.log_ns
        else:
            if self._newest_ns is not None and message.stamp_ns < self._newest_ns - JUMP_NS:
                yield from self.flush()
                self._forget_later(message.stamp_ns)
            self._newest_ns = message.stamp_ns
            self._waiting.append(message)
        while self._waiting and self._is_ready(message.log_ns):
            yield self._match(self._waiting.popleft())

    def flush(self) -> Iterator[dict[str, Stamped]]:
        """Yield the frames that still wait: nothing more is expected for them."""
        while self._waiting:
            yield self._match(self._waiting.popleft())

    def _forget_old(self, stream: deque[Stamped], now_ns: int) -> None:
        while stream and stream[0].log_ns < now_ns - 2 * self._lateness_ns:
            stream.popleft()

    def _forget_later(self, stamp_ns: int) -> None:
        """Drop companions from before a jump back: they are of no frame that will come soon."""
        for stream in self._streams.values():
            kept = [it for it in stream if it.stamp_ns <= stamp_ns + JUMP_NS]
            stream.clear()
            stream.extend(kept)

    def _is_ready(self, now_ns: int) -> bool:
        head = self._waiting[0]
        if len(self._waiting) > self._most_waiting or now_ns > head.log_ns + self._lateness_ns:
            return True
        return all(
            (stream and stream[-1].stamp_ns >= head.stamp_ns) or self._is_silent(role, now_ns)
            for role, stream in self._streams.items()
        )

    def _is_silent(self, role: str, now_ns: int) -> bool:
        heard_ns = self._heard_ns.setdefault(role, now_ns)  # silence counts from the first frame
        return self._stale_ns > 0 and now_ns - heard_ns > self._stale_ns

    def _match(self, head: Stamped) -> dict[str, Stamped]:
        frame = {head.role: head}
        for role, stream in self._streams.items():
            self._forget_old(stream, head.log_ns)
            nearest = min(stream, key=lambda it: abs(it.stamp_ns - head.stamp_ns), default=None)
            if nearest is None or abs(nearest.stamp_ns - head.stamp_ns) > self._tolerance_ns:
                continue
            stream.remove(nearest)
            frame[role] = nearest
        return frame


def synchronise(
    messages: Iterable[Stamped], leader: str, companions: Iterable[str], tolerance_ns: float
) -> Iterator[dict[str, Stamped]]:
    """Yield the frames of a recording; see `Synchroniser`.

    Args:
        messages: In the order of log times.
        leader: Role that makes a frame.
        companions: Roles that are matched to it.
        tolerance_ns: Largest difference of stamps.
    """
    synchroniser = Synchroniser(leader, companions, tolerance_ns)
    for message in messages:
        yield from synchroniser.push(message)
    yield from synchroniser.flush()


def stamp_of(raw: bytes, log_ns: int) -> int:
    """Return the header stamp of a raw message in ns; its log time if it has no stamp.

    All messages with a header start with it.
    """
    if len(raw) < 12:
        return log_ns
    sec, nanosec = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return sec * NANOSECONDS + nanosec or log_ns
