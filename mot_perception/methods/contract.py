"""What the pipeline asks of a method."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mot_perception.config import Config
    from mot_perception.perception.protocols import ObjectMasks
    from mot_perception.trackers.contract import Tracker
    from mot_perception.types import Detections, Frame, TrackedFrame

Timed = Callable[[str], AbstractContextManager[None]]
"""Takes the time of a stage by its name, for people."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A frame after its objects have got identities.

    Attributes:
        tracked: What the tracker says; depth is still unknown.
        detections: The N objects that its tracks were matched with.
        masks: Where these are; None: nobody looked.
    """

    tracked: TrackedFrame
    detections: Detections
    masks: ObjectMasks | None


class Method(Protocol):
    """Sees the objects of one camera's frames and tells who they are.

    Attributes:
        tracker: The tracker, open to inspection.
    """

    @property
    def tracker(self) -> Tracker:
        """The tracker."""

    def step(self, frame: Frame, detections: Detections | None, timed: Timed) -> Followed:
        """Track one frame; a frame without detections is stepped like any other.

        Args:
            frame: With or without image and depth.
            detections: N boxes in pixels of the frame, or None to look for them in the image.
            timed: Takes the time of each stage.

        Raises:
            UserError: Something that the method needs is missing.
        """

    def reconfigure(self, config: Config) -> None:
        """Apply the live settings of the tracker.

        Raises:
            UserError: Another setting of it differs; nothing is applied then.
        """

    def reset(self) -> None:
        """Forget all tracks."""
