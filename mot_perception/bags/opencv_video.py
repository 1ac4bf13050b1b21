"""OpenCV's video functions without the remarks that they and FFmpeg print."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

# FFmpeg's remarks on a file it cannot read would come before our one line. Read once, by the
# first video that is opened.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing inside of the block."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
