"""SelfTrEncMOT: boxes of any detector, told apart by overlap, looks, masks and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.errors import UserError
from mot_perception.methods.contract import Followed
from mot_perception.perception.grid import depth_of_cells
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import Embeddings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.config import Config
    from mot_perception.methods.contract import Timed
    from mot_perception.models import Models
    from mot_perception.perception.protocols import DepthSegCue, ObjectMasks
    from mot_perception.types import Detections, Frame


class SelfTrEncMot:
    """Asks every model that is loaded, then the tracker.

    Cues whose input a frame lacks (no image, no depth) are off for that frame.

    Args:
        config: The settings.
        models: What `load_models` made of them.
        tracker: Instead of the usual one.
    """

    def __init__(
        self, config: Config, models: Models, tracker: SelfTrEncMotTracker | None = None
    ) -> None:
        self.tracker = tracker or SelfTrEncMotTracker(config.tracker)
        self._config, self._models = config, models
        self._previous: Frame | None = None

    def step(self, frame: Frame, detections: Detections | None, timed: Timed) -> Followed:
        """Track one frame; see `Method.step`.

        Raises:
            UserError: There are no detections, and no detector or no image either.
        """
        if detections is None:
            detections = self._detect(frame, timed)
        masks = self._see_masks(frame, detections, timed)
        embeddings = Embeddings(self._see_appearance(frame, detections, timed))
        cue = self._models.depthseg
        if cue is not None and masks is not None and frame.depth is not None:
            with timed('depth-segmentation'):
                embeddings = self._with_depthseg(embeddings, frame, masks, cue)
        with timed('association'):
            tracked = self.tracker.update(frame, detections, embeddings)
        self._previous = frame if masks is not None else None
        return Followed(tracked, detections, masks)

    def reconfigure(self, config: Config) -> None:
        """Apply the live settings of the tracker; see `Method.reconfigure`."""
        self.tracker.reconfigure(config.tracker)

    def reset(self) -> None:
        """Forget all tracks, and the frame before."""
        self.tracker.reset()
        self._previous = None

    def _detect(self, frame: Frame, timed: Timed) -> Detections:
        if self._models.detector is None:
            raise UserError(
                "there are no detections and no detector: set detector.backend to 'hog', 'yolox' "
                "or 'transformers'"
            )
        if frame.image is None:
            raise UserError('there are neither detections nor an image to look for them in')
        with timed('detection'):
            (found,) = self._models.detector.detect([frame.image])
        return found

    def _see_masks(self, frame: Frame, detections: Detections, timed: Timed) -> ObjectMasks | None:
        looked_at = frame.depth if self._config.masks.backend == 'depth' else frame.image
        if self._models.masks is None or looked_at is None:
            return None
        with timed('masks'):
            return self._models.masks.step(self._previous or frame, frame, detections.xyxy)

    def _see_appearance(
        self, frame: Frame, detections: Detections, timed: Timed
    ) -> NDArray[np.float32] | None:
        if self._models.appearance is None or frame.image is None:
            return None
        with timed('appearance'):
            return self._models.appearance.embed(frame.image, detections.xyxy)

    def _with_depthseg(
        self, embeddings: Embeddings, frame: Frame, masks: ObjectMasks, cue: DepthSegCue
    ) -> Embeddings:
        """Each mask is multiplied with the depth of its own time (paper §3.2), or of now."""
        before = self._previous or frame
        own = self._config.depthseg.previous_depth == 'own' and before.depth is not None
        past = depth_of_cells(before if own else frame, masks.previous)
        previous, valid = cue.embed(past, masks.previous)
        valid &= masks.reliable
        if self._config.masks.prompts == 'tracks':
            self._describe_tracks(cue, before)
            return Embeddings(embeddings.appearance, None, previous, valid)
        current, seen = cue.embed(depth_of_cells(frame, masks.current), masks.current)
        return Embeddings(embeddings.appearance, current, previous, valid & seen)

    def _describe_tracks(self, cue: DepthSegCue, before: Frame) -> None:
        """Let tracks learn what was within their own boxes in the frame before (paper §3.2)."""
        rows, boxes = self.tracker.seen_boxes()
        if self._models.masks is not None and before.depth is not None and len(rows):
            masks = self._models.masks.outline(before, boxes)
            self.tracker.learn_depthseg(rows, *cue.embed(depth_of_cells(before, masks), masks))
