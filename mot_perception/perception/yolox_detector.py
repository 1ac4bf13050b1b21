"""Objects by YOLOX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mot_perception.perception.class_names import kept_classes
from mot_perception.perception.device import (
    choose_device,
    free,
    inference,
    weights_on_gpu,
)
from mot_perception.perception.letterbox import letterbox
from mot_perception.perception.selection import Selection
from mot_perception.perception.yolox import decode
from mot_perception.perception.yolox_checkpoint import ready_yolox
from mot_perception.perception.yolox_input import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.perception.letterbox import Pixels
    from mot_perception.types import Detections

LOWER = 'lower detector.height and detector.width, or take a smaller YOLOX'
"""What makes it need less memory."""


class YoloxDetector:
    """Boxes by a YOLOX of any published size.

    Each cell gives one box at most, of its likeliest class; its score is the product of the
    probabilities of there being an object and of the class. Of boxes of one class that overlap,
    the best stays.

    Args:
        model: File with weights; see `load_yolox`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        score: Boxes with a lower score are left out.
        overlap: IoU above which two boxes of one class are taken for the same object.
        height: Pixels that images are scaled into, or 0; see `ready_yolox`.
        width: The same.
        pixels: What the weights were trained on; 'auto': see `trained_on`.
        classes: Names of the classes that are looked for; none: all.

    Attributes:
        name: Its file, its size, and a part of the hash of its weights, for people.
        class_names: COCO's for 80 classes, 'person' for a single one, else numbers.

    Raises:
        UserError: `load_yolox` says what is wrong, the device is not there or too small, or there
            is no such class.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = 'auto',
        half: bool = True,
        score: float = 0.1,
        overlap: float = 0.7,
        height: int = 0,
        width: int = 0,
        pixels: Pixels | Literal['auto'] = 'auto',
        classes: Sequence[str] = (),
    ) -> None:
        self._device = choose_device(device)
        file = Path(model).expanduser()
        ready = ready_yolox(file, height=height, width=width, pixels=pixels)
        self._pixels: Pixels = ready.pixels
        self._input = ready.height, ready.width
        self.name = f'{file.name} (yolox-{ready.size}, sha256 {ready.sha256[:8]})'
        self.class_names = ready.class_names
        self._select = Selection(
            score, kept_classes(self.class_names, classes, self.name), overlap
        )
        self._type = torch.half if half and self._device.type == 'cuda' else torch.float
        with inference(self.name, self._device, half=False, lower=LOWER):
            self._network: torch.nn.Module | None = ready.network.to(self._device, self._type)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the objects in each H×W×3 BGR image, the best first; all are seen together.

        Boxes may reach outside an image.

        Raises:
            UserError: The device's memory does not suffice.
        """
        if not images or self._network is None:
            return []
        boxed = [letterbox(image, *self._input) for image in images]
        canvases = torch.from_numpy(np.stack([canvas for canvas, _ in boxed]))
        with inference(self.name, self._device, half=False, lower=LOWER):  # half already
            pixels = normalised(canvases.to(self._device), self._pixels).to(self._type)
            cells = decode(self._network(pixels).float(), *self._input)
            rows = likeliest(cells).double().cpu().numpy()
        return [
            self._select(found[:, :4] / ratio, found[:, 4], found[:, 5])
            for found, (_, ratio) in zip(rows, boxed, strict=True)
        ]

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        free(self._device)


def likeliest(cells: torch.Tensor) -> torch.Tensor:
    """Return the box of each cell, as of its likeliest class.

    Args:
        cells: B×A×(5 + classes), decoded.

    Returns:
        B×A×6: left, top, right, bottom, score, class.
    """
    probability, label = cells[..., 5:].max(-1)
    centre, half = cells[..., :2], cells[..., 2:4] / 2
    about = torch.stack([cells[..., 4] * probability, label.to(cells.dtype)], -1)
    return torch.cat([centre - half, centre + half, about], -1)
