"""FDTA: one network sees objects, and tells from their embeddings who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.errors import UserError
from mot_perception.methods.contract import Followed
from mot_perception.trackers.fdta import FdtaTracker
from mot_perception.types import Embeddings

if TYPE_CHECKING:
    from mot_perception.config import Config
    from mot_perception.fdta.detector import FdtaDetector
    from mot_perception.methods.contract import Timed
    from mot_perception.types import Detections, Frame


class Fdta:
    """Looks at the image, and at nothing else.

    Args:
        config: The settings.
        detector: What `load_models` made of them.
    """

    def __init__(self, config: Config, detector: FdtaDetector) -> None:
        self.tracker = FdtaTracker(detector.network, config.fdta)
        self._detector = detector

    def step(self, frame: Frame, detections: Detections | None, timed: Timed) -> Followed:
        """Track one frame; see `Method.step`.

        Raises:
            UserError: There is no image; or there are detections: they come without embeddings.
        """
        if detections is not None:
            raise UserError("method 'fdta' finds objects itself; give it none")
        if frame.image is None:
            raise UserError("method 'fdta' looks for objects in images, and there is none")
        with timed('detection'):
            found, embeddings = self._detector.detect(frame.image)
        with timed('association'):
            tracked = self.tracker.update(frame, found, Embeddings(embeddings))
        return Followed(tracked, found, None)

    def reconfigure(self, config: Config) -> None:
        """Apply the live settings of the tracker; see `Method.reconfigure`."""
        self.tracker.reconfigure(config.fdta)

    def reset(self) -> None:
        """Forget all tracks."""
        self.tracker.reset()
