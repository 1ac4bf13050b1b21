"""YOLOX out of a published file: which size and how many classes follows from the shapes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import load_weights, read_weights
from mot_perception.perception.yolox import SIZES, Yolox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_CLASSES = 10_000
LEAST_ALIKE = 0.5
"""Share of a size's keys that a file must have, with their shapes, to be taken for that size."""
_CLASSES = 'head.cls_preds.'


def load_yolox(file: Path) -> tuple[Yolox, str]:
    """Build the network that a file has the weights of.

    Args:
        file: A state dict, plain or nested as `read_weights` knows it: YOLOX' own files,
            ByteTrack's, or safetensors.

    Returns:
        The network, float32 on the CPU, ready for use; and its size, a key of `SIZES`.

    Raises:
        UserError: It cannot be read, is of another architecture, or lacks something.
    """
    weights = read_weights(file)
    size, alike = _likeliest_size(weights)
    if alike < LEAST_ALIKE:
        first = ', '.join(f'{key!r:.60}' for key in list(weights)[:3])
        raise UserError(
            f'{file}: no weights of YOLOX (they begin with {first}); give those of '
            f'yolox-{", ".join(SIZES)}'
        )
    network = Yolox(size, _classes(weights))
    load_weights(network, weights, file, f'yolox-{size}, which they look like')
    return network.eval(), size


def _likeliest_size(weights: Mapping[str, torch.Tensor]) -> tuple[str, float]:
    """Return the size that most shapes fit, and the share of its keys that do."""
    alike = {
        size: sum(key in weights and weights[key].shape == shape for key, shape in own.items())
        / len(own)
        for size, own in ((size, _shapes(size)) for size in SIZES)
    }
    likeliest = max(alike, key=alike.__getitem__)
    return likeliest, alike[likeliest]


@cache
def _shapes(size: str) -> dict[str, torch.Size]:
    """Return the shapes of a size that do not depend on the number of classes."""
    with torch.device('meta'):
        state = Yolox(size, 1).state_dict()
    return {key: it.shape for key, it in state.items() if not key.startswith(_CLASSES)}


def _classes(weights: Mapping[str, torch.Tensor]) -> int:
    """Return how many classes the first grid's prediction has; 1 where it cannot be any."""
    shape = weights[key].shape if (key := f'{_CLASSES}0.weight') in weights else ()
    return shape[0] if shape and 1 <= shape[0] <= MOST_CLASSES else 1
