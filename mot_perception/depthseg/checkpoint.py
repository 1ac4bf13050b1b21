"""Autoencoders to files and back: published ones and our own, checked key by key, no code run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.depthseg.full_frame_autoencoder import FullFrameAutoencoder
from mot_perception.perception.checkpoint import load_weights, read_weights
from mot_perception.perception.weights_file import write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    Autoencoder = CropAutoencoder | FullFrameAutoencoder

PUBLISHED = 'auto_encoder_depth.'
"""What the released code puts before the keys `encoder.…` and `decoder.…`."""
ONLY_FULL_FRAME = 'encoder.0.weight'
"""A key that tells the two forms apart: the layers of the other's encoder have names."""


def load_autoencoder(file: Path) -> Autoencoder:
    """Return the autoencoder that a file holds, ready for use, on the CPU.

    Args:
        file: What `save_autoencoder` wrote; or, of the paper's form, what the released training
            wrote, if it numbers its layers as `FullFrameAutoencoder` does. The decoder may be
            missing as a whole: it keeps random weights then, which tracking does not need.

    Raises:
        UserError: Not there, damaged, or of another network: which keys are missing, unexpected,
            or of another shape.
    """
    weights = read_weights(file)
    if any(key.startswith(PUBLISHED) for key in weights):
        weights = _part(weights, PUBLISHED)
    network = FullFrameAutoencoder() if ONLY_FULL_FRAME in weights else CropAutoencoder()
    what = f'a depth-segmentation autoencoder ({network.form})'
    if all(key.startswith('encoder.') for key in weights):
        load_weights(network.encoder, _part(weights, 'encoder.'), file, what)
    else:
        load_weights(network, weights, file, what)
    return network.eval()


def save_autoencoder(network: Autoencoder, file: Path, about: Mapping[str, str]) -> None:
    """Write an autoencoder as safetensors, whole or not at all.

    Args:
        network: On any device.
        file: Replaced if it is there.
        about: What is noted beside the weights, see `read_about`; the form is added to it.

    Raises:
        UserError: The file cannot be written.
    """
    write_weights(network.state_dict(), file, {**about, 'form': network.form})


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights below a prefix, by the rest of their keys."""
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in weights.items()
        if key.startswith(prefix)
    }
