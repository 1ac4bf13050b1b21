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
from mot_perception.methods.selftrencmot import SelfTrEncMot
from mot_perception.models import Models, load_models
from mot_perception.perception.camera_cut import CameraCut
from mot_perception.perception.depth import box_depth, object_depth
from mot_perception.perception.depth_stream import DepthStream
from mot_perception.perception.grid import depth_of_cells
from mot_perception.trackers.spatial import SpatialFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.config import Config
    from mot_perception.methods.contract import Followed, Method
    from mot_perception.trackers.contract import Tracker
    from mot_perception.types import Detections, Frame, TrackedFrame, Tracks

TIMES_KEPT = 200_000
"""Frames whose times are remembered; older ones are forgotten."""


class Pipeline:
    """One camera's tracker with the perception that its configuration asks for.

    Args:
        config: The settings.
        models: What `load_models` made of them, to be shared with other cameras; None: loaded.
        method: Instead of the configured one.

    Attributes:
        timings: Nanoseconds each stage took, by its name, for the latest frames.

    Raises:
        UserError: `load_models` says what is missing.
    """

    def __init__(
        self, config: Config, models: Models | None = None, method: Method | None = None
    ) -> None:
        self.timings: dict[str, deque[int]] = defaultdict(partial(deque, maxlen=TIMES_KEPT))
        self._config = config
        models = models or load_models(config)
        self._method = method or make_method(config, models)
        self._depth = depth_stream(config, models)
        self._cut = CameraCut() if config.camera_cut == 'reset' else None
        self._spatial = SpatialFilter()
        self._size: tuple[int, int] | None = None

    @property
    def tracker(self) -> Tracker:
        """The tracker, open to inspection."""
        return self._method.tracker

    def step(self, frame: Frame, detections: Detections | None) -> TrackedFrame:
        """Track one frame; a frame without detections is stepped like any other.

        Tracks are forgotten where frames change their size, as boxes are in their pixels.

        Args:
            frame: With or without image and depth.
            detections: N boxes in pixels of the frame, none of them where nothing is there; None
                to look for them in the image.

        Returns:
            The tracker's answer, with the depth of matched tracks where it is known, and positions
            in 3D where the camera is known too; its frame has the depth that was used.

        Raises:
            UserError: There are no detections, and no detector or no image either; or the method
                takes none.
        """
        start = perf_counter_ns()
        self._follow_size(frame)
        if self._cut is not None and frame.image is not None and self._cut.happened(frame.image):
            self.reset()
        frame, metric = self._with_depth(frame)
        followed = self._method.step(frame, detections, self._timed)
        if frame.depth is None:
            tracked = self._spatial.update(followed.tracked)
        else:
            with self._timed('object depth'):
                tracked = self._spatial.update(_with_object_depth(followed, frame.depth, metric))
        outlines = None if followed.masks is None else followed.masks.current
        return replace(tracked, masks=outlines, processing_ns=perf_counter_ns() - start)

    def reconfigure(self, config: Config) -> None:
        """Apply settings that may change while tracks live (see `config.is_live`), from now on.

        Raises:
            UserError: A setting differs that may not; nothing is applied then.
        """
        trackers = {'tracker': self._config.tracker, 'fdta': self._config.fdta}
        if config.model_copy(update=trackers) != self._config:
            raise UserError(
                'only live settings can change while a tracker runs; restart for others'
            )
        self._method.reconfigure(config)
        self._config = config

    def reset(self) -> None:
        """Forget all tracks; timings stay."""
        self._method.reset()
        if self._depth is not None:
            self._depth.reset()
        self._size = None

    def _follow_size(self, frame: Frame) -> None:
        size = frame.width, frame.height
        if 0 in size:  # unknown, as of detections without images
            return
        if self._size not in {None, size}:
            self.reset()
        self._size = size

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

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter_ns()
        yield
        self.timings[stage].append(perf_counter_ns() - start)


def make_method(config: Config, models: Models) -> Method:
    """Return the configured method for one camera."""
    if models.fdta is None:
        return SelfTrEncMot(config, models)
    from mot_perception.methods.fdta import Fdta  # needs torch

    return Fdta(config, models.fdta)


def depth_stream(config: Config, models: Models) -> DepthStream | None:
    """Return what estimates the depth of one camera's frames; None without a model for it."""
    if models.depth is None:
        return None
    return DepthStream(models.depth, every=config.depth.every, align=config.depth.align)


def _with_object_depth(
    followed: Followed, depth: NDArray[np.float32], metric: bool
) -> TrackedFrame:
    """Fill in depths, over boxes where there are no masks."""
    tracked, masks = followed.tracked, followed.masks
    frame, tracks = tracked.frame, tracked.tracks
    if masks is not None:
        cells = depth_of_cells(frame, masks.current)
        median, spread = object_depth(cells, masks.current)
    else:
        boxes = followed.detections.xyxy
        median, spread = box_depth(depth, boxes, frame.width, frame.height)
    filled = tracks.with_depth(_of_tracks(tracks, median), _of_tracks(tracks, spread))
    return replace(tracked, tracks=filled, depth_is_metric=metric)


def _of_tracks(tracks: Tracks, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each track's value of its detection, NaN for tracks without one."""
    return np.append(values, np.nan)[tracks.detection]  # row −1 is the appended one
