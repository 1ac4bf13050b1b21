"""Our autoencoder: an object's relief and outline, and its place, become 128 numbers.

The square around the object goes through three convolutions. What it does not say (how far the
object is, where in the frame, how large) comes as a few scalars, each as sines and cosines of
several wavelengths: differences of one per cent and of one half must both turn the vector. Group
norm instead of batch norm: a vector depends on no other object, in training neither.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mot_perception.depthseg.representation import CROP_SIZE, PLACE, cropped

DIMENSION = 128
WIDTH = 256
SIDE = CROP_SIZE // 8
OCTAVES = 6
"""Wavelengths of a scalar's features: 2, 1, 1/2 … 1/16 of its unit."""
SMALLEST_SIDE = 1e-3
"""Of an object's extent, as share of the frame, where its logarithm is taken."""


class CropAutoencoder(nn.Module):
    """Encoder and decoder.

    Attributes:
        dimension: D, the length of a vector.
        represent: What makes its maps of depth and masks.
    """

    form: ClassVar[str] = 'cropped'
    dimension: ClassVar[int] = DIMENSION
    represent = staticmethod(cropped)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def encode(self, maps: Tensor, place: Tensor) -> Tensor:
        """Return N×128 unit vectors.

        Args:
            maps: N×2×32×32, of `cropped`.
            place: N×7, of the same.
        """
        return normalize(self.encoder(maps, place).float(), dim=1)

    def decode(self, vectors: Tensor) -> Tensor:
        """Return the maps, N×2×32×32, that N×128 vectors remember."""
        maps: Tensor = self.decoder.maps(vectors)
        return maps

    def decode_place(self, vectors: Tensor) -> Tensor:
        """Return the scalars, N×7, that N×128 vectors remember."""
        place: Tensor = self.decoder.place(vectors)
        return place


class Encoder(nn.Module):
    """Maps and place to vectors of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            *_halved(2, 32),
            *_halved(32, 64),
            *_halved(64, 64),
            nn.Flatten(),
            nn.Linear(64 * SIDE**2, WIDTH // 2),
        )
        self.place = nn.Sequential(
            nn.Linear(len(PLACE) * (1 + 2 * OCTAVES), WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, WIDTH // 2),
        )
        self.both = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, DIMENSION),
        )

    def forward(self, maps: Tensor, place: Tensor) -> Tensor:
        """Return N×128."""
        seen = torch.cat([self.maps(maps), self.place(place_features(place))], 1)
        vectors: Tensor = self.both(seen)
        return vectors


class Decoder(nn.Module):
    """Vectors to maps, and to place."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Linear(DIMENSION, 64 * SIDE**2),
            nn.Unflatten(1, (64, SIDE, SIDE)),
            *_doubled(64, 64),
            *_doubled(64, 32),
            nn.ConvTranspose2d(32, 2, 4, stride=2, padding=1),
        )
        self.place = nn.Sequential(
            nn.Linear(DIMENSION, WIDTH), nn.GELU(), nn.Linear(WIDTH, len(PLACE))
        )


def place_features(place: Tensor) -> Tensor:
    """Return the scalars in units of about one, with their sines and cosines, N×7·13.

    Args:
        place: N×7, of `cropped`. Of sizes the logarithm counts.
    """
    depth, spread, x, y, width, height, filled = place.float().unbind(1)
    log_width, log_height = (
        it.clamp(min=SMALLEST_SIDE).log() / -math.log(SMALLEST_SIDE) for it in (width, height)
    )
    scalars = torch.stack([depth / 2, spread, x, y, log_width, log_height, filled], 1)
    octaves = torch.arange(OCTAVES, device=place.device)
    phases = (scalars[:, :, None] * (math.pi * 2.0**octaves)).flatten(1)
    return torch.cat([scalars, phases.sin(), phases.cos()], 1)


def _halved(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return convolution, nn.GroupNorm(8, outputs), nn.GELU()


def _doubled(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return convolution, nn.GroupNorm(8, outputs), nn.GELU()
