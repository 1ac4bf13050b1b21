"""From frames to clips: the same augmentation for colour and depth of all frames, then tensors.

Specification §2, "Joint transform order": stills get a moving camera, clips are mirrored, scaled,
or scaled, cut and scaled, then put into another light. Scaling twice is done at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from mot_perception.errors import UserError
from mot_perception.fdta.images import scaled_size
from mot_perception.fdta.losses.detection_loss import Objects
from mot_perception.training.fdta.clip import Clip, View
from mot_perception.training.fdta.colour_jitter import random_light
from mot_perception.training.fdta.framing import Framing, framed, remaining

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from mot_perception.fdta.settings import FdtaSettings
    from mot_perception.training.fdta.clip import Footage

    Window = tuple[int, int, int, int]

SIZES = tuple(size / 800 for size in range(480, 801, 32))
"""What the shorter side may become, in shares of the settings' `shorter`."""
SIZES_BEFORE = 400 / 800, 500 / 800, 600 / 800
"""The same before a part is cut out."""
PARTS = 384 / 800, 600 / 800
"""Least and most of each side of such a part, likewise."""
TRIES = 10
"""Cuts that may lose all objects of some frame, until nothing is cut."""
DRIFT = 0.06
"""Share of a still that each of its borders wanders inwards in a clip, at most."""


def read_clip(
    footage: Footage,
    frames: Sequence[int],
    settings: FdtaSettings,
    random: np.random.Generator | None = None,
) -> Clip:
    """Read frames of a sequence and make a clip of them.

    Args:
        footage: The sequence.
        frames: T numbers, rising, or T times the same: a still.
        settings: Of the network.
        random: Augments; None: frames are only scaled to the network's size.

    Raises:
        UserError: A file is missing or damaged: which; or frames are not of one size.
    """
    read = {number: footage.view(number) for number in dict.fromkeys(frames)}
    _check_sizes(footage, read)
    views = [read[number] for number in frames]
    numbers = np.arange(len(frames)) if len(read) == 1 else np.array(frames) - frames[0]
    times = numbers.astype(np.float64) * (footage.period / settings.frame_period)
    views = plain(views, settings) if random is None else augmented(views, settings, random)
    return to_clip(views, times)


def _check_sizes(footage: Footage, read: Mapping[int, View]) -> None:
    """Refuse a sequence whose images change their size on the way."""
    sizes = {number: view.image.shape[1::-1] for number, view in read.items()}
    first, *others = sizes
    for number in others:
        if sizes[number] != sizes[first]:
            one, other = ('×'.join(map(str, sizes[it])) for it in (first, number))
            raise UserError(
                f'{footage.name}: frame {first + 1} has {one} pixels, frame {number + 1} {other}; '
                'make a sequence of each size'
            )


def plain(views: Sequence[View], settings: FdtaSettings) -> list[View]:
    """Return frames of one size, scaled as the network sees them when it is used."""
    height, width = views[0].image.shape[:2]
    size = scaled_size(height, width, settings.shorter, settings.longer)
    return [framed(view, Framing((0, 0, width, height), *size)) for view in views]


def augmented(
    views: Sequence[View], settings: FdtaSettings, random: np.random.Generator
) -> list[View]:
    """Return another look of frames of one size; T times the same one is a still that moves.

    Args:
        views: T frames.
        settings: Of the network, whose size of images is the largest that comes out.
        random: Source of all chance.
    """
    height, width = views[0].image.shape[:2]
    windows: list[Window] = [(0, 0, width, height)] * len(views)
    if len(views) > 1 and views[0] is views[-1]:
        windows = _drifting(width, height, len(views), random)
    mirrored = bool(random.random() < 0.5)
    if random.random() < 0.5:
        windows = _cut(views, windows, settings.shorter, random)
    left, top, right, bottom = windows[0]
    shorter = settings.shorter * SIZES[random.integers(len(SIZES))]
    size = scaled_size(bottom - top, right - left, round(shorter), settings.longer)
    light = random_light(random)
    shown = (
        framed(view, Framing(window, *size, mirrored))
        for view, window in zip(views, windows, strict=True)
    )
    return [
        View(light(view.image), view.xyxy, view.ids, view.labels, view.depth) for view in shown
    ]


def _drifting(width: int, height: int, count: int, random: np.random.Generator) -> list[Window]:
    """Return what a camera sees of a still while it moves closer and sideways, or away again.

    Each border wanders by itself, in steps of random length, up to `DRIFT` of the side.
    """
    steps = random.random((count, 4))
    steps[0] = 0
    way = np.cumsum(steps, 0)
    inwards = way / way[-1] * random.uniform(0, DRIFT, 4)
    if random.random() < 0.5:
        inwards = inwards[::-1]
    far = np.array([0, 0, width, height])
    moved = np.rint(far + inwards * [width, height, -width, -height]).astype(int)
    return [(left, top, right, bottom) for left, top, right, bottom in moved.tolist()]


def _cut(
    views: Sequence[View], windows: list[Window], shorter: int, random: np.random.Generator
) -> list[Window]:
    """Return a part of each window, the same share of each, that loses no frame's last object."""
    left, top, right, bottom = windows[0]
    sides = np.array([right - left, bottom - top], np.float64)
    for _ in range(TRIES):
        scale = SIZES_BEFORE[random.integers(len(SIZES_BEFORE))] * shorter / sides.min()
        least, most = (np.minimum(shorter * part / scale, sides) for part in PARTS)
        part = random.uniform(least, most) / sides
        start = random.uniform(0, 1 - part)
        cut = [_part(window, start.tolist(), part.tolist()) for window in windows]
        if not any(_loses(view, *both) for view, *both in zip(views, windows, cut, strict=True)):
            return cut
    return windows


def _part(window: Window, start: Sequence[float], part: Sequence[float]) -> Window:
    """Return the pixels of a part of a window; start and part are shares of it, x and y."""
    left, top, right, bottom = window
    x, y = left + start[0] * (right - left), top + start[1] * (bottom - top)
    ends = x + part[0] * (right - left), y + part[1] * (bottom - top)
    x, y = min(round(x), right - 1), min(round(y), bottom - 1)
    return x, y, max(round(ends[0]), x + 1), max(round(ends[1]), y + 1)


def _loses(view: View, window: Window, cut: Window) -> bool:
    """Tell whether a frame that has objects in its window has none in a part of it."""
    return bool(remaining(view.xyxy, window)[1].any() and not remaining(view.xyxy, cut)[1].any())


def to_clip(views: Sequence[View], times: NDArray[np.float64]) -> Clip:
    """Return tensors; identities are numbered from 0 within the clip.

    Args:
        views: T frames of one size.
        times: T, from 0, in frame periods of the network's settings.
    """
    known = np.unique(np.concatenate([view.ids for view in views]))
    images = np.stack([cv2.split(view.image)[::-1] for view in views])  # BGR to RGB
    depths = [view.depth for view in views if view.depth is not None]
    return Clip(
        torch.from_numpy(images),
        torch.from_numpy(np.stack(depths)) if len(depths) == len(views) else None,
        [_objects(view, known) for view in views],
        torch.from_numpy(times),
    )


def _objects(view: View, known: NDArray[np.int64]) -> Objects:
    height, width = view.image.shape[:2]
    low, high = view.xyxy[:, :2], view.xyxy[:, 2:]
    boxes = np.concatenate([(low + high) / 2, high - low], 1) / [width, height, width, height]
    return Objects(
        torch.from_numpy(boxes.astype(np.float32)),
        torch.from_numpy(view.labels),
        torch.from_numpy(np.searchsorted(known, view.ids)),
    )


class Batch(NamedTuple):
    """B clips of T frames, brought to one size by padding at the right and below."""

    images: Tensor
    """uint8 (B, T, 3, H, W), RGB; padding is 0."""
    padded: Tensor | None
    """bool (B, H, W), True where there is no image; None: nothing is padded."""
    depth: Tensor | None
    """float32 (B, T, H, W), NaN in the padding and of clips without labels; None: all are."""
    objects: list[list[Objects]]
    """Of each clip and frame; boxes are shares of the padded image, as the detector gives them."""
    times: Tensor
    """float64 (B, T), as `Clip.times`."""


def collate(clips: Sequence[Clip]) -> Batch:
    """Return clips of the same number of frames as one batch."""
    height, width = (max(clip.images.shape[axis] for clip in clips) for axis in (-2, -1))
    frames = len(clips[0].images)
    images = torch.zeros(len(clips), frames, 3, height, width, dtype=torch.uint8)
    padded = torch.ones(len(clips), height, width, dtype=torch.bool)
    depth = torch.full((len(clips), frames, height, width), torch.nan)
    objects = []
    for row, clip in enumerate(clips):
        rows, columns = clip.images.shape[-2:]
        images[row, ..., :rows, :columns] = clip.images
        padded[row, :rows, :columns] = False
        if clip.depth is not None:
            depth[row, ..., :rows, :columns] = clip.depth
        share = torch.tensor([columns / width, rows / height]).repeat(2)
        objects.append([it._replace(boxes=it.boxes * share) for it in clip.objects])
    return Batch(
        images,
        padded if padded.any() else None,
        depth if any(clip.depth is not None for clip in clips) else None,
        objects,
        torch.stack([clip.times for clip in clips]),
    )
