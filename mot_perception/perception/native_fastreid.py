"""How objects look to any network of the package `fastreid`, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest, read_weights
from mot_perception.perception.crops import crops
from mot_perception.perception.device import choose_device, free, inference, weights_on_gpu
from mot_perception.perception.native_package import calling, native

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
"""Crops that are looked at together: many objects need time, not memory."""


class NativeFastReid:
    """Unit vectors by `fastreid.engine.DefaultPredictor`.

    It is called as its public documentation has it: configuration from `fastreid.config.get_cfg`,
    a batch of RGB images from 0 to 255 (B×3×H×W) in, which the network normalises itself, features
    (B×D) out. Its sources were not looked at, and it was not run.

    Args:
        file: A configuration of FastReID (YAML); the weights are what its MODEL.WEIGHTS names.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Raises:
        UserError: The package, a file or the device is not there; or the weights hold more than
            tensors and numbers: the package itself would run code that they contain.
    """

    def __init__(self, file: str, *, device: str = 'auto', half: bool = True) -> None:
        config, engine = native('fastreid.config'), native('fastreid.engine')
        self._device, self._half = choose_device(device), half
        path = Path(file).expanduser()
        if not path.is_file():
            raise UserError(f'{path}: no such file; give a configuration of FastReID')
        with calling('fastreid'):
            settings = config.get_cfg()
            settings.merge_from_file(str(path))
            settings.MODEL.DEVICE = str(self._device)
            settings.MODEL.BACKBONE.PRETRAIN = False  # else weights would be downloaded first
            self._height, self._width = settings.INPUT.SIZE_TEST
        weights = _weights(settings, path)
        self.name = f'fastreid {path.stem}, {weights.name} (sha256 {digest(weights)[:8]})'
        with calling('fastreid'):
            self._predictor: Any = engine.DefaultPredictor(settings)
        black = np.zeros((1, self._height, self._width, 3), np.uint8)
        self._dimension = self._see(black).shape[1]

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return N×D unit vectors.

        Args:
            image: H×W×3, BGR.
            xyxy: N×4, pixels. A box outside the image gets the vector of the nearest border pixel.

        Raises:
            UserError: The device's memory does not suffice, or the package is of another kind.
        """
        batches = crops(image, xyxy, self._height, self._width, BATCH)
        vectors = [self._see(batch) for batch in batches]
        return np.concatenate([np.empty((0, self._dimension), np.float32), *vectors])

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(getattr(self._predictor, 'model', None), self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._predictor = None
        free(self._device)

    def _see(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return B×D for B×H×W×3 BGR crops."""
        with calling('fastreid'), inference(self.name, self._device, self._half):
            rgb = torch.from_numpy(batch).permute(0, 3, 1, 2).flip(1).float()
            features = self._predictor(rgb)
            vectors = normalize(features.float().reshape(len(batch), -1))
            return np.asarray(vectors.cpu().numpy(), np.float32)


def _weights(settings: Any, file: Path) -> Path:
    """Return the file with weights that a configuration names, which holds nothing else."""
    named = str(settings.MODEL.WEIGHTS)
    if not named:
        raise UserError(f'{file}: MODEL.WEIGHTS is empty; write the file with the weights there')
    weights = Path(named)
    read_weights(weights)
    return weights
