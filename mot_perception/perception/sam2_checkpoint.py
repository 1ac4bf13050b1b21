"""SAM 2 and 2.1 out of a folder of transformers, from the hub, or out of Meta's own file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VisionConfig,
)

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest, load_weights, read_weights
from mot_perception.perception.network import open_folder, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIZES: dict[str, dict[str, Any]] = {
    'tiny': {},
    'small': {'blocks_per_stage': [1, 2, 11, 2], 'global_attention_blocks': [7, 10, 13]},
    'base_plus': {
        'hidden_size': 112,
        'embed_dim_per_stage': [112, 224, 448, 896],
        'num_attention_heads_per_stage': [2, 4, 8, 16],
        'blocks_per_stage': [2, 3, 16, 3],
        'global_attention_blocks': [12, 16, 20],
        'window_positional_embedding_background_size': [14, 14],
    },
    'large': {
        'hidden_size': 144,
        'embed_dim_per_stage': [144, 288, 576, 1152],
        'num_attention_heads_per_stage': [2, 4, 8, 16],
        'blocks_per_stage': [2, 6, 36, 4],
        'global_attention_blocks': [23, 33, 43],
        'window_size_per_stage': [8, 4, 16, 8],
    },
}
"""What the image encoders of the published networks differ in; the tiny one has 1, 2, 7, 2 blocks
of 96 channels, and attention over the whole image in blocks 5, 7 and 9."""
BLOCKS = {'tiny': 12, 'small': 16, 'base_plus': 24, 'large': 48}
NEW_IN_2_1 = 'no_obj_embed_spatial', 'obj_ptr_tpos_proj.weight', 'obj_ptr_tpos_proj.bias'
"""Meta's names of the weights that SAM 2 has not."""
LARGEST_NUMBER = 1 << 16
"""Of channels and blocks in a `config.json`."""
LARGEST_IMAGE = 4096
STRIDE = 16
"""Pixels between the cells that the network remembers."""
FILES = 'config.json', '*.safetensors'
FILE_ENDINGS = '.pt', '.pth', '.safetensors'

_BLOCK = re.compile(r'image_encoder\.trunk\.blocks\.(\d{1,3})\.')
_DOWNSAMPLER = re.compile(r'(memory_encoder\.mask_downsampler\.)encoder\.(\d|1[01])\.')
_MATRIX = 'prompt_encoder.shared_embedding.positional_embedding'
_SAME_MATRIX = 'shared_image_embedding.positional_embedding'
_POINTS = 'prompt_encoder.point_embed.weight'
_HEAD = (
    r'^(mask_decoder\.(?:iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d+)\.'
    r'|object_pointer_proj\.)layers\.'
)
RENAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'^image_encoder\.trunk\.', 'vision_encoder.backbone.'),
        (r'^(vision_encoder\.backbone\.patch_embed\.)proj\.', r'\1projection.'),
        (r'^(vision_encoder\.backbone\.blocks\.\d+\.)norm([12])\.', r'\1layer_norm\2.'),
        (r'^(vision_encoder\.backbone\.blocks\.\d+\.mlp\.)layers\.0\.', r'\1proj_in.'),
        (r'^(vision_encoder\.backbone\.blocks\.\d+\.mlp\.)layers\.1\.', r'\1proj_out.'),
        (r'^image_encoder\.neck\.convs\.(\d+)\.conv\.', r'vision_encoder.neck.convs.\1.'),
        (r'^maskmem_tpos_enc$', 'memory_temporal_positional_encoding'),
        (r'^no_mem_embed$', 'no_memory_embedding'),
        (r'^no_mem_pos_enc$', 'no_memory_positional_encoding'),
        (r'^no_obj_ptr$', 'no_object_pointer'),
        (r'^no_obj_embed_spatial$', 'occlusion_spatial_embedding_parameter'),
        (r'^obj_ptr_tpos_proj\.', 'temporal_positional_encoding_projection_layer.'),
        (r'^obj_ptr_proj\.', 'object_pointer_proj.'),
        (r'^sam_prompt_encoder\.', 'prompt_encoder.'),
        (r'^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$', _MATRIX),
        (r'^prompt_encoder\.mask_downscaling\.0\.', 'prompt_encoder.mask_embed.conv1.'),
        (r'^prompt_encoder\.mask_downscaling\.1\.', 'prompt_encoder.mask_embed.layer_norm1.'),
        (r'^prompt_encoder\.mask_downscaling\.3\.', 'prompt_encoder.mask_embed.conv2.'),
        (r'^prompt_encoder\.mask_downscaling\.4\.', 'prompt_encoder.mask_embed.layer_norm2.'),
        (r'^prompt_encoder\.mask_downscaling\.6\.', 'prompt_encoder.mask_embed.conv3.'),
        (r'^sam_mask_decoder\.', 'mask_decoder.'),
        (r'^mask_decoder\.output_upscaling\.0\.', 'mask_decoder.upscale_conv1.'),
        (r'^mask_decoder\.output_upscaling\.1\.', 'mask_decoder.upscale_layer_norm.'),
        (r'^mask_decoder\.output_upscaling\.3\.', 'mask_decoder.upscale_conv2.'),
        (r'^(mask_decoder\.transformer\.)norm_final_attn\.', r'\1layer_norm_final_attn.'),
        (r'^(mask_decoder\.transformer\.layers\.\d+\.)norm(\d)\.', r'\1layer_norm\2.'),
        (r'^(mask_decoder\.transformer\.layers\.\d+\.mlp\.)layers\.0\.', r'\1proj_in.'),
        (r'^(mask_decoder\.transformer\.layers\.\d+\.mlp\.)layers\.1\.', r'\1proj_out.'),
        (_HEAD + r'0\.', r'\1proj_in.'),
        (_HEAD + r'2\.', r'\1proj_out.'),
        (_HEAD + r'1\.', r'\1layers.0.'),
        (r'^memory_attention\.norm\.', 'memory_attention.layer_norm.'),
        (r'^(memory_attention\.layers\.\d+\.)norm(\d)\.', r'\1layer_norm\2.'),
        (r'\.out_proj\.', '.o_proj.'),
        (r'^memory_encoder\.o_proj\.', 'memory_encoder.projection.'),
        (r'^memory_encoder\.pix_feat_proj\.', 'memory_encoder.feature_projection.'),
        (r'^(memory_encoder\.mask_downsampler\.)encoder\.12\.', r'\1final_conv.'),
        (r'^memory_encoder\.fuser\.', 'memory_encoder.memory_fuser.'),
        (r'^(memory_encoder\.memory_fuser\.layers\.\d+\.)dwconv\.', r'\1depthwise_conv.'),
        (r'^(memory_encoder\.memory_fuser\.layers\.\d+\.)norm\.', r'\1layer_norm.'),
        (r'^(memory_encoder\.memory_fuser\.layers\.\d+\.)pwconv', r'\1pointwise_conv'),
        (r'^(memory_encoder\.memory_fuser\.layers\.\d+\.)gamma$', r'\1scale'),
    )
]
"""From Meta's names to those of transformers: in this order, each that matches."""


def load_sam2(model: str) -> tuple[Any, str]:
    """Build the network that a folder or file has the weights of.

    Args:
        model: A folder with `config.json` and `model.safetensors` of a `Sam2VideoModel`; its name
            on the hub; or a file with Meta's names (`sam2.1_hiera_tiny.pt`, …), of any published
            size, 2.0 or 2.1.

    Returns:
        The `Sam2VideoModel`, float32 on the CPU, ready for use; and its name with a part of the
        hash of its weights, for people.

    Raises:
        UserError: Not there, cannot be read, is of another architecture, or lacks something.
    """
    path = Path(model).expanduser()
    if path.is_file() or path.suffix in FILE_ENDINGS:
        network, size = _load_metas(path)
        return network, f'{path.name} ({size}, sha256 {digest(path)[:8]})'
    folder = open_folder(model, FILES)
    file = folder / 'model.safetensors'
    network = _load_folder(folder / 'config.json', file)
    return network, f'{path.name} (sha256 {digest(file)[:8]})'


def published_config(size: str, version: str) -> Sam2VideoConfig:
    """Return the architecture of a published network.

    Args:
        size: A key of `SIZES`.
        version: '2.0' or '2.1'.
    """
    trunk = Sam2HieraDetConfig(**SIZES[size])
    channels = list(reversed(trunk.embed_dim_per_stage or []))
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=channels),
        enable_occlusion_spatial_embedding=version == '2.1',
        enable_temporal_pos_encoding_for_object_pointers=version == '2.1',
    )


def from_meta(weights: Mapping[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """Return weights with Meta's names by those of transformers.

    Nothing is transposed or split. Four embeddings of points become one table, and the matrix of
    the positional encoding is there twice. Names that Meta does not use stay as they are.

    Args:
        weights: Tensors by Meta's names.
        file: Where they come from, for errors.

    Raises:
        UserError: Two of them have the same meaning.
    """
    converted = {_renamed(name): tensor for name, tensor in weights.items()}
    if len(converted) < len(weights):
        raise UserError(f'{file}: holds some weights twice, by different names; copy it again')
    points = [converted.get(f'prompt_encoder.point_embeddings.{row}.weight') for row in range(4)]
    rows = [row for row in points if row is not None and row.ndim == 2]
    if len(rows) == len(points) and len({row.shape for row in rows}) == 1:
        for row in range(4):
            del converted[f'prompt_encoder.point_embeddings.{row}.weight']
        converted[_POINTS] = torch.cat(rows)
    return converted


def _load_metas(file: Path) -> tuple[Any, str]:
    weights = read_weights(file)
    size = _size(weights, file)
    version = '2.1' if any(name in weights for name in NEW_IN_2_1) else '2.0'
    what = f'SAM {version} {size}, which they look like, by the names of transformers'
    network = _filled(published_config(size, version), from_meta(weights, file), file, what)
    return network, f'SAM {version} {size}'


def _size(weights: Mapping[str, torch.Tensor], file: Path) -> str:
    """Return the size that has as many blocks, or a few more than are left."""
    numbers = [int(found[1]) for name in weights if (found := _BLOCK.match(name))]
    fitting = [size for size, blocks in BLOCKS.items() if blocks > max(numbers, default=1000)]
    if not fitting:
        first = ', '.join(f'{name!r:.60}' for name in list(weights)[:3])
        raise UserError(
            f"{file}: no weights of SAM 2 by Meta's names (they begin with {first}); give those "
            f'of {", ".join(SIZES)}, or a folder of transformers'
        )
    return fitting[0]


def _load_folder(settings: Path, file: Path) -> Any:
    values = read_json(settings)
    if values.get('model_type') != 'sam2_video':
        raise UserError(
            f'{settings}: {values.get("model_type")!r:.40} is no network for masks in videos; '
            'known: sam2_video (SAM 2 and 2.1)'
        )
    if any(not abs(number) <= LARGEST_NUMBER for number in _numbers(values)):
        raise UserError(f'{settings}: a size beyond {LARGEST_NUMBER}; copy it again')
    try:
        config = Sam2VideoConfig.from_dict(values)
    except Exception as error:  # whatever transformers makes of what is in it
        raise UserError(f'{settings}: cannot be read ({_line(error)}); copy it again') from None
    if not _is_whole(config):
        raise UserError(
            f'{settings}: an image encoder other than that of SAM 2, or sizes of images that do '
            'not agree; give the folder of a published network'
        )
    weights = read_weights(file)
    if _layers(config) > len(weights):
        raise UserError(f'{settings}: more layers than {file} has weights for; copy it again')
    return _filled(config, weights, file, f'the network that {settings} describes')


def _is_whole(config: Any) -> bool:
    """Return whether it is SAM 2 with one size of images throughout."""
    vision, prompts, side = config.vision_config, config.prompt_encoder_config, config.image_size
    known = isinstance(vision, Sam2VisionConfig) and isinstance(
        vision.backbone_config, Sam2HieraDetConfig
    )
    agreed = isinstance(side, int) and side == prompts.image_size and prompts.patch_size == STRIDE
    return known and agreed and STRIDE <= side <= LARGEST_IMAGE and side % STRIDE == 0


def _layers(config: Any) -> int:
    """Return how many parts of a kind a network has together, where a file may say any number."""
    decoder = config.mask_decoder_config
    counts: list[int] = [
        *config.vision_config.backbone_config.blocks_per_stage,
        config.memory_attention_num_layers,
        config.memory_fuser_num_layers,
        decoder.num_hidden_layers,
        decoder.num_multimask_outputs,
        decoder.iou_head_depth,
    ]
    return sum(counts)


def _filled(config: Any, weights: dict[str, torch.Tensor], file: Path, what: str) -> Any:
    """Build the network of a configuration with these weights, none missing and none left over."""
    config._attn_implementation = 'sdpa'  # a file could name code of the hub
    for given, same in ((_MATRIX, _SAME_MATRIX), (_SAME_MATRIX, _MATRIX)):
        if given in weights:  # some files hold it once
            weights.setdefault(same, weights[given])
    try:
        with torch.device('meta'):  # takes no memory, whatever the sizes
            outline = Sam2VideoModel(config)
    except Exception as error:  # sizes that do not fit together
        raise UserError(
            f'{file}: {what}, cannot be built ({_line(error)}); copy its files again'
        ) from None
    if _shapes(outline.state_dict()) != _shapes(weights):
        load_weights(outline, weights, file, what)  # says where they differ
    network: Any = Sam2VideoModel(config)
    load_weights(network, weights, file, what)
    return network.eval()


def _shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _renamed(name: str) -> str:
    name = _DOWNSAMPLER.sub(_downsampler, name)
    for pattern, replacement in RENAMES:
        name = pattern.sub(replacement, name)
    return name


def _downsampler(found: re.Match[str]) -> str:
    """Of each three in a row there are a convolution, a norm, and nothing with weights."""
    layer, part = divmod(int(found[2]), 3)
    kind = ('conv', 'layer_norm', f'encoder.{found[2]}')[part]
    return f'{found[1]}layers.{layer}.{kind}.'


def _numbers(values: Any) -> Iterator[float]:
    """Yield all numbers in what a JSON file held."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _numbers(value)
    elif isinstance(values, int | float):
        yield values


def _line(error: BaseException) -> str:
    """Return the first line of what a library says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
