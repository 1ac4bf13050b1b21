"""People without weights: OpenCV's built-in pedestrian detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WINDOW = 128, 64
"""Height and width of the window that is moved over the image, pixels."""


class PeopleDetector:
    """Histograms of oriented gradients and a linear SVM (Dalal and Triggs 2005).

    Args:
        score: Boxes with a lower score are left out.
    """

    class_names = ('person',)
    name = f'hog (OpenCV {cv2.__version__})'

    def __init__(self, score: float = 0.1) -> None:
        self._score = score
        self._hog = cv2.HOGDescriptor()
        svm = np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32)
        self._hog.setSVMDetector(svm)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the people in each H×W×3 BGR image."""
        return [self._detect(image) for image in images]

    def gpu_bytes(self) -> int:
        """Return 0: it runs on the CPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there is no memory worth freeing."""

    def _detect(self, image: NDArray[np.uint8]) -> Detections:
        # OpenCV reads beyond images that are smaller than its window.
        down, right = (max(0, least - size) for least, size in zip(WINDOW, image.shape, strict=False))
        if down or right:
            image = np.pad(image, ((0, down), (0, right), (0, 0)))
        boxes, weights = self._hog.detectMultiScale(image)
        xyxy = np.asarray(boxes, float).reshape(-1, 4)
        xyxy[:, 2:] += xyxy[:, :2]
        return Detections.of(xyxy, 1 / (1 + np.exp(-np.ravel(weights))))
