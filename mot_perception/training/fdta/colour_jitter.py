"""Another light: brightness, contrast, saturation and hue, the same for all frames of a clip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.4, 0.2
"""How much each may change, at most (specification §2); hue in turns of the colour wheel."""


def random_light(random: np.random.Generator) -> Callable[[Image], Image]:
    """Return a change of colours, drawn once, for uint8 H×W×3 BGR images."""
    factors = 1 + random.uniform(-1, 1, 3) * (BRIGHTNESS, CONTRAST, SATURATION)
    turn = round(256 * random.uniform(-HUE, HUE))
    changes: list[Callable[[Image], Image]] = [
        partial(_brighter, factor=float(factors[0])),
        partial(_starker, factor=float(factors[1])),
        partial(_richer, factor=float(factors[2])),
        partial(_turned, turn=turn),
    ]
    order = random.permutation(len(changes)).tolist()

    def light(image: Image) -> Image:
        for index in order:
            image = changes[index](image)
        return image

    return light


def _brighter(image: Image, factor: float) -> Image:
    return np.asarray(cv2.convertScaleAbs(image, alpha=factor), np.uint8)


def _starker(image: Image, factor: float) -> Image:
    """Spread values about the mean grey of the image."""
    middle = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean()
    ramp = np.clip(np.arange(256) * factor + (1 - factor) * middle + 0.5, 0, 255)
    return np.asarray(cv2.LUT(image, ramp.astype(np.uint8)), np.uint8)


def _richer(image: Image, factor: float) -> Image:
    """Move colours away from their grey, or towards it."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(image, factor, grey, 1 - factor, 0), np.uint8)


def _turned(image: Image, turn: int) -> Image:
    """Turn the colour wheel by `turn` of 256 parts."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += np.uint8(turn % 256)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL), np.uint8)
