"""Depth × mask as an association cue, by a trained encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mot_perception.depthseg.checkpoint import load_autoencoder
from mot_perception.perception.checkpoint import digest
from mot_perception.perception.device import (
    choose_device,
    free,
    inference,
    weights_on_gpu,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.depthseg.checkpoint import Autoencoder
    from mot_perception.depthseg.representation import ObjectMaps

BATCH = 64
"""Objects that are looked at together: many need time, not memory."""


class DepthSegEncoder:
    """A vector for each object's outline, depth and place.

    Args:
        model: File with weights; see `load_autoencoder`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Attributes:
        name: Its file, its form, and a part of the hash of its weights, for people.
        form: 'full_frame', the paper's, or 'cropped', ours.
        dimension: D, the length of a vector.

    Raises:
        UserError: `load_autoencoder` says what is wrong, or the device is not there or too small.
    """

    def __init__(self, model: str, *, device: str = 'auto', half: bool = True) -> None:
        self._device, self._half = choose_device(device), half
        file = Path(model).expanduser()
        network = load_autoencoder(file)
        del network.decoder  # half of the weights, and only for training
        self.form, self.dimension = network.form, network.dimension
        self.name = f'{file.name} ({self.form}, sha256 {digest(file)[:8]})'
        with inference(self.name, self._device, half=False):
            self._network: Autoencoder | None = network.to(self._device)

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return vectors of N objects, and which of them say something.

        Args:
            depth: h×w; 0 or NaN where unknown.
            masks: N×h×w, on the same grid over the whole frame.

        Returns:
            Unit vectors, float32 N×D, and bool N; False where a mask is empty or without known
            depth. The vectors of those are zero.

        Raises:
            UserError: The device's memory does not suffice.
        """
        assert self._network is not None, 'closed'
        if not len(masks):
            return np.empty((0, self.dimension), np.float32), np.empty(0, np.bool_)
        with inference(self.name, self._device, half=False):  # a wide range of depths
            shown = self._network.represent(
                torch.tensor(depth).to(self._device), torch.tensor(masks).to(self._device)
            )
        vectors = self._encoded(self._network, shown)
        said = np.isfinite(vectors).all(1) & vectors.any(1)  # depths may be too large for it
        valid = np.asarray(shown.seen.cpu().numpy()) & said
        vectors[~valid] = 0
        return vectors, valid

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        free(self._device)

    def _encoded(self, network: Autoencoder, shown: ObjectMaps) -> NDArray[np.float32]:
        vectors = np.empty((len(shown.maps), self.dimension), np.float32)
        for start in range(0, len(vectors), BATCH):
            rows = slice(start, start + BATCH)
            with inference(self.name, self._device, self._half):
                vectors[rows] = network.encode(shown.maps[rows], shown.place[rows]).cpu().numpy()
        return vectors
