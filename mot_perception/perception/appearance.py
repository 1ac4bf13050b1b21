"""Appearance without a network: what colours an object has from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIPES = 8
"""Horizontal bands: head, shoulders, … feet of a standing person."""
CENTRAL = (0.6, 0.96)
"""Share of a box's width and height that is looked at: the rest is mostly background."""
CROP = (16, 6 * STRIPES)
"""Width and height, pixels, that every crop is shrunk to."""

LIGHTNESS, COLOUR = 16, 12
"""Bins of CIE L*, and of a* and b* each."""
_COLOUR_RANGE = (98, 158)
"""The a* and b* (8 bit, neutral at 128) that clothes and skin have; beyond is the outmost bin."""


class ColourStripes:
    """Histograms of lightness and of colour in each stripe, as one unit vector.

    The cosine of two vectors is the mean Bhattacharyya coefficient of their histograms
    (Bhattacharyya 1943), 1 for equal distributions and 0 for disjoint ones.
    """

    name = 'colour stripes'

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return N×D unit vectors, D = STRIPES × (LIGHTNESS + COLOUR²).

        Args:
            image: H×W×3, BGR.
            xyxy: N×4, pixels. A box outside the image gets the vector of the nearest border pixel.
        """
        n = len(xyxy)
        if n == 0:
            return np.empty((0, STRIPES * (LIGHTNESS + COLOUR**2)), np.float32)
        crops = np.empty((n, CROP[1], CROP[0], 3), np.uint8)
        for crop, (left, top, right, bottom) in zip(crops, _windows(image, xyxy), strict=True):
            cv2.resize(image[top:bottom, left:right], CROP, crop, interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(crops.reshape(-1, CROP[0], 3), cv2.COLOR_BGR2Lab)
        stripes = lab.reshape(n * STRIPES, -1, 3)
        light = _histogram(stripes[..., 0].astype(np.intp) * LIGHTNESS // 256, LIGHTNESS)
        low, high = _COLOUR_RANGE
        ab = (stripes[..., 1:].astype(np.intp) - low) * COLOUR // (high - low)
        ab = ab.clip(0, COLOUR - 1)
        colour = _histogram(ab[..., 0] * COLOUR + ab[..., 1], COLOUR**2)
        counts = np.hstack([light, colour]).reshape(n, -1)
        return np.asarray(np.sqrt(counts / counts.sum(1, keepdims=True)), np.float32)

    def gpu_bytes(self) -> int:
        """Return 0: it runs on the CPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there is no memory worth freeing."""


def _windows(image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> list[list[int]]:
    """Return the central parts as integer windows of at least one pixel inside the image."""
    height, width = image.shape[:2]
    boxes = np.nan_to_num(xyxy, nan=0.0, posinf=1e9, neginf=-1e9)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = half * CENTRAL
    limit = np.array([width, height]) - 1
    first = np.clip(np.floor(centre - half), 0, limit)
    last = np.clip(np.ceil(centre + half) - 1, first, limit)
    windows: list[list[int]] = np.hstack([first, last + 1]).astype(int).tolist()
    return windows


def _histogram(bins: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Count, for each of R rows of bin numbers, how often each of `count` bins occurs."""
    rows = np.arange(len(bins))[:, None] * count
    return np.bincount((bins + rows).ravel(), minlength=len(bins) * count).reshape(-1, count)
