"""Depth Pro out of Apple's own file: the network of transformers with its weights, renamed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from transformers import DepthProConfig, DepthProForDepthEstimation

from mot_perception.perception.checkpoint import load_weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VIT: dict[str, Any] = {
    'model_type': 'dinov2',
    'hidden_size': 1024,
    'num_hidden_layers': 24,
    'num_attention_heads': 16,
    'mlp_ratio': 4,
    'image_size': 384,
    'patch_size': 16,
    'use_mask_token': False,
}
"""Each of the three encoders: ViT-L/16 at 384 pixels. What transformers takes where nothing is
said is a smaller network."""
PREPROCESSING: dict[str, Any] = {
    'image_processor_type': 'DepthProImageProcessor',
    'size': {'height': 1536, 'width': 1536},
    'resample': 2,
    'image_mean': [0.5, 0.5, 0.5],
    'image_std': [0.5, 0.5, 0.5],
}
"""Bilinear, without regard to the aspect; RGB from −1 to 1."""
TERMS = ', for research only'
"""What Apple's licence of the published weights (AMLR) allows, for people."""
NOT_NEEDED = '.fc_norm.'
"""A layer that the encoders do not apply; Apple's own program lets it be missing, too."""

_FUSION = 'fusion_stage.'
_NECK = 'depth_pro.neck.'
_UPSAMPLE = f'{_NECK}feature_upsample.'


def _from_the_end(name: str, last: int) -> Callable[[re.Match[str]], str]:
    """Return what puts in a name with the number of a layer that is counted from the other end."""
    return lambda found: name.format(last - int(found[1]))


RENAMES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'^encoder\.(patch|image)_encoder\.', r'depth_pro.encoder.\1_encoder.model.'),
        (r'^fov\.encoder\.0\.', 'fov_model.fov_encoder.model.'),
        (r'\.model\.cls_token$', '.model.embeddings.cls_token'),
        (r'\.model\.pos_embed$', '.model.embeddings.position_embeddings'),
        (r'\.model\.patch_embed\.proj\.', '.model.embeddings.patch_embeddings.projection.'),
        (r'\.model\.norm\.', '.model.layernorm.'),
        (r'\.model\.blocks\.', '.model.encoder.layer.'),
        (r'\.attn\.proj\.', '.attention.o_proj.'),
        (r'\.ls([12])\.gamma$', r'.layer_scale\1.lambda1'),
        (
            r'^encoder\.upsample_latent([01])\.',
            _from_the_end(f'{_UPSAMPLE}intermediate.{{}}.layers.', 1),
        ),
        (
            r'^encoder\.upsample([0-2])\.',
            _from_the_end(f'{_UPSAMPLE}scaled_images.{{}}.layers.', 2),
        ),
        (r'^encoder\.upsample_lowres\.', f'{_UPSAMPLE}image_block.layers.0.'),
        (r'^encoder\.fuse_lowres\.', f'{_NECK}fuse_image_with_low_res.'),
        (
            r'^decoder\.convs\.([1-4])\.',
            _from_the_end(f'{_NECK}feature_projection.projections.{{}}.', 4),
        ),
        (r'^decoder\.fusions\.0\.', f'{_FUSION}final.'),
        (r'^decoder\.fusions\.([1-4])\.', _from_the_end(f'{_FUSION}intermediate.{{}}.', 4)),
        (r'\.resnet([12])\.residual\.1\.', r'.residual_layer\1.convolution1.'),
        (r'\.resnet([12])\.residual\.3\.', r'.residual_layer\1.convolution2.'),
        (r'\.out_conv\.', '.projection.'),
        (r'^head\.', 'head.layers.'),
        (r'^fov\.encoder\.1\.', 'fov_model.fov_encoder.neck.'),
        (r'^fov\.downsample\.0\.', 'fov_model.conv.'),
        (r'^fov\.head\.', 'fov_model.head.layers.'),
    )
]
"""From Apple's names to those of transformers: in this order, each that matches."""


def load_depth_pro(file: Path, config: DepthProConfig | None = None) -> Any:
    """Build the network that a file has the weights of, which are in memory once.

    Args:
        file: `depth_pro.pt` as Apple publishes it, or safetensors with the same names.
        config: Another size than the published one.

    Returns:
        The `DepthProForDepthEstimation` on the CPU, of the precision that the file has (the
        published one: float16), else ready for use.

    Raises:
        UserError: It cannot be read, is of another network, or lacks something.
    """
    weights = from_apple(read_weights(file))
    with torch.device('meta'):  # else 3.8 GB would be filled and overwritten
        network: Any = DepthProForDepthEstimation(config or published_config())
    load_weights(network, weights, file, 'Depth Pro, by the names of transformers')
    return network.eval()


def published_config() -> DepthProConfig:
    """Return the architecture of the published network: 951,991,330 parameters."""
    return DepthProConfig(
        use_fov_model=True,
        image_model_config=dict(VIT),
        patch_model_config=dict(VIT),
        fov_model_config=dict(VIT),
    )


def from_apple(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights with Apple's names by those of transformers.

    Queries, keys and values, one matrix there, become views of its thirds. Names that Apple does
    not use stay as they are.

    Args:
        weights: Tensors by Apple's names.
    """
    converted = {}
    for name, tensor in weights.items():
        if NOT_NEEDED in name:
            continue
        own = _renamed(name)
        before, joined, after = own.partition('.attn.qkv.')
        if joined and tensor.ndim and tensor.shape[0] % 3 == 0:
            for letter, third in zip('qkv', tensor.tensor_split(3), strict=True):
                converted[f'{before}.attention.{letter}_proj.{after}'] = third
        else:
            converted[own] = tensor
    return converted


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = pattern.sub(replacement, name)
    return name
