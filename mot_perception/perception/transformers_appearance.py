"""How objects look to an image network of transformers, such as DINOv2, DINOv3 or ViT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn.functional import normalize

from mot_perception.errors import UserError
from mot_perception.perception.crops import windows
from mot_perception.perception.network import Network

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

BATCH = 32
"""Boxes that are looked at together: many objects need time, not memory."""


class TransformersAppearance:
    """Unit vectors by an `AutoModel` for images.

    The network's own pooled output is taken; where it has none, the mean of its tokens.

    Args:
        model: Folder or name on the hub; see `Network`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Raises:
        UserError: `Network` says what is wrong.
    """

    def __init__(self, model: str, *, device: str = 'auto', half: bool = True) -> None:
        self._network = Network(model, 'image features', device, half)
        self.name = self._network.name
        self._dimension = self._see([np.zeros((96, 32, 3), np.uint8)]).shape[1]

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return N×D unit vectors, D as the network has it.

        Args:
            image: H×W×3, BGR.
            xyxy: N×4, pixels. A box outside the image gets the vector of the nearest border pixel.

        Raises:
            UserError: The device's memory does not suffice, or the network cannot take crops.
        """
        parts = windows(image, xyxy)
        batches = [parts[start : start + BATCH] for start in range(0, len(parts), BATCH)]
        vectors = [self._see(batch) for batch in batches]
        return np.concatenate([np.empty((0, self._dimension), np.float32), *vectors])

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()

    def _see(self, parts: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return B×D for B parts of an image."""
        pooled = _pooled(self._network(parts))
        if pooled is None:
            raise UserError(f'{self.name}: gives no features of an image; take a backbone')
        return np.asarray(normalize(pooled.flatten(1).float()).cpu().numpy(), np.float32)


def _pooled(output: Any) -> torch.Tensor | None:
    """Return what a network says of each of B images as a whole, B×D or B×D×1×1."""
    pooled, features = (
        getattr(output, name, None) for name in ('pooler_output', 'last_hidden_state')
    )
    if pooled is None and features is not None:
        # B×tokens×D of a transformer, or B×D×h×w of convolutions
        pooled = features.mean(1) if features.ndim == 3 else features.mean((-2, -1))
    return pooled
