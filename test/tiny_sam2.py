"""SAM 2 of the published structure, a thousandth of its size and with random weights."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
"""Pixels of the input's sides; masks have a quarter."""
WIDTH = 128


def network(version: str = '2.1', presence: float = 4.0, salt: str = ''):
    """Return a small `Sam2VideoModel`, filled as the golden vectors' networks are.

    Args:
        version: '2.0' or '2.1'.
        presence: Bias of the score that says whether objects are there.
        salt: Another one gives other weights.
    """
    torch = pytest.importorskip('torch')
    transformers = pytest.importorskip('transformers')
    module = transformers.Sam2VideoModel(config(version)).eval()
    state = module.state_dict()
    for name, tensor in state.items():
        rng = np.random.default_rng(zlib.crc32((name + salt).encode()))
        value = rng.standard_normal(tuple(tensor.shape)).astype(np.float32)
        if value.ndim > 1 and 'embed' not in name and 'encoding' not in name:
            value /= np.sqrt(np.prod(tensor.shape[1:]))
        elif value.ndim <= 1:
            value = value * 0.1 + name.endswith(('weight', 'scale'))
        if 'cross_attn_image.o_proj.weight' in name:
            value *= 8  # or the mean over so few cells would hardly matter
        tensor.copy_(torch.from_numpy(value))
    state['mask_decoder.pred_obj_score_head.proj_out.bias'].fill_(presence)
    state['shared_image_embedding.positional_embedding'].copy_(
        state['prompt_encoder.shared_embedding.positional_embedding']
    )
    module.load_state_dict(state)
    return module


def config(version: str):
    """Return the settings of a small network."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig

    trunk = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[3, 3],
    )
    vision = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[SIDE // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=WIDTH,
    )
    decoder = {
        'hidden_size': WIDTH,
        'mlp_dim': 32,
        'num_attention_heads': 4,
        'iou_head_hidden_dim': 16,
    }
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={'hidden_size': WIDTH, 'image_size': SIDE},
        mask_decoder_config=decoder,
        image_size=SIDE,
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
        memory_encoder_hidden_size=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=32,
        mask_downsampler_embed_dim=WIDTH,
        enable_occlusion_spatial_embedding=version == '2.1',
        enable_temporal_pos_encoding_for_object_pointers=version == '2.1',
    )


def saved(folder: Path, module=None) -> Path:
    """Write a network as transformers does."""
    (module or network()).save_pretrained(folder)
    return folder
