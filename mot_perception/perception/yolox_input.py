"""The two scales of colour of YOLOX: which one weights expect, and how images get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from mot_perception.perception.letterbox import MEAN, STD
from mot_perception.perception.yolox import focus

if TYPE_CHECKING:
    from mot_perception.perception.letterbox import Pixels
    from mot_perception.perception.yolox import Focus


def normalised(canvases: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """Return uint8 B×h×w×3 BGR as float32 B×3×h×w, on the device where it is."""
    values = canvases.permute(0, 3, 1, 2).float()
    if pixels == 'bgr':
        return values
    mean, std = (torch.tensor(of, device=values.device)[:, None, None] for of in (MEAN, STD))
    return (values.flip(1) / 255 - mean) / std


def trained_on(stem: Focus) -> Pixels:
    """Return which input a network has been trained with, which its file does not say.

    The two scales differ by a factor of 58, and the first batch normalisation remembers the
    variances of what the first convolution gave for the images of the training. The scale that
    gives most nearly these for something like a photograph is it.

    Args:
        stem: The first layer of a network that is not fused.
    """
    photograph = _photograph()
    remembered = stem.conv.bn.get_buffer('running_var').clamp(min=1e-12).log()

    def misfit(pixels: Pixels) -> float:
        with torch.inference_mode():
            given = stem.conv.conv(focus(normalised(photograph, pixels)))
        variance = given.var(dim=(0, 2, 3)).clamp(min=1e-12).log()
        return float((variance - remembered).abs().median())

    return 'bgr' if misfit('bgr') < misfit('imagenet') else 'imagenet'


def _photograph() -> torch.Tensor:
    """Return 1×128×128×3 uint8 noise with a photograph's statistics.

    Each octave of detail contributes equally (Field 1987), and colours vary together.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(1, 3, 128, 128)
    for side in (4, 8, 16, 32, 64, 128):
        grey, colour = (torch.randn(1, n, side, side, generator=generator) for n in (1, 3))
        total += interpolate(grey + colour / 3, (128, 128), mode='bilinear')
    values = 115 + 60 * (total - total.mean()) / total.std()
    return values.clamp(0, 255).byte().permute(0, 2, 3, 1)
