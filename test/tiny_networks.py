"""Networks of transformers with random weights, a few kilobytes each, as folders on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {0: 'person', 1: 'bicycle', 2: 'dog', 3: 'car'}
HEIGHT, WIDTH = 64, 96
"""What detectors scale images to; these keep their pixels."""


def save(module, folder: Path, preprocessor: dict) -> Path:
    """Write a network with larger weights than fresh ones have, and its preprocessor."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    module.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor))
    return folder


def detector(folder: Path, kind: str) -> Path:
    """Write an object detector of this model type, of four classes."""
    pytest.importorskip('torch')
    pytest.importorskip('transformers')
    config, preprocessor = {'rt_detr_v2': _rt_detr, 'd_fine': _d_fine, 'detr': _detr}[kind]()
    from transformers import AutoModelForObjectDetection

    config.id2label = NAMES
    _seed()
    return save(AutoModelForObjectDetection.from_config(config), folder, preprocessor)


def depth_estimator(folder: Path, kind: str = 'depth_anything', **settings) -> Path:
    """Write a depth estimator of this model type."""
    pytest.importorskip('torch')
    pytest.importorskip('transformers')
    from transformers import AutoModelForDepthEstimation

    make = {'depth_anything': _depth_anything, 'dpt': _dpt, 'depth_pro': _depth_pro}
    config, preprocessor = make[kind](**settings)
    _seed()
    return save(AutoModelForDepthEstimation.from_config(config), folder, preprocessor)


def backbone(folder: Path, kind: str, **changes) -> Path:
    """Write an image network of this model type; `changes` are made in its preprocessor."""
    pytest.importorskip('torch')
    pytest.importorskip('transformers')
    import transformers

    config, preprocessor = {
        'vit': (transformers.ViTConfig(**VIT, image_size=32, patch_size=8), 'ViT'),
        'dinov2': (transformers.Dinov2Config(**VIT, image_size=32, patch_size=8), 'Bit'),
        'resnet': (transformers.ResNetConfig(**SMALL_RESNET), 'ConvNext'),
    }[kind]
    size = {'height': 32, 'width': 32}
    _seed()
    return save(
        transformers.AutoModel.from_config(config),
        folder,
        {'image_processor_type': f'{preprocessor}ImageProcessor', 'size': size, **changes},
    )


def _seed() -> None:
    import torch

    torch.manual_seed(0)


RT_DETR_INPUT = {
    'image_processor_type': 'RTDetrImageProcessor',
    'do_resize': True,
    'size': {'height': HEIGHT, 'width': WIDTH},
    'resample': 2,
    'do_rescale': True,
    'rescale_factor': 1 / 255,
    'do_normalize': False,
    'do_pad': False,
}
DETECTOR = {
    'encoder_hidden_dim': 16,
    'encoder_in_channels': [8, 16, 16],
    'feat_strides': [8, 16, 32],
    'encoder_layers': 1,
    'encoder_ffn_dim': 16,
    'encoder_attention_heads': 2,
    'd_model': 16,
    'num_queries': 20,
    'decoder_in_channels': [16, 16, 16],
    'decoder_ffn_dim': 16,
    'decoder_layers': 2,
    'decoder_attention_heads': 2,
    'num_denoising': 0,
    'hidden_expansion': 0.5,
}
SMALL_RESNET = {
    'embedding_size': 8,
    'hidden_sizes': [8, 8, 16, 16],
    'depths': [1, 1, 1, 1],
    'layer_type': 'basic',
}


def _rt_detr():
    from transformers import RTDetrResNetConfig, RTDetrV2Config

    backbone = RTDetrResNetConfig(**SMALL_RESNET, out_features=['stage2', 'stage3', 'stage4'])
    return RTDetrV2Config(backbone_config=backbone, decoder_n_points=2, **DETECTOR), RT_DETR_INPUT


def _d_fine():
    from transformers import DFineConfig, HGNetV2Config

    backbone = HGNetV2Config(
        stage_in_channels=[8, 8, 8, 16],
        stage_mid_channels=[4, 4, 8, 8],
        stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
        stem_channels=[3, 8, 8],
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        embedding_size=8,
        out_features=['stage2', 'stage3', 'stage4'],
    )
    config = DFineConfig(backbone_config=backbone, decoder_n_points=[2, 2, 2], **DETECTOR)
    return config, RT_DETR_INPUT


def _detr():
    from transformers import DetrConfig, ResNetConfig

    config = DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=ResNetConfig(**SMALL_RESNET, out_features=['stage4']),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=12,
    )
    preprocessor = {
        'image_processor_type': 'DetrImageProcessor',
        'size': {'shortest_edge': HEIGHT, 'longest_edge': 2 * WIDTH},
        'image_mean': [0.485, 0.456, 0.406],
        'image_std': [0.229, 0.224, 0.225],
    }
    return config, preprocessor


DPT_INPUT = {
    'image_processor_type': 'DPTImageProcessor',
    'do_resize': True,
    'size': {'height': 56, 'width': 56},
    'keep_aspect_ratio': True,
    'ensure_multiple_of': 14,
    'resample': 3,
    'do_normalize': True,
    'image_mean': [0.485, 0.456, 0.406],
    'image_std': [0.229, 0.224, 0.225],
}
VIT = {
    'hidden_size': 16,
    'num_hidden_layers': 2,
    'num_attention_heads': 2,
    'intermediate_size': 16,
}


def _depth_anything(**settings):
    from transformers import DepthAnythingConfig, Dinov2Config

    backbone = Dinov2Config(
        **VIT,
        image_size=56,
        patch_size=14,
        out_features=['stage1', 'stage2'],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[4, 2],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        **settings,
    )
    return config, DPT_INPUT


def _dpt(**settings):
    from transformers import DPTConfig

    config = DPTConfig(
        **{**VIT, 'num_hidden_layers': 4},
        image_size=32,
        patch_size=8,
        is_hybrid=False,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        **settings,
    )
    return config, {
        'image_processor_type': 'DPTFeatureExtractor',
        'size': {'height': 32, 'width': 32},
        'resample': 3,
        'image_mean': [0.5, 0.5, 0.5],
        'image_std': [0.5, 0.5, 0.5],
    }


def _depth_pro(**settings):
    from transformers import DepthProConfig, Dinov2Config

    encoder = Dinov2Config(**VIT, image_size=16, patch_size=8)
    config = DepthProConfig(
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
        patch_size=16,
        fusion_hidden_size=8,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        num_fov_head_layers=1,
        **settings,
    )
    return config, {
        'image_processor_type': 'DepthProImageProcessor',
        'size': {'height': 64, 'width': 64},
        'resample': 2,
        'image_mean': [0.5, 0.5, 0.5],
        'image_std': [0.5, 0.5, 0.5],
    }
