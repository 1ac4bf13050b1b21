"""What the queries of DETR and its kin say: a class with a score, and a box, each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

MOST_CLASSES = 100_000


def find_queries(outputs: dict[str, NDArray[Any]]) -> tuple[str, str] | None:
    """Return the names of the outputs with logits and boxes of one image.

    They are called so by transformers; of other programs, there must be these two alone.
    """
    if {'logits', 'pred_boxes'} <= outputs.keys():
        pairs = [('logits', 'pred_boxes')]
    elif len(outputs) == 2:
        first, second = outputs
        pairs = [(first, second), (second, first)]
    else:
        pairs = []
    fitting = [pair for pair in pairs if are_queries(*(outputs[name] for name in pair))]
    return fitting[0] if len(fitting) == 1 else None


def are_queries(logits: NDArray[Any], boxes: NDArray[Any]) -> bool:
    """Return whether these are 1×Q×classes and 1×Q×4."""
    return logits.ndim == 3 and logits.size > 0 and boxes.shape == (1, logits.shape[1], 4)


def classify(
    logits: NDArray[np.float32], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return score and class of each query, both …×Q.

    Networks of DETR's first kind have one output more than classes, for no object, and share the
    probability among all; those trained with a focal loss judge each class on its own.

    Args:
        logits: …×Q×classes, or one more.
        classes: How many there are.
    """
    with np.errstate(all='ignore'):  # broken numbers stay broken, and are no objects
        best = logits[..., :classes].max(-1)
        if logits.shape[-1] == classes + 1:
            score = 1 / np.exp(logits - best[..., None]).sum(-1)
        else:
            score = 0.5 * (1 + np.tanh(0.5 * best))  # the sigmoid, which never overflows so
    return score, logits[..., :classes].argmax(-1)


def corners(boxes: NDArray[np.floating], height: int, width: int) -> NDArray[np.float64]:
    """Turn centre, width and height as shares of the image into corners in pixels, …×Q×4."""
    centre, half = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64) / 2
    scale = np.array([width, height, width, height], np.float64)
    return np.concatenate([centre - half, centre + half], -1) * scale


def names_by_number(names: Mapping[int, object]) -> tuple[str, ...]:
    """Return the names by number; numbers without a name are called by themselves."""
    count = min(max(names, default=-1) + 1, MOST_CLASSES)
    return tuple(str(names.get(number, number)) for number in range(count))
