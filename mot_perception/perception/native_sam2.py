"""Masks by Meta's own package `sam2`, where it is installed."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest, load_weights, read_weights
from mot_perception.perception.device import choose_device, free, inference, weights_on_gpu
from mot_perception.perception.disputed import undisputed
from mot_perception.perception.masks import LEAST_FILLED
from mot_perception.perception.native_package import calling, native
from mot_perception.perception.protocols import ObjectMasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mot_perception.types import Frame

AT_ONCE = 32
"""Objects that are followed together: each takes some megabytes, at the size of the image."""
CELLS = 256
"""Rows and columns of masks: what the network decides on; the rest is interpolation."""
SIZES = {12: 't', 16: 's', 24: 'b+', 48: 'l'}
"""Letters in the names of configurations by the blocks of the image encoder."""
_BLOCK = re.compile(r'image_encoder\.trunk\.blocks\.(\d{1,3})\.')


class NativeSam2:
    """Outlines objects by `sam2.build_sam.build_sam2_video_predictor`.

    As the released code of SelfTrEncMOT does it: frames t and t−1, in this order, are a video of
    two frames, as JPEG files in a temporary folder, because it takes nothing else; the first one
    is prompted with the boxes. Each frame is encoded anew in each step, and each object goes
    through the network alone: `Sam2Masks` is the faster one.

    Args:
        file: Meta's file with weights, of SAM 2 or 2.1.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with bfloat16 on a GPU.

    Raises:
        UserError: The package or the device is not there, or the file is not what it should be.
    """

    def __init__(self, file: str, *, device: str = 'auto', half: bool = True) -> None:
        build = native('sam2.build_sam')
        _without_progress_bars()
        self._device = choose_device(device)
        self._half = half and self._device.type == 'cuda'
        path = Path(file).expanduser()
        weights = read_weights(path)
        self.name = f'sam2, {path.name} (sha256 {digest(path)[:8]})'
        with calling('sam2'):
            self._predictor: Any = build.build_sam2_video_predictor(
                _configuration(weights, path), ckpt_path=None, device=str(self._device)
            )
            load_weights(self._predictor, weights, path, 'the SAM 2 which they look like')

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks at t and t−1 of the N objects with boxes `xyxy` at t.

        Args:
            previous: The frame at t−1; at the start of a sequence the current one again.
            current: The frame at t; both need `image`.
            xyxy: N×4, pixels of the current frame.

        Raises:
            UserError: The device's memory does not suffice, or the package is of another kind.
        """
        seen, before = self._follow([current, previous], xyxy)
        width, height = current.width, current.height
        boxes = np.clip(np.nan_to_num(xyxy), 0, (width, height) * 2)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1) * (CELLS**2 / (width * height))
        filled = seen.sum((1, 2)) >= LEAST_FILLED * area
        reliable = filled & seen.any((1, 2)) & before.any((1, 2))
        return ObjectMasks(seen, before, reliable & undisputed(seen, before, xyxy, width, height))

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks N×h×w of the N objects with boxes `xyxy` (N×4) in one frame.

        Raises:
            UserError: As `step`.
        """
        (seen,) = self._follow([frame], xyxy)
        return seen

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._predictor, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._predictor = None
        free(self._device)

    def _follow(self, frames: list[Frame], xyxy: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
        """Return masks (N×h×w) in each frame, of the objects in boxes of the first one."""
        masks = [np.zeros((len(xyxy), CELLS, CELLS), np.bool_) for _ in frames]
        rows, boxes = _within(xyxy, frames[0])
        if not len(rows):
            return masks
        with TemporaryDirectory(prefix='mot_perception_') as folder:
            _write(frames, Path(folder))
            with self._computing():
                state = self._predictor.init_state(folder)
                for start in range(0, len(rows), AT_ONCE):
                    some = slice(start, start + AT_ONCE)
                    self._prompt(state, rows[some], boxes[some])
                    for time, objects, logits in self._predictor.propagate_in_video(state):
                        pooled = adaptive_avg_pool2d(logits.float(), CELLS)[:, 0]
                        masks[time][list(objects)] = (pooled > 0).cpu().numpy()
                    self._predictor.reset_state(state)
        return masks

    def _prompt(self, state: Any, rows: NDArray[np.intp], boxes: NDArray[np.float64]) -> None:
        """Show the first image's objects by their boxes."""
        for row, box in zip(rows.tolist(), boxes.astype(np.float32), strict=True):
            self._predictor.add_new_points_or_box(state, frame_idx=0, obj_id=row, box=box)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)
        with calling('sam2'), inference(self.name, self._device, half=False), mixed:
            yield


def _configuration(weights: Mapping[str, torch.Tensor], file: Path) -> str:
    """Return the name of the configuration, a file of the package, that weights belong to."""
    numbers = [int(found[1]) for name in weights if (found := _BLOCK.match(name))]
    letter = SIZES.get(max(numbers, default=-1) + 1)
    if letter is None:
        raise UserError(
            f"{file}: no weights of SAM 2 by Meta's names; give those of sam2(.1)_hiera_tiny, "
            'small, base_plus or large'
        )
    version = 'sam2.1' if 'no_obj_embed_spatial' in weights else 'sam2'
    return f'configs/{version}/{version}_hiera_{letter}.yaml'


def _within(
    xyxy: NDArray[np.float64], frame: Frame
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows of boxes that have a place in the frame, rounded and clipped to it."""
    rows = np.flatnonzero(np.isfinite(xyxy).all(1))
    boxes = np.clip(np.rint(xyxy[rows]), 0, (frame.width, frame.height) * 2)
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return rows[there], boxes[there]


def _write(frames: list[Frame], folder: Path) -> None:
    """Write images as a video that the package reads."""
    for number, frame in enumerate(frames):
        if frame.image is None:
            raise ValueError('masks by SAM 2 need frames with image')
        file = folder / f'{number:05}.jpg'
        cv2.imwrite(str(file), frame.image, [cv2.IMWRITE_JPEG_QUALITY, 100])


def _without_progress_bars() -> None:
    """Let the package draw no progress bars: there would be two of them for each frame."""
    for name in ('sam2.utils.misc', 'sam2.sam2_video_predictor'):
        native(name).tqdm = lambda frames, **_: frames
