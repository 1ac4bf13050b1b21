"""The annotated video: frames with the tracks drawn on them, as mp4."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.drawing import TrackPainter
from mot_perception.bags.opencv_video import quiet
from mot_perception.bags.outputs import whole
from mot_perception.errors import UserError

import cv2  # isort: skip

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from mot_perception.types import TrackedFrame

CODECS = 'avc1', 'mp4v'
"""H.264, which browsers play, where this OpenCV can write it; else MPEG-4, which players play."""
DEFAULT_FPS = 25.0
LEAST_HEIGHT = 540
MOST_WIDTH = 1920
PAPER = 32
"""Grey of the canvas where there is no image."""


class AnnotatedVideoWriter:
    """Draws tracks on frames and writes them as a video; a context manager.

    Small pictures are doubled, so that labels can be read; large ones are shrunk. The video
    appears when the block ends without an exception, else nothing does.

    Args:
        path: The mp4 file to make.
        fps: Frames per second of the video; None: 25.
        force: Replace an existing file.

    Raises:
        UserError: The file exists and `force` is off, or it cannot be written.
    """

    def __init__(self, path: Path | str, *, fps: float | None = None, force: bool = False) -> None:
        self._path = Path(path)
        self._fps = min(max(fps or DEFAULT_FPS, 1), 240)
        self._force = force
        self._painter = TrackPainter()
        self._video: cv2.VideoWriter | None = None
        self._frames = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._part = stack.enter_context(whole(self._path, force=self._force))
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, tracked: TrackedFrame) -> None:
        """Append a frame with its tracks; without an image they are drawn on dark grey."""
        canvas = _canvas(tracked)
        self._painter.paint(canvas, tracked)
        if self._video is None:
            self._video = self._open(canvas.shape[1], canvas.shape[0])
        with quiet():  # on a full disk, it would say so at every frame
            self._video.write(canvas)
        self._frames += 1

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        for codec in CODECS:
            code = cv2.VideoWriter.fourcc(*codec)
            with quiet():
                video = cv2.VideoWriter(
                    str(self._part), cv2.CAP_FFMPEG, code, self._fps, (width, height)
                )
            if video.isOpened():
                return video
        raise UserError(f'{self._path}: this OpenCV writes no mp4; install opencv-python-headless')

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._video is not None:
            with quiet():
                self._video.release()
        if kind is None and (kept := _count_frames(self._part)) != self._frames:
            # OpenCV does not tell when it cannot write.
            raise UserError(
                f'{self._path}: only {kept} of {self._frames} frames could be written; '
                'is the disk full?'
            )


def _count_frames(path: Path) -> int:
    with quiet():
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.release()
    return count


def _canvas(tracked: TrackedFrame) -> NDArray[np.uint8]:
    """Return a picture to draw on, of even size, as codecs want it."""
    frame = tracked.frame
    if frame.width <= 0 or frame.height <= 0:
        raise UserError('image size unknown: no video; write imWidth, imHeight into seqinfo.ini')
    factor = _factor(frame.width, frame.height)
    width, height = (max(2, int(side * factor) // 2 * 2) for side in (frame.width, frame.height))
    if frame.image is None:
        return np.full((height, width, 3), PAPER, np.uint8)
    if frame.image.shape[:2] == (height, width):
        return frame.image.copy()
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame.image, (width, height), interpolation=way), np.uint8)


def _factor(width: int, height: int) -> float:
    if height < LEAST_HEIGHT and 2 * width <= MOST_WIDTH:
        return 2.0
    return min(1.0, MOST_WIDTH / width)
