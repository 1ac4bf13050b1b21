"""Frame and detections in, tracks out: perception wired to one tracker, and timed."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.depthseg.fusion import fuse, raw_map_cue
from mot_perception.perception.appearance import ColourStripes
from mot_perception.perception.depth import object_depth
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.config import Config
    from mot_perception.perception.protocols import (
        AppearanceEncoder,
        MaskPropagator,
        ObjectMasks,
    )
    from mot_perception.trackers.contract import Tracker
    from mot_perception.types import Detections, Frame, TrackedFrame, Tracks

TIMES_KEPT = 200_000
"""Frames whose times are remembered; older ones are forgotten."""


class Pipeline:
    """One camera's tracker with the perception that its configuration asks for.

    Cues whose input a frame lacks (no image, no depth) are off for that frame.

    Attributes:
        tracker: The tracker, open to inspection.
        timings: Nanoseconds each stage took, by its name, for the latest frames.
    """

    def __init__(self, config: Config) -> None:
        self.tracker: Tracker = SelfTrEncMotTracker(config.tracker)
        self.timings: dict[str, deque[int]] = defaultdict(partial(deque, maxlen=TIMES_KEPT))
        stripes, masks = config.appearance.backend == 'stripes', config.masks.backend == 'depth'
        self._appearance: AppearanceEncoder | None = ColourStripes() if stripes else None
        self._masks: MaskPropagator | None = DepthConsistentMasks() if masks else None
        self._depthseg = config.depthseg.backend == 'raw'
        self._own_depth = config.depthseg.previous_depth == 'own'
        self._previous: Frame | None = None

    def step(self, frame: Frame, detections: Detections) -> TrackedFrame:
        """Track one frame; a frame without detections is stepped like any other.

        Args:
            frame: With or without image and depth.
            detections: N boxes in pixels of the frame.

        Returns:
            The tracker's answer, with the depth of matched tracks where it is known.
        """
        start = perf_counter_ns()
        masks = self._see_masks(frame, detections)
        embeddings = Embeddings(self._see_appearance(frame, detections))
        if masks is not None and self._depthseg:
            embeddings = self._with_depthseg(embeddings, frame, masks)
        with self._timed('association'):
            tracked = self.tracker.update(frame, detections, embeddings)
        if masks is not None:
            tracked = self._with_depth(tracked, masks)
        self._previous = frame if masks is not None else None
        return replace(tracked, processing_ns=perf_counter_ns() - start)

    def reset(self) -> None:
        """Forget all tracks; timings stay."""
        self.tracker.reset()
        self._previous = None

    def _see_masks(self, frame: Frame, detections: Detections) -> ObjectMasks | None:
        if self._masks is None or frame.depth is None:
            return None
        with self._timed('masks'):
            return self._masks.step(self._previous or frame, frame, detections.xyxy)

    def _see_appearance(self, frame: Frame, detections: Detections) -> NDArray[np.float32] | None:
        if self._appearance is None or frame.image is None:
            return None
        with self._timed('appearance'):
            return self._appearance.embed(frame.image, detections.xyxy)

    def _with_depthseg(
        self, embeddings: Embeddings, frame: Frame, masks: ObjectMasks
    ) -> Embeddings:
        """Each mask is multiplied with the depth of its own time (paper §3.2), or of now."""
        with self._timed('depth-segmentation'):
            now = _grid_depth(frame)
            before = _grid_depth(self._previous or frame) if self._own_depth else now
            current, valid = raw_map_cue(fuse(now, masks.current))
            previous, seen_before = raw_map_cue(fuse(before, masks.previous))
            valid &= seen_before & masks.reliable
            return Embeddings(embeddings.appearance, current, previous, valid)

    def _with_depth(self, tracked: TrackedFrame, masks: ObjectMasks) -> TrackedFrame:
        with self._timed('object depth'):
            median, spread = object_depth(_grid_depth(tracked.frame), masks.current)
            tracks = tracked.tracks
            filled = tracks.with_depth(_of_tracks(tracks, median), _of_tracks(tracks, spread))
            return replace(tracked, tracks=filled, depth_is_metric=True)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter_ns()
        yield
        self.timings[stage].append(perf_counter_ns() - start)


def _grid_depth(frame: Frame) -> NDArray[np.float32]:
    if frame.depth is None:
        raise ValueError('the frame has no depth')
    return sample(frame.depth)


def _of_tracks(tracks: Tracks, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each track's value of its detection, NaN for tracks without one."""
    return np.append(values, np.nan)[tracks.detection]  # row −1 is the appended one
