"""Objects with the embeddings by which FDTA tells who they are, out of one image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mot_perception.fdta.checkpoint import open_network
from mot_perception.fdta.fast import FastDetector
from mot_perception.fdta.images import normalised, scaled, scaled_size
from mot_perception.perception.checkpoint import digest
from mot_perception.perception.class_names import usual_names
from mot_perception.perception.device import choose_device, free, inference, weights_on_gpu
from mot_perception.perception.queries import corners
from mot_perception.types import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.fdta.network import Fdta

LEAST_SCORE = 0.01
"""Queries that score less are left out: that is what they say of everything at first."""
LOWER = 'take a smaller network'
"""What makes it need less memory."""


class FdtaDetector:
    """The detector of an FDTA network; it sees images of any size, one after the other.

    Args:
        network: With its weights, where it computes; of its detector a copy is taken.
        half: Detect with half precision on a GPU.
        name: For people.

    Attributes:
        network: The network, whose other parts tell identities.
        name: What it was given.
        class_names: 'person' for a single one, COCO's for 80 classes, else numbers.
    """

    def __init__(self, network: Fdta, *, half: bool = False, name: str = 'fdta') -> None:
        self.network, self.name = network, name
        self.class_names = usual_names(network.settings.detector.classes)
        self._device = network.detr.query_embed.weight.device
        self._fast = FastDetector(network.detr, half)

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detections, NDArray[np.float32]]:
        """Return the objects in an H×W×3 BGR image, and their embeddings, float32 N×width.

        The class of an object is the one that scores most. Boxes may reach outside the image.

        Raises:
            UserError: The device's memory does not suffice.
        """
        height, width = image.shape[:2]
        settings = self.network.settings
        size = scaled_size(height, width, settings.shorter, settings.longer)
        pixels = torch.from_numpy(np.ascontiguousarray(scaled(image, *size)))
        with inference(self.name, self._device, half=False, lower=LOWER):  # half already
            rgb = pixels.to(self._device).permute(2, 0, 1)[None].flip(1)  # (1, 3, h, w)
            found = self._fast(normalised(rgb))
            score, label = found.logits[-1, 0].float().sigmoid().max(-1)
            about = torch.stack([score, label.float()], -1)
            # (Q, 4 + 2 + width): one copy to the host
            rows = torch.cat([found.boxes[-1, 0], about, found.embeddings[0].float()], -1)
            told = rows.cpu().numpy()
        boxes = corners(told[:, :4], height, width)
        area = (told[:, 2:4] > 0).all(1)
        kept = np.flatnonzero(area & (told[:, 4] >= LEAST_SCORE))
        objects = Detections(
            boxes[kept], told[kept, 4].astype(np.float64), told[kept, 5].astype(np.int32)
        )
        return objects, told[kept, 6:]

    def gpu_bytes(self) -> int:
        """Return the bytes that the network's weights take of a GPU."""
        networks = self.network, self._fast.network
        return sum(weights_on_gpu(network, self._device) for network in networks)

    def close(self) -> None:
        """Free its memory; neither it nor its network is used afterwards."""
        self.network.to('meta')
        self._fast = FastDetector(self.network.detr)
        free(self._device)


def open_detector(model: str, *, device: str = 'auto', half: bool = True) -> FdtaDetector:
    """Return the detector of a network in a file.

    Args:
        model: See `open_network`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Raises:
        UserError: `open_network` says what is wrong, or the device is not there or too small.
    """
    where, file = choose_device(device), Path(model).expanduser()
    name = f'{file.name} (fdta, sha256 {digest(file)[:8]})' if file.is_file() else file.name
    with inference(name, where, half=False, lower=LOWER):
        return FdtaDetector(open_network(file, where), half=half, name=name)
