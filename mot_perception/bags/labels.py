"""Labels on a picture that do not cover each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Colour = tuple[int, int, int]

FONT = cv2.FONT_HERSHEY_DUPLEX
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
MOST_SHIFTS = 4
"""A label gives way to so many others at most."""


class Labels:
    """The labels of one picture; those that are put first have the better places.

    Args:
        canvas: H×W×3, BGR, drawn on.
        unit: Scale of letters and margins.
    """

    def __init__(self, canvas: NDArray[np.uint8], unit: float) -> None:
        self._canvas = canvas
        self._unit = unit
        self._taken: list[tuple[int, int, int, int]] = []

    def put(self, text: str, left: int, top: int, colour: Colour) -> None:
        """Draw a filled chip that stands on a box, or above the chips that stand there already.

        At the picture's upper edge it hangs in the box; a box outside of the picture has none.

        Args:
            text: ASCII.
            left: Left edge of the box.
            top: Upper edge of the box.
            colour: Of the chip; the letters are black or white.
        """
        height, width = self._canvas.shape[:2]
        size, pad = 0.5 * self._unit, round(4 * self._unit)
        (wide, high), _ = cv2.getTextSize(text, FONT, size, 1)
        wide, tall = wide + 2 * pad, high + 2 * pad
        if left >= width or top - tall >= height or left + wide < 0:
            return
        x = min(max(left, 0), width - wide)
        y = max(self._free(x, top - tall, wide, tall), 0)
        self._taken.append((x, y, x + wide, y + tall))
        cv2.rectangle(self._canvas, (x, y), (x + wide, y + tall), colour, cv2.FILLED)
        bright = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]
        ink = BLACK if bright > 140 else WHITE
        at = x + pad, y + high + pad
        cv2.putText(self._canvas, text, at, FONT, size, ink, 1, cv2.LINE_AA)

    def _free(self, x: int, y: int, wide: int, tall: int) -> int:
        """Return the height nearest above y at which nothing stands."""
        for _ in range(MOST_SHIFTS):
            above = [
                top
                for left, top, right, bottom in self._taken
                if left < x + wide and x < right and top < y + tall and y < bottom
            ]
            if not above:
                return y
            y = min(above) - tall - 1
        return y


def paint_caption(canvas: NDArray[np.uint8], text: str, unit: float) -> None:
    """Write a line into the lower left corner, on a darkened strip."""
    size, pad = 0.45 * unit, round(6 * unit)
    (wide, high), base = cv2.getTextSize(text, FONT, size, 1)
    top = canvas.shape[0] - high - base - 2 * pad
    strip = canvas[max(top, 0) :, : wide + 2 * pad]
    strip[:] = strip // 3
    at = pad, canvas.shape[0] - base - pad
    cv2.putText(canvas, text, at, FONT, size, WHITE, 1, cv2.LINE_AA)
