"""Frames between the threads that receive them and the one that works on them."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

Letter = TypeVar('Letter')


class Mailbox(Generic[Letter]):
    """A short queue for each camera: where it is full, the oldest letter gives way.

    Args:
        cameras: Who may post; they are served in turn.
        capacity: Letters that wait for each; 1: the newest wins.
    """

    def __init__(self, cameras: Sequence[str], capacity: int = 1) -> None:
        self._queues: dict[str, deque[Letter]] = {camera: deque() for camera in cameras}
        self._dropped = dict.fromkeys(cameras, 0)
        self._turn = deque(cameras)
        self._capacity = capacity
        self._changed = Condition()
        self._closed = False

    def put(self, camera: str, letter: Letter) -> None:
        """Post a letter; never waits."""
        with self._changed:
            queue = self._queues[camera]
            if len(queue) == self._capacity:
                queue.popleft()
                self._dropped[camera] += 1
            queue.append(letter)
            self._changed.notify()

    def take(self) -> tuple[str, Letter, int] | None:
        """Wait for a letter.

        Returns:
            The camera, its oldest letter, and how many of its letters gave way since the last
            one; or None once the mailbox is closed.
        """
        with self._changed:
            while not self._closed:
                for _ in range(len(self._turn)):
                    camera = self._turn[0]
                    self._turn.rotate(-1)
                    if self._queues[camera]:
                        dropped, self._dropped[camera] = self._dropped[camera], 0
                        return camera, self._queues[camera].popleft(), dropped
                self._changed.wait()
            return None

    def clear(self) -> None:
        """Throw away what waits; it does not count as dropped."""
        with self._changed:
            for queue in self._queues.values():
                queue.clear()
            self._dropped = dict.fromkeys(self._dropped, 0)

    def close(self) -> None:
        """Send everybody who waits home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
