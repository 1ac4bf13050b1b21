"""What is done with a frame: tracking, detection alone, or depth alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from mot_perception.errors import UserError
from mot_perception.messages.cdr import write_message
from mot_perception.messages.detections import detections_to_message
from mot_perception.messages.images import image_to_cdr
from mot_perception.messages.mapping import header_of
from mot_perception.messages.tracks_cdr import tracked_frame_to_cdr
from mot_perception.messages.typestore import DETECTIONS, message_classes
from mot_perception.pipeline import Pipeline, depth_stream
from mot_perception.runtime.annotations import image_annotations
from mot_perception.runtime.markers import Markers
from mot_perception.runtime.outputs import (
    DebugImage,
    mask_image,
    matched_detections,
    object_extras,
)
from mot_perception.runtime.topics import OUTPUTS
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mot_perception.config import Config
    from mot_perception.messages.detections import ClassIndex
    from mot_perception.models import Models
    from mot_perception.runtime.ports import Ports
    from mot_perception.runtime.topics import Task
    from mot_perception.types import Detections, Frame


class FrameTask(ABC):
    """Turns frames of one camera into serialised messages.

    Attributes:
        outputs: Names of what it may bring.
        objects: How many objects the last frame had.
        resets: How often it was reset, also by itself.
    """

    outputs: ClassVar[Collection[str]]
    objects = resets = 0

    @abstractmethod
    def run(
        self,
        frame: Frame,
        detections: Detections | None,
        dropped: int,
        listened: Collection[str],
    ) -> Iterator[tuple[str, bytes]]:
        """Yield (output, serialised message), the most important first.

        Args:
            frame: The frame.
            detections: What came with it, or None.
            dropped: Frames that were skipped since the last one.
            listened: Outputs that somebody listens to.
        """

    def needs_pixels(self, listened: Collection[str]) -> bool:
        """Return whether the image must be decoded, given who listens."""
        return True

    def reset(self) -> None:
        """Forget the frames before."""
        self.objects = 0

    def reconfigure(self, config: Config) -> None:  # noqa: B027  # most tasks have no such settings
        """Apply settings that may change from frame to frame, if there are any."""


def make_task(
    task: Task, config: Config, models: Models, classes: ClassIndex, ports: Ports
) -> FrameTask:
    """Return the task of a camera.

    Args:
        task: Which.
        config: Settings.
        models: Loaded models.
        classes: Knows the names of the classes that detections came with.
        ports: Know which version of a message is spoken.

    Raises:
        UserError: The settings have no model for it.
    """
    if task == 'track':
        metadata = ports.has_field('annotations', 'metadata')
        return TrackTask(config, models, classes, annotation_metadata=metadata)
    return DetectTask(models) if task == 'detect' else DepthTask(config, models)


class TrackTask(FrameTask):
    """Tracks, and tells in several ways about the tracks."""

    outputs = tuple(OUTPUTS['track'])

    def __init__(
        self, config: Config, models: Models, classes: ClassIndex, *, annotation_metadata: bool
    ) -> None:
        self._pipeline = Pipeline(config, models)
        self._annotation_metadata = annotation_metadata
        self._stream = config.stream
        from_outside = config.detector.backend == 'topic'
        self._names = classes.names if from_outside else models.class_names
        self._sees = (
            not from_outside
            or config.appearance.backend != 'none'
            or config.depth.backend != 'none'
            or config.camera_cut != 'keep'
        )
        self._markers, self._debug_image = Markers(), DebugImage()

    def needs_pixels(self, listened: Collection[str]) -> bool:
        """Return whether a cue, a model or the debug image looks at the picture."""
        return self._sees or 'debug_image' in listened

    def run(
        self,
        frame: Frame,
        detections: Detections | None,
        dropped: int,
        listened: Collection[str],
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the tracks, then what is drawn from them for those who listen."""
        tracked = replace(self._pipeline.step(frame, detections), dropped_frames=dropped)
        self.resets = tracked.reset_count
        self.objects = int((tracked.tracks.state == TrackState.CONFIRMED).sum())
        extras = object_extras(tracked, self._pipeline.tracker, self._stream)
        yield 'tracks', tracked_frame_to_cdr(tracked, self._names, extras)
        if 'detections' in listened:
            yield 'detections', matched_detections(tracked, self._names)
        if 'annotations' in listened:
            yield (
                'annotations',
                image_annotations(tracked, self._names, metadata=self._annotation_metadata),
            )
        if 'markers' in listened and tracked.depth_is_metric:
            yield 'markers', self._markers(tracked, self._names)
        if 'masks' in listened and tracked.masks is not None:
            yield 'masks', mask_image(tracked)
        if 'debug_image' in listened and frame.image is not None:
            yield 'debug_image', self._debug_image(tracked)

    def reset(self) -> None:
        """Forget all tracks."""
        self._pipeline.reset()
        self.resets += 1

    def reconfigure(self, config: Config) -> None:
        """Apply thresholds and weights of the tracker."""
        self._pipeline.reconfigure(config)


class DetectTask(FrameTask):
    """Finds objects in single images."""

    outputs = tuple(OUTPUTS['detect'])

    def __init__(self, models: Models) -> None:
        if models.detector is None:
            raise UserError('no detector: set detector.backend to hog, yolox or transformers')
        self._detector, self._names = models.detector, models.class_names

    def run(
        self,
        frame: Frame,
        detections: Detections | None,
        dropped: int,
        listened: Collection[str],
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the boxes that the detector finds."""
        if frame.image is None:
            return
        (found,) = self._detector.detect([frame.image])
        self.objects = len(found)
        make = message_classes()
        message = detections_to_message(
            found, header_of(frame, make), make, class_names=self._names
        )
        yield 'detections', write_message(message, DETECTIONS)


class DepthTask(FrameTask):
    """Estimates depth in images."""

    outputs = tuple(OUTPUTS['depth'])

    def __init__(self, config: Config, models: Models) -> None:
        depth = depth_stream(config, models)
        if depth is None:
            raise UserError('no depth model: set depth.backend to transformers and depth.model')
        self._depth = depth

    def reset(self) -> None:
        """Forget the frames before."""
        self._depth.reset()
        super().reset()

    def run(
        self,
        frame: Frame,
        detections: Detections | None,
        dropped: int,
        listened: Collection[str],
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the depth image, 32FC1 in metres (REP 118).

        Raises:
            UserError: The model's depth is relative, so that nobody could use it as metres.
        """
        depth = self._depth.estimate(frame)
        if depth is None:
            return
        if not depth.metric:
            raise UserError('the depth model is relative; choose a metric one (depth.model)')
        yield 'depth', image_to_cdr(depth.map, '32FC1', frame.stamp_ns, frame.frame_id)
