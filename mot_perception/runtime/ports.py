"""The world outside of an engine: a ROS node, a DDS participant, a test."""

from __future__ import annotations

from typing import Protocol


class Ports(Protocol):
    """What an engine asks of its surroundings; all of it from any thread."""

    def publish(self, camera: str, output: str, data: bytes) -> None:
        """Send a serialised message on an output of a camera; '' is the only camera."""

    def wanted(self, camera: str, output: str) -> bool:
        """Return whether somebody listens to an output."""

    def has_field(self, output: str, field: str) -> bool:
        """Return whether the messages of an output have a field: their versions differ."""

    def topic(self, camera: str, role: str) -> str:
        """Return the full name of the topic of an input."""

    def now_ns(self) -> int:
        """Return the time by the clock that the stamps of images are of, nanoseconds."""

    def log(self, level: str, text: str) -> None:
        """Log one line; the level is 'info', 'warning' or 'error'."""
