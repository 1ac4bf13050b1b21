"""Scores of detectors, brought into [0, 1] when told how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ADVICE = 'say what range the detector has: --score-range LOW HIGH, or input.score_range'


def normalised(scores: Array, score_range: tuple[float, float]) -> Array:
    """Map scores from (low, high) to [0, 1] linearly, and cut them there.

    Raises:
        UserError: The range is none.
    """
    low, high = score_range
    if not (np.isfinite([low, high]).all() and low < high):
        raise UserError(f'score range {low:g} {high:g}: give two numbers, the lower one first')
    return np.clip((scores - low) / (high - low), 0, 1)
