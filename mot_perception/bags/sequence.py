"""What every input becomes: a named sequence of frames, read while one iterates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Sequence as Names
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.types import Detections, Frame


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Who truly is where in one frame.

    Attributes:
        ids: int64 N.
        xyxy: float64 N×4, pixels.
    """

    ids: NDArray[np.int64]
    xyxy: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Item:
    """One frame of a sequence with what was recorded beside it.

    Attributes:
        frame: The frame, with or without image.
        detections: Detections of the source; None if it has none at all, empty for a frame
            without any.
        ground_truth: Ground truth of the source, or None.
    """

    frame: Frame
    detections: Detections | None = None
    ground_truth: GroundTruth | None = None


@dataclass(frozen=True)
class Sequence:
    """A source of frames; iterating starts from its first frame each time.

    Attributes:
        name: Name of the sequence; outputs are named after it.
        fps: Nominal frames per second, or None where only the stamps say.
        width: Image width in pixels; 0 where unknown before the first frame.
        height: Image height in pixels; 0 where unknown before the first frame.
        length: Number of frames, or None where unknown.
        has_images: Whether frames carry images.
        has_detections: Whether items carry detections.
        input_files: The files that it is read from.
        frames: Opens the source and yields its items.
        read_ground_truth: Reads the ground truth of all frames at once.
        class_names: Name of class 0, 1, …; may grow while one iterates.
    """

    name: str
    fps: float | None
    width: int
    height: int
    length: int | None
    has_images: bool
    has_detections: bool
    input_files: list[Path] = field(repr=False)
    frames: Callable[[], Iterator[Item]] = field(repr=False)
    read_ground_truth: Callable[[], MotRows | None] = field(repr=False, default=lambda: None)
    class_names: Names[str] = ()

    def __iter__(self) -> Iterator[Item]:
        """Read the source from its start, one item at a time.

        Raises:
            UserError: The source breaks off, holds what cannot be understood, or changes the
                size of its frames.
        """
        size = None
        for item in self.frames():
            now = item.frame.width, item.frame.height
            if size not in {None, now}:
                raise UserError(
                    f'{self.name}: frame {item.frame.index} has {now[0]}×{now[1]} pixels, those '
                    f'before have {size[0]}×{size[1]}; replay each size on its own'
                )
            size = now
            yield item

    @cached_property
    def ground_truth(self) -> MotRows | None:
        """Ground truth of the whole sequence, frame k being item k−1; None if there is none."""
        return self.read_ground_truth()
