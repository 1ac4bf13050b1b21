"""Runs one sequence through a pipeline and writes what comes out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.rows import MotRows
from mot_perception.bags.tracks_bag import TracksBagWriter
from mot_perception.bags.video_writer import AnnotatedVideoWriter
from mot_perception.errors import UserError
from mot_perception.pipeline import Pipeline
from mot_perception.presence import RunningIds, counted
from mot_perception.runtime.outputs import object_extras
from mot_perception.types import NANOSECONDS, Detections

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.sequence import Item, Sequence
    from mot_perception.config import Config
    from mot_perception.models import Models
    from mot_perception.types import Frame, TrackedFrame, Tracks


@dataclass(frozen=True, slots=True)
class SequenceRun:
    """What a tracker made of one sequence.

    Attributes:
        sequence: The input.
        rows: Confirmed tracks, frames from 1.
        frames: Number of frames, with those that the source lacks.
        seconds: Time each stage took, per frame.
        size: Image width and height, pixels.
        picture: The frame with an image and the most tracks, or None.
        picture_frame: Its number, from 1.
        unusable: Detections of the input that are no boxes: NaN, without size, or inverted.
    """

    sequence: Sequence
    rows: MotRows
    frames: int
    seconds: dict[str, NDArray[np.float64]]
    size: tuple[int, int]
    picture: Frame | None
    picture_frame: int
    unusable: int


@dataclass(slots=True)
class _Gathered:
    """Grows with the sequence: rows, and one picture."""

    numbers: list[int] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)
    running: RunningIds = field(default_factory=RunningIds)
    picture: Frame | None = None
    most: int = -1
    unusable: int = 0

    def add(self, tracked: TrackedFrame, detections: Detections | None) -> None:
        frame, present = tracked.frame, counted(tracked)
        if detections is not None:
            self.unusable += len(detections) - int(np.count_nonzero(detections.valid()))
        self.numbers.append(frame.index + 1)
        ids = self.running(present.id, tracked.reset_count)
        self.tracks.append(replace(present, id=ids))
        if frame.image is not None and len(present) > self.most:
            self.picture, self.most = frame, len(present)

    def rows(self) -> MotRows:
        if not self.tracks:
            return MotRows.of([], [], [])
        return MotRows.of(
            np.repeat(self.numbers, [len(tracks) for tracks in self.tracks]),
            np.concatenate([tracks.id for tracks in self.tracks]),
            np.concatenate([tracks.xyxy for tracks in self.tracks]),
            np.concatenate([tracks.score for tracks in self.tracks]),
        )


def record(
    sequence: Sequence,
    items: Iterable[Item],
    config: Config,
    models: Models,
    *,
    bag: Path | None = None,
    video: Path | None = None,
) -> SequenceRun:
    """Track a sequence, and write bag and video while it runs.

    Args:
        sequence: Where the items come from.
        items: Frames with their detections; the detector looks where the sequence has none.
        config: Of the pipeline.
        models: What the configuration asks for.
        bag: Folder of the tracks bag to make, or None.
        video: Annotated video to make, or None.

    Raises:
        UserError: The input is malformed or has no frame, or an output cannot be written.
    """
    pipeline, gathered = Pipeline(config, models), _Gathered()
    class_names = sequence.class_names if sequence.has_detections else models.class_names
    with ExitStack() as stack:
        messages = drawing = None
        if bag is not None:
            messages = stack.enter_context(TracksBagWriter(bag, class_names=class_names))
        if video is not None:
            drawing = stack.enter_context(AnnotatedVideoWriter(video, fps=sequence.fps))
        for item in items:
            detections = item.detections
            if detections is None and sequence.has_detections:
                detections = Detections.empty()
            tracked = pipeline.step(item.frame, detections)
            gathered.add(tracked, detections)
            if messages is not None:
                extras = object_extras(tracked, pipeline.tracker, config.stream)
                messages.write(tracked, extras=extras)
            if drawing is not None:
                drawing.write(tracked)
        if not gathered.numbers:
            raise UserError(
                f'{sequence.name}: no image has a detection of its time; '
                'record both with the same clock'
            )
    return SequenceRun(
        sequence=sequence,
        rows=gathered.rows(),
        frames=max(gathered.numbers),
        seconds={stage: np.array(ns) / NANOSECONDS for stage, ns in pipeline.timings.items()},
        size=(tracked.frame.width, tracked.frame.height),
        picture=gathered.picture,
        picture_frame=gathered.picture.index + 1 if gathered.picture else 0,
        unusable=gathered.unusable,
    )
