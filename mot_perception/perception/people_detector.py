"""People without weights: OpenCV's built-in pedestrian detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WINDOW = 128, 64
"""Height and width of the window that is moved over the image, pixels."""
LONGEST = 960
"""Pixels that an image's longer side is scaled to: a person needs 100 in height."""
LARGEST_ZOOM = 2.0
"""More blurs what the gradients are taken of."""
STEP = 1.1
"""From one scale to the next."""
PERSON = 0.6, 0.8
"""Share of the window's width and height that its person takes."""
MOST_SHARED = 0.7
"""Of two boxes that share more of the smaller one, only the better stays."""
MOST_BOXES = 1000
"""The best of an image that are looked at."""
SLOPE, OFFSET = 2.8, -2.0
"""Logistic regression of being right on the SVM's value: `benchmarks/people.py` shows the fit."""
LOWEST = -0.5
"""Smallest value that windows are kept at; below there are thousands."""


class PeopleDetector:
    """Histograms of oriented gradients and a linear SVM (Dalal and Triggs 2005).

    The score is the share of boxes of its value that were right on real videos, IoU 0.5.

    Args:
        score: Boxes with a lower score are left out.
    """

    class_names = ('person',)
    name = f'hog (OpenCV {cv2.__version__})'

    def __init__(self, score: float = 0.1) -> None:
        self._score = score
        self._threshold = max(_svm_value(score), LOWEST)
        self._hog = cv2.HOGDescriptor()
        svm = np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32)
        self._hog.setSVMDetector(svm)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the people in each H×W×3 BGR image, the best first."""
        return [self._detect(image) for image in images]

    def gpu_bytes(self) -> int:
        """Return 0: it runs on the CPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there is no memory worth freeing."""

    def _detect(self, image: NDArray[np.uint8]) -> Detections:
        zoom = min(LONGEST / max(image.shape[:2]), LARGEST_ZOOM)
        windows, values = self._hog.detectMultiScale(
            _zoomed(image, zoom),
            hitThreshold=self._threshold,
            winStride=(8, 8),
            padding=(16, 16),
            scale=STEP,
            groupThreshold=0,
        )
        corner, size = np.split(np.reshape(windows, (-1, 4)) / zoom, 2, axis=1)
        margin = size * (1 - np.array(PERSON)) / 2
        xyxy = np.hstack([corner + margin, corner + size - margin])
        score = 1 / (1 + np.exp(-(SLOPE * np.ravel(values) + OFFSET)))
        found = Detections.of(xyxy, score)
        return found.select(_alone(xyxy, score, self._score))


def _zoomed(image: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    """Return the scaled image, padded where it is smaller than the window: OpenCV reads beyond."""
    width, height = (max(round(side * zoom), 1) for side in image.shape[1::-1])
    filter_ = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, (width, height), interpolation=filter_), np.uint8)
    down, right = max(WINDOW[0] - height, 0), max(WINDOW[1] - width, 0)
    return np.pad(scaled, ((0, down), (0, right), (0, 0))) if down or right else scaled


def _alone(
    xyxy: NDArray[np.float64], score: NDArray[np.float64], lowest: float
) -> NDArray[np.intp]:
    """Return the rows that score high enough and are not part of a better box, the best first."""
    order = np.argsort(-score, kind='stable')
    order = order[score[order] >= lowest][:MOST_BOXES]
    boxes = xyxy[order]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    clash = shared > MOST_SHARED * np.minimum.outer(shared.diagonal(), shared.diagonal())
    kept: list[int] = []
    for row in range(len(order)):
        if not clash[row, kept].any():
            kept.append(row)
    return order[kept]


def _svm_value(score: float) -> float:
    """Return the SVM's value that a score stands for."""
    if not 0 < score < 1:
        return -math.inf if score <= 0 else math.inf
    return (math.log(score / (1 - score)) - OFFSET) / SLOPE
