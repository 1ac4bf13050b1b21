"""A depth sensor: noise that grows with the square of depth, holes, whole millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE_AT_ZERO, NOISE_PER_SQUARE = 0.001, 0.0008
"""Standard deviation in metres: `NOISE_AT_ZERO + NOISE_PER_SQUARE * depth**2`."""
HOLE_RATE = 0.004
"""Share of pixels without a reading, anywhere."""
EDGE_STEP = 0.06
"""Relative step between neighbours above which a pixel lies at an edge."""
EDGE_HOLE_RATE = 0.6
"""Share of edge pixels without a reading."""
LARGEST = 65.0
"""Metres; beyond it the sensor sees nothing (16 bits hold 65.535 m)."""

_SHIFTS = 64


class DepthSensor:
    """A seeded sensor; what it does to frame k depends on the seed, the size and k alone.

    Chance is drawn once, on a field a little larger than the image; each frame reads it from
    another corner.
    """

    def __init__(self, width: int, height: int, seed: int) -> None:
        random = np.random.default_rng([seed, 0xDE97])
        size = (height + _SHIFTS, width + _SHIFTS)
        self._noise = random.standard_normal(size, np.float32)
        self._chance = random.random(size, np.float32)
        self._seed = seed

    def measure(self, depth: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Return what the sensor reads of a true depth image.

        Args:
            depth: float32 H×W, metres.
            index: Frame number.

        Returns:
            float32 H×W, metres, every value a whole number of millimetres; 0 where unknown: at
            some pixels left of and above a step in depth, here and there, in the last column and
            row, and beyond the sensor's reach.
        """
        corners = np.random.default_rng([self._seed, index]).integers(0, _SHIFTS, 4)
        noise = self._noise[corners[0] :, corners[1] :]
        chance = self._chance[corners[2] :, corners[3] :]
        out = np.zeros_like(depth)
        _measure(depth, noise, chance, out)
        return out


@nb.njit(cache=True, error_model='numpy')
def _measure(
    depth: NDArray[np.float32],
    noise: NDArray[np.float32],
    chance: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    # In float32 and without branches, so that the compiler does several pixels at once.
    at_zero, per_square = np.float32(NOISE_AT_ZERO), np.float32(NOISE_PER_SQUARE)
    anywhere, edges = np.float32(HOLE_RATE), np.float32(EDGE_HOLE_RATE)
    edge_step, reach = np.float32(EDGE_STEP), np.float32(LARGEST)
    thousand, none, one = np.float32(1000), np.float32(0), np.float32(1)
    height, width = depth.shape
    for y in range(height - 1):
        here, below, row = depth[y], depth[y + 1], out[y]
        error, dice = noise[y], chance[y]
        for x in range(width - 1):
            z = here[x]
            step = max(abs(z - here[x + 1]), abs(z - below[x]))
            rate = edges if step > edge_step * z else anywhere
            read = z + (at_zero + per_square * z * z) * error[x]
            millimetres = max(np.floor(thousand * read + np.float32(0.5)), one)
            known = (dice[x] >= rate) & (z <= reach) & (read <= reach)
            # Divided, not multiplied: the float nearest to the reading, as a decoder makes it.
            row[x] = millimetres / thousand if known else none
