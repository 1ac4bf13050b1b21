"""How objects look to SBS-S50, with weights that FastReID has trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import normalize

from mot_perception.perception.checkpoint import digest, load_weights, read_weights
from mot_perception.perception.crops import crops
from mot_perception.perception.device import (
    choose_device,
    free,
    inference,
    weights_on_gpu,
)
from mot_perception.perception.sbs import DIMENSION, HEIGHT, WIDTH, SbsS50, fuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
"""Crops that are looked at together: many objects need time, not memory."""
LOWER = "take a smaller network, or appearance.backend 'stripes'"
"""What makes it need less memory."""
NOT_NEEDED = 'heads.weight', 'pixel_mean', 'pixel_std'
"""The classifier of training's identities, and numbers that `sbs` has itself."""


class SbsAppearance:
    """2048 numbers for each box, as unit vectors.

    Args:
        file: Published weights (.pth) or the same names as safetensors; see `read_weights`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Raises:
        UserError: The file is not there, damaged or another network's; or the device is not there.
    """

    def __init__(self, file: str, *, device: str = 'auto', half: bool = True) -> None:
        self._device, self._half = choose_device(device), half
        path = Path(file).expanduser()
        weights = read_weights(path)
        for key in NOT_NEEDED:
            weights.pop(key, None)
        network = SbsS50()
        load_weights(network, weights, path, 'SBS-S50 (FastReID, ResNeSt-50)')
        fuse(network.eval())
        self.name = f'{path.name} (sha256 {digest(path)[:8]})'
        with inference(self.name, self._device, half=False, lower=LOWER):
            self._network: SbsS50 | None = network.to(self._device)

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return N×2048 unit vectors.

        Args:
            image: H×W×3, BGR.
            xyxy: N×4, pixels. A box outside the image gets the vector of the nearest border pixel.

        Raises:
            UserError: The device's memory does not suffice.
        """
        batches = crops(image, xyxy, HEIGHT, WIDTH, BATCH)
        vectors = [self._see(batch) for batch in batches]
        return np.concatenate([np.empty((0, DIMENSION), np.float32), *vectors])

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        free(self._device)

    def _see(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return B×2048 for B×384×128×3 BGR crops."""
        assert self._network is not None, 'closed'
        with inference(self.name, self._device, self._half, LOWER):
            rgb = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2).flip(1)
            vectors = normalize(self._network(rgb).float())
            return np.asarray(vectors.cpu().numpy(), np.float32)
