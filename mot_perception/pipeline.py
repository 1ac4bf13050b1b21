"""Frame and detections in, tracks out: perception wired to one tracker, and timed."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError
from mot_perception.models import Models, load_models
from mot_perception.perception.depth import box_depth, object_depth
from mot_perception.perception.depth_stream import DepthStream
from mot_perception.perception.grid import sample
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.trackers.spatial import SpatialFilter
from mot_perception.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.config import Config
    from mot_perception.perception.protocols import DepthSegCue, ObjectMasks
    from mot_perception.trackers.contract import Tracker
    from mot_perception.types import Detections, Frame, TrackedFrame, Tracks

TIMES_KEPT = 200_000
"""Frames whose times are remembered; older ones are forgotten."""


class Pipeline:
    """One camera's tracker with the perception that its configuration asks for.

    Cues whose input a frame lacks (no image, no depth) are off for that frame.

    Args:
        config: The settings.
        models: What `load_models` made of them, to be shared with other cameras; None: loaded.

    Attributes:
        tracker: The tracker, open to inspection.
        timings: Nanoseconds each stage took, by its name, for the latest frames.

    Raises:
        UserError: `load_models` says what is missing.
    """

    def __init__(self, config: Config, models: Models | None = None) -> None:
        self.tracker: Tracker = SelfTrEncMotTracker(config.tracker)
        self.timings: dict[str, deque[int]] = defaultdict(partial(deque, maxlen=TIMES_KEPT))
        self._config = config
        self._models = models or load_models(config)
        self._depth = depth_stream(config, self._models)
        self._spatial = SpatialFilter()
        self._previous: Frame | None = None

    def step(self, frame: Frame, detections: Detections | None) -> TrackedFrame:
        """Track one frame; a frame without detections is stepped like any other.

        Args:
            frame: With or without image and depth.
            detections: N boxes in pixels of the frame, none of them where nothing is there; None
                to look for them in the image.

        Returns:
            The tracker's answer, with the depth of matched tracks where it is known, and positions
            in 3D where the camera is known too; its frame has the depth that was used.

        Raises:
            UserError: There are no detections, and no detector or no image either.
        """
        start = perf_counter_ns()
        if detections is None:
            detections = self._detect(frame)
        frame, metric = self._with_depth(frame)
        masks = self._see_masks(frame, detections)
        embeddings = Embeddings(self._see_appearance(frame, detections))
        if masks is not None and frame.depth is not None:
            embeddings = self._with_depthseg(embeddings, frame, masks)
        with self._timed('association'):
            tracked = self.tracker.update(frame, detections, embeddings)
        if frame.depth is None:
            tracked = self._spatial.update(tracked)
        else:
            tracked = self._with_object_depth(tracked, detections, masks, metric)
        self._previous = frame if masks is not None else None
        outlines = None if masks is None else masks.current
        return replace(tracked, masks=outlines, processing_ns=perf_counter_ns() - start)

    def reconfigure(self, config: Config) -> None:
        """Apply settings that may change while tracks live (see `config.is_live`), from now on.

        Raises:
            UserError: A setting differs that may not; nothing is applied then.
        """
        kept = config.model_copy(update={'tracker': self._config.tracker})
        if kept != self._config:
            raise UserError(
                'only live settings can change while a tracker runs; restart for others'
            )
        self.tracker.reconfigure(config.tracker)
        self._config = config

    def reset(self) -> None:
        """Forget all tracks; timings stay."""
        self.tracker.reset()
        self._previous = None
        if self._depth is not None:
            self._depth.reset()

    def _detect(self, frame: Frame) -> Detections:
        if self._models.detector is None:
            raise UserError(
                "there are no detections and no detector: set detector.backend to 'hog', 'yolox' "
                "or 'transformers'"
            )
        if frame.image is None:
            raise UserError('there are neither detections nor an image to look for them in')
        with self._timed('detection'):
            (found,) = self._models.detector.detect([frame.image])
        return found

    def _with_depth(self, frame: Frame) -> tuple[Frame, bool]:
        """Return the frame with the depth that is asked for, and whether it is in metres."""
        if self._config.depth.backend == 'topic':
            return frame, True
        depth = None
        if self._depth is not None and frame.image is not None:
            with self._timed('depth'):
                depth = self._depth.estimate(frame)
        if depth is None:
            return replace(frame, depth=None), False
        return replace(frame, depth=depth.map), depth.metric

    def _see_masks(self, frame: Frame, detections: Detections) -> ObjectMasks | None:
        looked_at = frame.depth if self._config.masks.backend == 'depth' else frame.image
        if self._models.masks is None or looked_at is None:
            return None
        with self._timed('masks'):
            return self._models.masks.step(self._previous or frame, frame, detections.xyxy)

    def _see_appearance(self, frame: Frame, detections: Detections) -> NDArray[np.float32] | None:
        if self._models.appearance is None or frame.image is None:
            return None
        with self._timed('appearance'):
            return self._models.appearance.embed(frame.image, detections.xyxy)

    def _with_depthseg(
        self, embeddings: Embeddings, frame: Frame, masks: ObjectMasks
    ) -> Embeddings:
        """Each mask is multiplied with the depth of its own time (paper §3.2), or of now."""
        cue = self._models.depthseg
        if cue is None:
            return embeddings
        with self._timed('depth-segmentation'):
            before = self._previous or frame
            own = self._config.depthseg.previous_depth == 'own' and before.depth is not None
            past = _grid_depth(before if own else frame, masks.previous)
            previous, valid = cue.embed(past, masks.previous)
            valid &= masks.reliable
            if self._config.masks.prompts == 'tracks':
                self._describe_tracks(cue, before)
                return Embeddings(embeddings.appearance, None, previous, valid)
            current, seen = cue.embed(_grid_depth(frame, masks.current), masks.current)
            return Embeddings(embeddings.appearance, current, previous, valid & seen)

    def _describe_tracks(self, cue: DepthSegCue, before: Frame) -> None:
        """Let tracks learn what was within their own boxes in the frame before (paper §3.2)."""
        rows, boxes = self.tracker.seen_boxes()
        if self._models.masks is not None and before.depth is not None and len(rows):
            masks = self._models.masks.outline(before, boxes)
            self.tracker.learn_depthseg(rows, *cue.embed(_grid_depth(before, masks), masks))

    def _with_object_depth(
        self,
        tracked: TrackedFrame,
        detections: Detections,
        masks: ObjectMasks | None,
        metric: bool,
    ) -> TrackedFrame:
        """Fill in depths, over boxes where there are no masks, and what follows in 3D."""
        with self._timed('object depth'):
            frame, tracks = tracked.frame, tracked.tracks
            if masks is not None:
                depth = _grid_depth(frame, masks.current)
                median, spread = object_depth(depth, masks.current)
            else:
                median, spread = box_depth(
                    _depth_of(frame), detections.xyxy, frame.width, frame.height
                )
            filled = tracks.with_depth(_of_tracks(tracks, median), _of_tracks(tracks, spread))
            return self._spatial.update(replace(tracked, tracks=filled, depth_is_metric=metric))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter_ns()
        yield
        self.timings[stage].append(perf_counter_ns() - start)


def depth_stream(config: Config, models: Models) -> DepthStream | None:
    """Return what estimates the depth of one camera's frames; None without a model for it."""
    if models.depth is None:
        return None
    return DepthStream(models.depth, every=config.depth.every, align=config.depth.align)


def _grid_depth(frame: Frame, masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the depth h×w under the cells of masks N×h×w."""
    return sample(_depth_of(frame), masks.shape[1:])


def _depth_of(frame: Frame) -> NDArray[np.float32]:
    if frame.depth is None:
        raise ValueError('the frame has no depth')
    return frame.depth


def _of_tracks(tracks: Tracks, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each track's value of its detection, NaN for tracks without one."""
    return np.append(values, np.nan)[tracks.detection]  # row −1 is the appended one
