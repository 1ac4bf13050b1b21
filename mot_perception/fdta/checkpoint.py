"""Published and own checkpoints into the network, checked key by key; no code of them is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import load_weights, read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from mot_perception.fdta.deformable_detr import DeformableDetr
    from mot_perception.fdta.network import Fdta

DETECTOR = 'detr.'
DEPTH = 'depth_predictor.', 'cross_attn_depth.', 'norm_depth.'
"""Parts that a detector without a Spatial Adapter does not have."""


def load_checkpoint(file: Path, network: Fdta) -> None:
    """Load the whole network.

    Args:
        file: What the authors published, or what our training wrote: a dict with the weights
            under `model`, or safetensors.
        network: Built for it; `release(data_set)` gives the settings of the published ones.

    Raises:
        UserError: Not there, damaged, or of another network: which keys are missing, unexpected,
            or of another shape.
    """
    weights = read_weights(file)
    if not any(key.startswith(DETECTOR) for key in weights) and 'query_embed.weight' in weights:
        raise UserError(
            f'{file}: holds a detector alone; give a checkpoint of the whole of FDTA, or start '
            'training from this one'
        )
    _check_shared(file, weights, network)
    load_weights(network, weights, file, 'FDTA with these settings')


def load_detector(file: Path, detector: DeformableDetr, class_index: int = 1) -> None:
    """Load a pretrained Deformable DETR with box refinement, to start training from.

    What belongs to the Spatial Adapter keeps its values where the file does not have it.

    Args:
        file: A detector's checkpoint, or a tracker's, of which the detector is taken.
        detector: What it goes to.
        class_index: Which row of the file's classes is wanted, where it has another number of
            them: in COCO 1 is a person and 16 a bird.

    Raises:
        UserError: Not there, damaged, of another network, or without that class.
    """
    weights = read_weights(file)
    if any(key.startswith(DETECTOR) for key in weights):
        weights = {
            key.removeprefix(DETECTOR): tensor
            for key, tensor in weights.items()
            if key.startswith(DETECTOR)
        }
    own = detector.state_dict()
    for key in own.keys() & weights.keys():
        if key.startswith('class_embed.') and weights[key].shape != own[key].shape:
            weights[key] = _row(file, key, weights[key], class_index)
    for key, tensor in own.items():
        if any(part in key for part in DEPTH):
            weights.setdefault(key, tensor)
    _check_shared(file, weights, detector)
    load_weights(detector, weights, file, 'Deformable DETR with these settings')


def _row(file: Path, key: str, tensor: Tensor, index: int) -> Tensor:
    if not tensor.ndim or not 0 <= index < len(tensor):
        raise UserError(f'{file}: {key} has no class {index}; choose another class')
    return tensor[index : index + 1]


def _check_shared(file: Path, weights: dict[str, Tensor], module: torch.nn.Module) -> None:
    """Refuse files in which what is one tensor here has several values."""
    first: dict[int, str] = {}
    for key, tensor in module.state_dict().items():
        other = first.setdefault(tensor.data_ptr(), key) if tensor.numel() else key
        both = key in weights and other in weights
        if both and key != other and not torch.equal(weights[key], weights[other]):
            raise UserError(
                f'{file}: {key} and {other} differ, but are one in this network; give a '
                'checkpoint of a detector with box refinement'
            )
