"""A video file as a sequence, by OpenCV."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mot_perception.bags.opencv_video import quiet
from mot_perception.bags.seqinfo import LEAST_FPS, MAX_FPS, frame_rate
from mot_perception.bags.sequence import Item, Sequence
from mot_perception.errors import UserError
from mot_perception.messages.image_size import check_size
from mot_perception.types import NANOSECONDS, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_STAMP_NS = 2**31 * NANOSECONDS
"""What a ROS message can hold."""
COMPLETE = 0.9
"""Share of the announced frames that a whole video has at least; some announce an estimate."""


def open_video(path: Path, *, fps: float | None = None) -> Sequence:
    """Open a video; frames are decoded while one iterates.

    The first frame is at 0; the others are where the video's own stamps put them, which may be
    unevenly. With `fps` given, frame k is at k/fps.

    Args:
        path: The file.
        fps: Frames per second, instead of the video's.

    Raises:
        UserError: Missing, no video that this OpenCV decodes, without frames, or of unknown rate.
    """
    with _capture(path) as video:
        told = video.get(cv2.CAP_PROP_FPS)
        width = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        length = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        check_size(width, height, 3, str(path))
        if not video.grab():
            raise UserError(f'{path}: no frame can be decoded; record or convert it again')
    rate = frame_rate(fps or (told if LEAST_FPS <= told <= MAX_FPS else None), path)

    def frames() -> Iterator[Item]:
        with _capture(path) as video:
            read = 0
            for item in _items(video, rate, by_rate=fps is not None):
                read += 1
                yield item
        if read < COMPLETE * length:
            raise UserError(f'{path}: breaks off at frame {read} of {length}; copy it again')

    return Sequence(
        name=path.resolve().stem,
        fps=rate,
        width=width,
        height=height,
        length=length if length > 0 else None,
        has_images=True,
        has_detections=False,
        input_files=[path],
        frames=frames,
    )


def _items(video: cv2.VideoCapture, rate: float, by_rate: bool) -> Iterator[Item]:
    period_ns = NANOSECONDS / rate
    index, first_ms, stamp_ns = 0, 0.0, 0
    while True:
        good, image = video.read()
        if not good:
            return
        told_ms = video.get(cv2.CAP_PROP_POS_MSEC)
        first_ms = told_ms if index == 0 else first_ms
        told_ns = (told_ms - first_ms) * 1e6
        if by_rate:
            stamp_ns = round(index * period_ns)
        elif index > 0:  # some files end with stamps that are missing
            known = stamp_ns < told_ns < MAX_STAMP_NS
            stamp_ns = round(told_ns if known else stamp_ns + period_ns)
        height, width = image.shape[:2]
        yield Item(Frame(stamp_ns, index, width, height, np.asarray(image, np.uint8)))
        index += 1


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise UserError(f'{path}: no such file; check the path')
    with quiet():
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise UserError(f'{path}: not a video that can be decoded; convert it to mp4')
        yield video
    finally:
        video.release()
