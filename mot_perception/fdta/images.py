"""Images as the network wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MEAN = 0.485, 0.456, 0.406
DEVIATION = 0.229, 0.224, 0.225


def normalised(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return RGB images as for ImageNet: uint8 (B, 3, H, W) → the same shape."""
    mean = torch.tensor(MEAN, device=images.device)[:, None, None] * 255
    deviation = torch.tensor(DEVIATION, device=images.device)[:, None, None] * 255
    return ((images - mean) / deviation).to(dtype)


def scaled_size(height: int, width: int, shorter: int, longer: int) -> tuple[int, int]:
    """Return the height and width in which the network sees an image.

    Args:
        height: Of the image.
        width: Of the image.
        shorter: What its shorter side becomes,
        longer: but never is its longer side longer than this.
    """
    scale = min(shorter / min(height, width), longer / max(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image H×W×3 in another size."""
    # Bilinear samples of a picture that shrinks much would skip pixels.
    way = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)
