"""How much time passes between frames, by their stamps."""

from __future__ import annotations

from dataclasses import dataclass

from mot_perception.types import NANOSECONDS


@dataclass
class Clock:
    """Counts frame periods; tells when the source jumped back.

    Attributes:
        period: Seconds that one frame period lasts.
        by_stamps: Whether stamps count; otherwise each frame is one period.
        tolerance: Seconds that a stamp may lie before the newest one without being a jump.
        now: Frame periods since the first frame.
    """

    period: float
    by_stamps: bool
    tolerance: float
    now: float = 0.0
    _newest_ns: int | None = None

    def jumped_back(self, stamp_ns: int) -> bool:
        """Return whether this stamp lies too far before the newest one."""
        if not self.by_stamps or self._newest_ns is None:
            return False
        return (self._newest_ns - stamp_ns) / NANOSECONDS > self.tolerance

    def tick(self, stamp_ns: int) -> float:
        """Return the frame periods since the previous frame; 0 for a stamp that is not newer."""
        if self._newest_ns is None or not self.by_stamps:
            passed = 1.0
        else:
            passed = max(stamp_ns - self._newest_ns, 0) / NANOSECONDS / self.period
        self._newest_ns = max(stamp_ns, self._newest_ns or stamp_ns)
        self.now += passed
        return passed

    def reset(self) -> None:
        """Start anew with the next frame."""
        self.now, self._newest_ns = 0.0, None
