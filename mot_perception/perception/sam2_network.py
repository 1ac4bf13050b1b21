"""One step of SAM 2 from frame to frame, for many objects at once.

The video model of transformers goes through objects one by one, with a memory of many frames. Here
its parts are called for all objects together, with a memory of the one frame before: what the
published network computes of a video of two frames whose first is prompted with a box per object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import interpolate
from transformers.models.sam2_video import modeling_sam2_video

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

ABSENT = -1024.0
"""What stands in masks of objects that are not there."""


class Features(NamedTuple):
    """What the network knows of an image; C = 256, the input has S×S pixels.

    Attributes:
        fine: 1×C/8×S/4×S/4.
        middle: 1×C/4×S/8×S/8.
        coarse: 1×C×S/16×S/16, before anything is known of other frames.
        place: 1×C×S/16×S/16, encoding of positions.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    place: Tensor


class Objects(NamedTuple):
    """N objects in one frame.

    Attributes:
        logits: N×S/4×S/4, positive where an object is; `ABSENT` everywhere if it is not there.
        score: N×1, positive where an object is there at all.
        pointer: N×C, what is remembered of how it looks.
    """

    logits: Tensor
    score: Tensor
    pointer: Tensor


class Memory(NamedTuple):
    """What is remembered of N objects, M = (S/16)² cells and the parts of the pointer.

    Attributes:
        tokens: M×N×64.
        place: M×N×64, encoding of positions and of time.
        pointers: How many of the M, at the end, are parts of pointers.
    """

    tokens: Tensor
    place: Tensor
    pointers: int


def encode(network: Any, pixels: Tensor) -> Features:
    """Look at an image.

    Args:
        network: A `Sam2VideoModel`.
        pixels: 1×3×S×S, RGB, normalised.
    """
    seen = network.vision_encoder(pixels, return_dict=True)
    fine, middle, coarse = seen.fpn_hidden_states
    decoder = network.mask_decoder
    place = _place(network.vision_encoder.neck, coarse)
    return Features(decoder.conv_s0(fine), decoder.conv_s1(middle), coarse, place)


def prompted(network: Any, features: Features, corners: Tensor) -> Objects:
    """Outline the objects in boxes.

    Args:
        network: A `Sam2VideoModel`.
        features: Of the image.
        corners: N×4: left, top, right, bottom in pixels of the network's input.
    """
    with _exactly(corners):
        prompt = network.prompt_encoder(
            input_points=None, input_labels=None, input_boxes=corners[None], input_masks=None
        )
    coarse = features.coarse + network.no_memory_embedding.view(1, -1, 1, 1)
    config = network.config
    # A box counts as two points, which published networks give one mask for.
    several = config.multimask_output_in_sam and _in_reach(config, points=2)
    return _decoded(network, features, coarse, prompt, several)


def remember(network: Any, features: Features, objects: Objects) -> Memory:
    """Encode where prompted objects are in an image and how they look."""
    count = len(objects.logits)
    config = network.config
    masks = interpolate(
        objects.logits[:, None].float(), (config.image_size,) * 2, mode='bilinear'
    )  # the memory's encoder begins at the size of the input
    inside = (masks > 0) * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
    seen, _ = network.memory_encoder(features.coarse.expand(count, -1, -1, -1), inside)
    if network.occlusion_spatial_embedding_parameter is not None:
        absent = (objects.score <= 0)[..., None, None]
        seen = seen + absent * network.occlusion_spatial_embedding_parameter[..., None, None]
    seen = seen.to(torch.bfloat16).float()  # as the published network keeps it
    time = network.memory_temporal_positional_encoding[-1]  # the last is that of prompted frames
    pointers = objects.pointer.view(count, -1, network.mem_dim).transpose(0, 1)
    aged = _age(network).to(seen).expand(len(pointers), count, -1)
    tokens = torch.cat([_cells_first(seen), pointers.float()])
    place = _cells_first(_place(network.memory_encoder, seen)).expand(-1, count, -1)
    return Memory(tokens, torch.cat([place + time, aged]), len(pointers))


def propagated(network: Any, features: Features, memory: Memory) -> Objects:
    """Find remembered objects in the next image.

    Args:
        network: A `Sam2VideoModel`.
        features: Of the next image, in the direction that objects are followed in.
        memory: Of N objects in the image before.
    """
    count = memory.tokens.shape[1]
    attended = network.memory_attention(
        current_vision_features=_cells_first(features.coarse).expand(-1, count, -1),
        current_vision_position_embeddings=_cells_first(features.place).expand(-1, count, -1),
        memory=memory.tokens,
        memory_posision_embeddings=memory.place,
        num_object_pointer_tokens=memory.pointers,
    )
    coarse = attended.reshape(count, -1, network.hidden_dim).transpose(1, 2)
    coarse = coarse.reshape(count, *features.coarse.shape[1:])
    nowhere = coarse.new_zeros(count, 1, 1, 2)
    prompt = network.prompt_encoder(
        input_points=nowhere,
        input_labels=nowhere.new_full((count, 1, 1), -1, dtype=torch.int32),
        input_boxes=None,
        input_masks=None,
    )
    config = network.config
    several = config.multimask_output_in_sam and config.multimask_output_for_tracking
    return _decoded(network, features, coarse, prompt, several and _in_reach(config, points=0))


def _decoded(
    network: Any, features: Features, coarse: Tensor, prompt: tuple[Tensor, Tensor], several: bool
) -> Objects:
    """Return the best mask of each object.

    Args:
        network: A `Sam2VideoModel`.
        features: Of the image.
        coarse: With what is known of other frames: 1×C×h×w for N prompts, or N×C×h×w for one each.
        prompt: Sparse 1×N×P×C or N×1×P×C, and dense 1×C×h×w or N×C×h×w.
        several: Look at three masks of each object.
    """
    images = len(coarse)
    sparse, dense = prompt
    with _exactly(coarse):
        place = network.get_image_wide_positional_embeddings()
    decoded = network.mask_decoder(
        image_embeddings=coarse,
        image_positional_embeddings=place.expand(images, -1, -1, -1),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several,
        high_resolution_features=[
            features.fine.expand(images, -1, -1, -1),
            features.middle.expand(images, -1, -1, -1),
        ],
    )
    masks, quality, tokens, score = (it.flatten(0, 1) for it in decoded)
    best = quality.argmax(-1)
    rows = torch.arange(len(best), device=best.device)
    logits = masks[rows, best].masked_fill((score <= 0)[..., None], ABSENT)
    pointer = network.object_pointer_proj(tokens[rows, best])
    pointer = torch.where(score > 0, pointer, network.no_object_pointer.to(pointer))
    return Objects(logits, score, pointer)


def _exactly(tensor: Tensor) -> AbstractContextManager[None]:
    """Compute in single precision: places in bfloat16 are off by whole pixels."""
    return torch.autocast(tensor.device.type, enabled=False)


def _in_reach(config: Any, points: int) -> bool:
    least, most = config.multimask_min_pt_num, config.multimask_max_pt_num
    return bool(least <= points <= most)


def _place(part: Any, maps: Tensor) -> Tensor:
    """Return the encoding of positions in B×C×h×w maps, 1×C×h×w.

    The part's own output has the maps' precision, and angles in bfloat16 are far off.
    """
    encoded: Tensor = part.position_encoding((1, *maps.shape[1:]), maps.device, torch.float32)
    return encoded


def _age(network: Any) -> Tensor:
    """Return the encoding of one step, in a video of two frames; SAM 2.0 has none."""
    projection = network.temporal_positional_encoding_projection_layer
    if not network.config.enable_temporal_pos_encoding_for_object_pointers:
        return torch.zeros(1, 1, network.mem_dim)
    step = torch.ones(1, device=projection.weight.device)
    encoding: Any = modeling_sam2_video.get_1d_sine_pe
    aged: Tensor = projection(encoding(step, dim=network.hidden_dim))[None]
    return aged


def _cells_first(maps: Tensor) -> Tensor:
    """Return B×C×h×w as hw×B×C."""
    return maps.flatten(2).permute(2, 0, 1)
