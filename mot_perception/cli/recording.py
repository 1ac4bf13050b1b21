"""Runs one sequence through a pipeline and writes what comes out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.rows import MotRows
from mot_perception.bags.tracks_bag import TracksBagWriter
from mot_perception.bags.video_writer import AnnotatedVideoWriter
from mot_perception.pipeline import Pipeline
from mot_perception.presence import counted
from mot_perception.types import NANOSECONDS, Detections

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.sequence import Item, Sequence
    from mot_perception.config import Config
    from mot_perception.types import Frame, TrackedFrame, Tracks


@dataclass(frozen=True, slots=True)
class SequenceRun:
    """What a tracker made of one sequence.

    Attributes:
        sequence: The input.
        rows: Confirmed tracks, frames from 1.
        frames: Number of frames.
        seconds: Time each stage took, per frame.
        size: Image width and height, pixels.
        picture: The frame with an image and the most tracks, or None.
        picture_frame: Its number, from 1.
    """

    sequence: Sequence
    rows: MotRows
    frames: int
    seconds: dict[str, NDArray[np.float64]]
    size: tuple[int, int]
    picture: Frame | None
    picture_frame: int


@dataclass(slots=True)
class _Gathered:
    """Grows with the sequence: rows, and one picture."""

    numbers: list[int] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)
    picture: Frame | None = None
    picture_at: int = 0
    size: tuple[int, int] = (0, 0)

    def add(self, tracked: TrackedFrame) -> None:
        frame, present = tracked.frame, counted(tracked)
        self.tracks.append(present)
        self.size = frame.width, frame.height
        best = len(self.tracks[self.picture_at]) if self.picture else -1
        if frame.image is not None and len(present) > best:
            self.picture, self.picture_at = frame, len(self.tracks) - 1

    def rows(self) -> MotRows:
        if not self.tracks:
            return MotRows.of([], [], [])
        counts = [len(tracks) for tracks in self.tracks]
        return MotRows.of(
            np.repeat(np.arange(1, len(counts) + 1), counts),
            np.concatenate([tracks.id for tracks in self.tracks]),
            np.concatenate([tracks.xyxy for tracks in self.tracks]),
            np.concatenate([tracks.score for tracks in self.tracks]),
        )


def record(
    sequence: Sequence,
    items: Iterable[Item],
    config: Config,
    *,
    bag: Path | None = None,
    video: Path | None = None,
) -> SequenceRun:
    """Track a sequence, and write bag and video while it runs.

    Args:
        sequence: Where the items come from.
        items: Frames with their detections.
        config: Of the pipeline.
        bag: Folder of the tracks bag to make, or None.
        video: Annotated video to make, or None.
    """
    pipeline, gathered = Pipeline(config), _Gathered()
    with ExitStack() as stack:
        writers: list[TracksBagWriter | AnnotatedVideoWriter] = []
        if bag is not None:
            writers.append(stack.enter_context(TracksBagWriter(bag)))
        if video is not None:
            writers.append(stack.enter_context(AnnotatedVideoWriter(video, fps=sequence.fps)))
        for item in items:
            tracked = pipeline.step(item.frame, item.detections or Detections.empty())
            gathered.add(tracked)
            for writer in writers:
                writer.write(tracked)
    return SequenceRun(
        sequence=sequence,
        rows=gathered.rows(),
        frames=len(gathered.tracks),
        seconds={stage: np.array(ns) / NANOSECONDS for stage, ns in pipeline.timings.items()},
        size=gathered.size,
        picture=gathered.picture,
        picture_frame=gathered.picture_at + 1,
    )
