"""YOLOX out of a published file: which size and how many classes follows from the shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import torch

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest, load_weights, read_weights
from mot_perception.perception.class_names import usual_names
from mot_perception.perception.yolox import SIZES, Yolox, fuse
from mot_perception.perception.yolox_input import trained_on

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mot_perception.perception.letterbox import Pixels

MOST_CLASSES = 10_000
BYTETRACK_INPUT = 800, 1440
"""Height and width of images that ByteTrack's weights are used with."""
LEAST_ALIKE = 0.5
"""Share of a size's keys that a file must have, with their shapes, to be taken for that size."""
_CLASSES = 'head.cls_preds.'


@dataclass(frozen=True)
class ReadyYolox:
    """A network that is ready to see, and what must be known to use it.

    Attributes:
        network: On the CPU, its batch normalisations folded into the convolutions.
        size: A key of `SIZES`.
        height: Of what it sees, pixels.
        width: The same.
        pixels: In which scale it expects colours.
        class_names: Name of class 0, 1, ….
        sha256: Of the file.
    """

    network: Yolox
    size: str
    height: int
    width: int
    pixels: Pixels
    class_names: tuple[str, ...]
    sha256: str


def ready_yolox(
    file: Path, *, height: int = 0, width: int = 0, pixels: Pixels | Literal['auto'] = 'auto'
) -> ReadyYolox:
    """Load a network for use.

    Args:
        file: See `load_yolox`.
        height: Pixels that images are scaled into, a multiple of 32; 0: 416 for nano and tiny,
            640 for the others, and 800 for weights trained like ByteTrack's.
        width: The same; 0: 416, 640 and 1440.
        pixels: What the weights were trained on; 'auto': see `trained_on`.

    Raises:
        UserError: `load_yolox` says what is wrong.
    """
    network, size = load_yolox(file)
    known: Pixels = trained_on(network.backbone.backbone.stem) if pixels == 'auto' else pixels
    usual = _usual_input(size, known)
    fuse(network)
    return ReadyYolox(
        network=network,
        size=size,
        height=height or usual[0],
        width=width or usual[1],
        pixels=known,
        class_names=usual_names(network.classes),
        sha256=digest(file),
    )


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


def _usual_input(size: str, pixels: Pixels) -> tuple[int, int]:
    """Return height and width that the published weights are used with."""
    if pixels == 'imagenet':
        return BYTETRACK_INPUT
    return (416, 416) if size in {'nano', 'tiny'} else (640, 640)


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
