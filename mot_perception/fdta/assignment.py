"""From probabilities to identities: each detection one label, each label one detection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEWBORN = -1


def object_max(
    probability: NDArray[np.float32], alive: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """Return the label of each detection, −1 for newborn: its likeliest, if nobody's is likelier.

    A detection that loses its likeliest label to another one, of whatever probability, is newborn
    (specification §3, the released tracker's default).

    Args:
        probability: N×(S + 1); the last column is newborn.
        alive: bool S, labels that a track has.
        least: Probability from which on a label is believed.
    """
    label = probability.argmax(1)
    best = probability[np.arange(len(label)), label]
    believed = np.append(alive, False)[label] & (best >= least)
    result = np.full(len(label), NEWBORN)
    # The first of equals wins, so the last to write must be the best, and the first among equals.
    for row in np.lexsort((-np.arange(len(label)), best)):
        if believed[row]:
            result[result == label[row]] = NEWBORN
            result[row] = label[row]
    return result


def hungarian(
    probability: NDArray[np.float32], alive: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """Return the label of each detection, −1 for newborn, so that all probabilities sum to most.

    Any number of detections may be newborn; pairs below `least` are not believed.

    Args:
        probability: As in `object_max`.
        alive: As in `object_max`.
        least: As in `object_max`.
    """
    labels = np.flatnonzero(alive)
    count = len(probability)
    wanted = probability[:, labels]
    wanted = np.where(wanted >= least, wanted, -1.0)
    newborn = np.repeat(probability[:, -1:], count, 1)
    rows, columns = linear_sum_assignment(np.hstack([wanted, newborn]), maximize=True)
    result = np.full(count, NEWBORN)
    kept = columns < len(labels)
    result[rows[kept]] = labels[columns[kept]]
    return result
