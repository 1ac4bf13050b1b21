"""How an image is varied before a detector learns from it: another view, another light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from mot_perception.boxes import area, clip
from mot_perception.perception.letterbox import PADDING, letterbox
from mot_perception.training.detector_images import Labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

AS_IT_RUNS = 0.3
"""Share of images that are scaled as at run time, not cut or zoomed."""
ZOOM = 0.55, 2.2
"""Least and most by which people grow."""
LEAST_LEFT = 0.3
"""Share of a box that must remain in the view, for it to be asked for."""
LEAST_SIDES = 4.0, 10.0
"""Pixels across and down, of the network's input, below which nobody is asked for."""


def whole_view(seen: Labelled, height: int, width: int) -> Labelled:
    """Return an image as the detector sees it when it runs, with its boxes scaled likewise."""
    canvas, ratio = letterbox(seen.image, height, width)
    rows, columns = seen.image.shape[:2]
    xyxy = clip(seen.xyxy, columns, rows) * ratio
    return _asked(Labelled(canvas, xyxy, clip(seen.ignored, columns, rows) * ratio))


def random_view(seen: Labelled, height: int, width: int, random: np.random.Generator) -> Labelled:
    """Return a view of an image, perhaps mirrored, in another light.

    Args:
        seen: The image.
        height: Of the network's input, pixels.
        width: The same.
        random: Source of all chance.
    """
    if random.random() < AS_IT_RUNS:
        view = whole_view(seen, height, width)
    else:
        view = _window(seen, height, width, random)
    if random.random() < 0.5:
        view = _mirrored(view)
    return view._replace(image=_relit(view.image, random))


def _window(seen: Labelled, height: int, width: int, random: np.random.Generator) -> Labelled:
    """Cut a window out of the image, or put the image into a larger grey one."""
    rows, columns = seen.image.shape[:2]
    zoom = np.exp(random.uniform(*np.log(ZOOM)))
    across = max(columns, rows * width / height) / zoom
    down = across * height / width * np.exp(random.uniform(-0.15, 0.15))
    room = np.array([columns - across, rows - down])
    start = random.uniform(np.minimum(room, 0), np.maximum(room, 0))
    scale = np.array([width / across, height / down])
    # Pixel centres lie at halves here, as where images are scaled.
    shift = (0.5 - start) * scale - 0.5
    affine = np.column_stack([np.diag(scale), shift])
    canvas = cv2.warpAffine(seen.image, affine, (width, height), borderValue=(PADDING,) * 3)
    end = np.minimum(start + np.array([across, down]), (columns, rows))
    frame = np.concatenate([np.maximum(start, 0), end])

    def moved(xyxy: Array) -> tuple[Array, NDArray[np.bool_]]:
        cut = np.clip(xyxy, frame[[0, 1, 0, 1]], frame[[2, 3, 2, 3]])
        enough = area(cut) >= LEAST_LEFT * area(xyxy)
        return (cut - np.tile(start, 2)) * np.tile(scale, 2), enough

    asked, enough = moved(seen.xyxy)
    ignored, _ = moved(seen.ignored)
    left = np.concatenate([ignored, asked[~enough]])
    return _asked(Labelled(np.asarray(canvas, np.uint8), asked[enough], left[area(left) > 0]))


def _asked(view: Labelled) -> Labelled:
    """Ignore those who are too small."""
    large = (view.xyxy[:, 2:] - view.xyxy[:, :2] >= LEAST_SIDES).all(1)
    ignored = np.concatenate([view.ignored, view.xyxy[~large]])
    return Labelled(view.image, view.xyxy[large], ignored)


def _mirrored(view: Labelled) -> Labelled:
    width = view.image.shape[1]

    def turned(xyxy: Array) -> Array:
        return np.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], 1)

    return Labelled(view.image[:, ::-1], turned(view.xyxy), turned(view.ignored))


def _relit(image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and colours; now and then blur, add noise, or take colour."""
    gain = random.uniform(0.65, 1.35) * random.uniform(0.88, 1.12, 3)
    gamma = np.exp(random.uniform(-0.25, 0.25))
    ramp = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip(np.outer(ramp, gain) + random.uniform(-18, 18), 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), np.uint8)
    if random.random() < 0.1:
        image = image[..., random.permutation(3)]
    if random.random() < 0.05:
        image = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    if random.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.3)), np.uint8)
    if random.random() < 0.25:
        noise = random.uniform(2, 10) * random.standard_normal(image.shape, np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)
