"""The paper's autoencoder (§3.2): a whole frame's map of one object becomes 2048 numbers.

Three convolutions, batch norm and ReLU after each, then one linear layer with nearly all of the 67
million parameters; the decoder mirrors them. Not variational. Only the encoder is used to track.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import normalize

from mot_perception.depthseg.representation import FULL_FRAME_SIZE, full_frame

DIMENSION = 2048
CHANNELS = 32, 64, 128
SIDE = FULL_FRAME_SIZE // 2 ** len(CHANNELS)
"""Cells per side where the vector is made."""


class FullFrameAutoencoder(nn.Module):
    """Encoder and decoder.

    Layers are numbered within `encoder` and `decoder`, as `nn.Sequential` does it.

    Attributes:
        dimension: D, the length of a vector.
        represent: What makes its maps of depth and masks.
    """

    form: ClassVar[str] = 'full_frame'
    dimension: ClassVar[int] = DIMENSION
    represent = staticmethod(full_frame)

    def __init__(self) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 4, stride=2, padding=1),
            nn.BatchNorm2d(third),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(third * SIDE**2, DIMENSION),
        )
        self.decoder = nn.Sequential(
            nn.Linear(DIMENSION, third * SIDE**2),
            nn.Unflatten(1, (third, SIDE, SIDE)),
            nn.ConvTranspose2d(third, second, 4, stride=2, padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
        )

    def encode(self, maps: Tensor, place: Tensor | None = None) -> Tensor:
        """Return N×2048 unit vectors.

        Args:
            maps: N×1×128×128, of `full_frame`.
            place: N×0; a full frame says where an object is.
        """
        return normalize(self.encoder(maps).float(), dim=1)

    def decode(self, vectors: Tensor) -> Tensor:
        """Return the maps, N×1×128×128, that N×2048 vectors remember."""
        maps: Tensor = self.decoder(vectors)
        return maps

    def decode_place(self, vectors: Tensor) -> Tensor:
        """Return N×0: there is nothing beside the maps."""
        return vectors[:, :0]
