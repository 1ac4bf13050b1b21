"""YOLOX as an ONNX file that says what it needs, checked beside the network it is made of."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import onnx
import torch

from mot_perception.errors import UserError
from mot_perception.perception.letterbox import as_planes
from mot_perception.perception.onnx_network import OnnxNetwork
from mot_perception.perception.onnx_note import KEY, Note
from mot_perception.perception.yolox import decode
from mot_perception.perception.yolox_checkpoint import ReadyYolox, ready_yolox

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.perception.letterbox import Pixels

    Floats = NDArray[np.float32]

OPSET = 17
"""Version of ONNX' operators; ONNX Runtime knows it since 1.12."""
BOX_TOLERANCE, BOX_SHARE = 0.1, 0.01
"""Pixels by which boxes may differ, and share of their numbers on top of that."""
SCORE_TOLERANCE = 0.01
"""By which probabilities may differ: more than rounding makes, less than a wrong layer."""


class Exported(NamedTuple):
    """What was exported, and how far it is from what torch computes.

    Attributes:
        note: What the file says of itself.
        pixels: Largest difference of the boxes' numbers, pixels.
        probability: Largest difference of the probabilities.
    """

    note: Note
    pixels: float
    probability: float


class Decoded(torch.nn.Module):
    """A network with its boxes in pixels, as YOLOX' own program exports it on demand.

    Args:
        ready: The network and its input.
    """

    def __init__(self, ready: ReadyYolox) -> None:
        super().__init__()
        self._network = ready.network
        self._side = ready.height, ready.width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return B×A×(5 + classes) for B×3×height×width; see `decode`."""
        return decode(self._network(images), *self._side)


def export_yolox(
    weights: Path,
    out: Path,
    *,
    height: int = 0,
    width: int = 0,
    pixels: Pixels | Literal['auto'] = 'auto',
    any_batch: bool = False,
) -> Exported:
    """Write a checkpoint as ONNX: float32, batch normalisations folded in, boxes decoded.

    Args:
        weights: See `load_yolox`.
        out: The file to write. What is there after an error is of no use.
        height: Of the images it takes, a multiple of 32; 0: see `ready_yolox`.
        width: The same.
        pixels: What the weights were trained on; 'auto': see `trained_on`.
        any_batch: Let it take any number of images at once, not one.

    Raises:
        UserError: The weights cannot be read, or ONNX Runtime computes something else than torch.
    """
    ready = ready_yolox(weights, height=height, width=width, pixels=pixels)
    note = Note(
        size=ready.size,
        height=ready.height,
        width=ready.width,
        pixels=ready.pixels,
        class_names=ready.class_names,
        weights_sha256=ready.sha256,
    )
    network = Decoded(ready).eval()
    images = _noise(note, 2 if any_batch else 1)
    _write(network, images, out, any_batch)
    _add_note(out, note)
    with torch.inference_mode():
        expected = network(images).numpy()
    (found,) = OnnxNetwork(out, 'cpu')(images.numpy()).values()
    return Exported(note, *_differences(found, expected, out))


def _noise(note: Note, count: int) -> torch.Tensor:
    """Return images that are always the same."""
    shape = count, note.height, note.width, 3
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return torch.from_numpy(as_planes(list(noise), note.pixels))


def _write(network: Decoded, images: torch.Tensor, out: Path, any_batch: bool) -> None:
    """Trace the network and write what it does.

    The exporter that traces is the older one, but this network has no branches that it could
    miss; the newer one takes twenty times as long and more libraries for the same file.
    """
    free = {'images': {0: 'batch'}, 'cells': {0: 'batch'}} if any_batch else None
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network,
            (images,),
            out,
            input_names=['images'],
            output_names=['cells'],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )


def _add_note(out: Path, note: Note) -> None:
    model = onnx.load(out)
    onnx.helper.set_model_props(model, {KEY: note.model_dump_json()})
    onnx.save(model, out)


def _differences(found: Floats, expected: Floats, out: Path) -> tuple[float, float]:
    """Return the largest differences of boxes and probabilities, if they are small enough."""
    if not np.isfinite(expected).all():
        raise UserError(
            f'{out}: the weights give infinite numbers for noise; nothing can be compared'
        )
    apart = np.abs(found - expected)
    boxes, probabilities = apart[..., :4], apart[..., 4:]
    limit = BOX_TOLERANCE + BOX_SHARE * np.abs(expected[..., :4])
    if not ((boxes <= limit).all() and (probabilities <= SCORE_TOLERANCE).all()):
        raise UserError(
            f'{out}: ONNX Runtime differs from torch by {boxes.max():.2g} pixels and '
            f'{probabilities.max():.2g} of a probability; nothing was kept'
        )
    return float(boxes.max()), float(probabilities.max())
