"""Find what belongs to one frame among the messages of several topics."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Stamped:
    """One raw message.

    Attributes:
        role: What it carries: 'image', 'depth', ….
        stamp_ns: Its header's stamp.
        log_ns: When it was recorded.
        raw: Its bytes.
    """

    role: str
    stamp_ns: int
    log_ns: int
    raw: bytes


def synchronise(
    messages: Iterable[Stamped], leader: str, companions: Iterable[str], tolerance_ns: float
) -> Iterator[dict[str, Stamped]]:
    """Yield each message of the leading role with the nearest one of each companion role.

    A frame is given out once every companion has a message of its stamp or a later one, or can no
    longer be expected. Each message is used once. Frames come in the order they were recorded in,
    also where time jumps back.

    Args:
        messages: In the order of log times.
        leader: Role that makes a frame.
        companions: Roles that are matched to it.
        tolerance_ns: Largest difference of stamps.

    Yields:
        The messages of one frame by role; a companion without a match is missing.
    """
    waiting: deque[Stamped] = deque()
    streams: dict[str, deque[Stamped]] = {role: deque() for role in companions}
    for message in messages:
        if message.role == leader:
            waiting.append(message)
        else:
            streams[message.role].append(message)
        while waiting and _is_ready(waiting, streams, message.log_ns):
            yield _match(waiting.popleft(), streams, tolerance_ns)
    while waiting:
        yield _match(waiting.popleft(), streams, tolerance_ns)


def _is_ready(waiting: deque[Stamped], streams: dict[str, deque[Stamped]], now_ns: int) -> bool:
    head = waiting[0]
    if len(waiting) > MOST_WAITING or now_ns > head.log_ns + LATENESS_NS:
        return True
    return all(stream and stream[-1].stamp_ns >= head.stamp_ns for stream in streams.values())


def _match(
    head: Stamped, streams: dict[str, deque[Stamped]], tolerance_ns: float
) -> dict[str, Stamped]:
    frame = {head.role: head}
    for role, stream in streams.items():
        while stream and stream[0].log_ns < head.log_ns - 2 * LATENESS_NS:
            stream.popleft()
        nearest = min(stream, key=lambda it: abs(it.stamp_ns - head.stamp_ns), default=None)
        if nearest is not None and abs(nearest.stamp_ns - head.stamp_ns) <= tolerance_ns:
            stream.remove(nearest)
            frame[role] = nearest
    return frame
