"""Objects by a network exported to ONNX, in ONNX Runtime; needs no torch for YOLOX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mot_perception.errors import UserError
from mot_perception.perception.class_names import kept_classes
from mot_perception.perception.letterbox import PADDING, as_planes
from mot_perception.perception.onnx_cells import CellReader, are_cells
from mot_perception.perception.onnx_network import OnnxNetwork
from mot_perception.perception.queries import find_queries
from mot_perception.perception.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.perception.letterbox import Pixels
    from mot_perception.perception.onnx_queries import QueryReader
    from mot_perception.types import Detections

USUAL_SIDE = 640
"""Pixels of an image for a network that takes any."""


class OnnxDetector:
    """Boxes by an exported network.

    What it is follows from what it says of a grey image: a YOLOX, by `mot-perception export` or
    by YOLOX' own program, or a detector of transformers.

    Args:
        model: The file.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        score: Boxes with a lower score are left out.
        overlap: IoU above which two boxes of one class are taken for the same object; YOLOX.
        height: Pixels that images are scaled into; 0: what the network takes, or 640.
        width: The same.
        pixels: What YOLOX' weights were trained on; 'auto': what the file says, else 'bgr'.
        classes: Names of the classes that are looked for; none: all.

    Attributes:
        name: Its file and a part of its hash, for people.
        class_names: Those of the file; else as for `YoloxDetector`.

    Raises:
        UserError: The file is not there, damaged, or of another kind; the device is not there;
            or there is no such class.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = 'auto',
        score: float = 0.1,
        overlap: float = 0.7,
        height: int = 0,
        width: int = 0,
        pixels: Pixels | Literal['auto'] = 'auto',
        classes: Sequence[str] = (),
    ) -> None:
        file = Path(model).expanduser()
        self._network = OnnxNetwork(file, device)
        side = _side(self._network, file, height, width)
        self._read = _reader(self._network, file, side, pixels)
        self.name = self._network.name
        self.class_names = self._read.class_names
        self._select = Selection(
            score,
            kept_classes(self.class_names, classes, self.name),
            overlap if self._read.overlapping else None,
        )

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the objects in each H×W×3 BGR image, the best first.

        Boxes may reach outside an image.

        Raises:
            UserError: The device's memory does not suffice, or the network fails.
        """
        return [self._select(*found) for found in self._read(images)]

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()


def _side(network: OnnxNetwork, file: Path, height: int, width: int) -> tuple[int, int]:
    """Return height and width that a network takes, if they are those that are wanted."""
    taken = network.height or height or USUAL_SIDE, network.width or width or USUAL_SIDE
    if (height or taken[0], width or taken[1]) != taken:
        raise UserError(
            f'{file}: takes images of height {taken[0]} and width {taken[1]}; set '
            'detector.height and detector.width to 0, or export it for those'
        )
    return taken


def _reader(
    network: OnnxNetwork, file: Path, side: tuple[int, int], pixels: Pixels | Literal['auto']
) -> CellReader | QueryReader:
    """Find out what a network is by letting it look at a grey image."""
    grey = np.full((*side, 3), PADDING, np.uint8)
    first = network(as_planes([grey], 'imagenet' if pixels == 'imagenet' else 'bgr'))
    if are_cells(first, *side):
        (cells,) = first.values()
        return CellReader(network, file, cells, *side, pixels)
    if names := find_queries(first):
        return _query_reader()(network, file, *names)
    raise UserError(
        f'{file}: says {_shapes(first)} of an image; expected are 1×cells×(5 + classes) as of '
        "YOLOX, or 'logits' 1×queries×classes and 'pred_boxes' 1×queries×4"
    )


def _query_reader() -> type[QueryReader]:
    """Return what reads queries: it scales images as transformers do, which takes torch."""
    try:
        from mot_perception.perception.onnx_queries import QueryReader
    except ImportError as error:
        raise UserError(
            f'{error.name}: not installed; run "pip install \'mot_perception[models]\'"'
        ) from None
    return QueryReader


def _shapes(outputs: dict[str, NDArray[Any]]) -> str:
    """Return names and shapes of the first outputs, in one line."""
    shapes = {name: '×'.join(map(str, it.shape)) or 'a number' for name, it in outputs.items()}
    said = [f'{name!r:.30} {shape:.40}' for name, shape in list(shapes.items())[:4]]
    return ', '.join(said) or 'no numbers'
