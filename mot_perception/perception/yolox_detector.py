"""Objects by YOLOX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mot_perception.boxes import iou
from mot_perception.perception.checkpoint import digest
from mot_perception.perception.device import (
    choose_device,
    free,
    inference,
    weights_on_gpu,
)
from mot_perception.perception.yolox import decode, fuse
from mot_perception.perception.yolox_checkpoint import load_yolox
from mot_perception.perception.yolox_input import letterbox, normalised, trained_on
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.perception.yolox_input import Pixels

MOST_BOXES = 3000
"""The best cells of an image that are looked at."""
BYTETRACK_INPUT = 800, 1440
"""Height and width of images that ByteTrack's weights are used with."""
COCO = (
    'person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,'
    'stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,'
    'backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,'
    'baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,'
    'knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,'
    'chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,'
    'microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,'
    'toothbrush'
)


class YoloxDetector:
    """Boxes by a YOLOX of any published size.

    Each cell gives one box at most, of its likeliest class; its score is the product of the
    probabilities of there being an object and of the class. Of boxes of one class that overlap,
    the best stays.

    Args:
        model: File with weights; see `load_yolox`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        score: Boxes with a lower score are left out.
        overlap: IoU above which two boxes of one class are taken for the same object.
        height: Pixels that images are scaled into, a multiple of 32; 0: 416 for nano and tiny,
            640 for the others, and 800 for weights trained like ByteTrack's.
        width: The same; 0: 416, 640 and 1440.
        pixels: What the weights were trained on; 'auto': see `trained_on`.

    Attributes:
        name: Its file, its size, and a part of the hash of its weights, for people.
        class_names: COCO's for 80 classes, 'person' for a single one, else numbers.

    Raises:
        UserError: `load_yolox` says what is wrong, or the device is not there or too small.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = 'auto',
        half: bool = True,
        score: float = 0.1,
        overlap: float = 0.7,
        height: int = 0,
        width: int = 0,
        pixels: Pixels | Literal['auto'] = 'auto',
    ) -> None:
        self._device = choose_device(device)
        self._score, self._overlap = score, overlap
        file = Path(model).expanduser()
        network, size = load_yolox(file)
        stem = network.backbone.backbone.stem
        self._pixels: Pixels = trained_on(stem) if pixels == 'auto' else pixels
        usual = _usual_input(size, self._pixels)
        self._input = height or usual[0], width or usual[1]
        self.name = f'{file.name} (yolox-{size}, sha256 {digest(file)[:8]})'
        self.class_names = _class_names(network.classes)
        fuse(network)
        self._type = torch.half if half and self._device.type == 'cuda' else torch.float
        with inference(self.name, self._device, half=False):
            self._network: torch.nn.Module | None = network.to(self._device, self._type)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the objects in each H×W×3 BGR image, the best first; all are seen together.

        Boxes may reach outside an image.

        Raises:
            UserError: The device's memory does not suffice.
        """
        if not images or self._network is None:
            return []
        boxed = [letterbox(image, *self._input) for image in images]
        canvases = torch.from_numpy(np.stack([canvas for canvas, _ in boxed]))
        with inference(self.name, self._device, half=False):  # the weights are half already
            pixels = normalised(canvases.to(self._device), self._pixels).to(self._type)
            cells = decode(self._network(pixels).float(), *self._input)
            rows = best_cells(cells, MOST_BOXES).double().cpu().numpy()
        return [self._select(found, ratio) for found, (_, ratio) in zip(rows, boxed, strict=True)]

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        free(self._device)

    def _select(self, rows: NDArray[np.float64], ratio: float) -> Detections:
        """Return the objects of an image.

        Args:
            rows: K×6, as `best_cells` returns them.
            ratio: Pixels of the network's input per pixel of the image.
        """
        rows = rows[(rows[:, 4] >= self._score) & np.isfinite(rows).all(1)]
        rows = rows[suppress(rows[:, :4], rows[:, 5], self._overlap)]
        return Detections.of(rows[:, :4] / ratio, rows[:, 4], rows[:, 5])


def best_cells(cells: torch.Tensor, most: int) -> torch.Tensor:
    """Return the cells that score highest, the best first.

    Args:
        cells: B×A×(5 + classes), decoded.
        most: Of each image.

    Returns:
        B×min(most, A)×6: left, top, right, bottom, score, class. Broken scores become −1.
    """
    probability, label = cells[..., 5:].max(-1)
    score = (cells[..., 4] * probability).nan_to_num(-1)
    score, index = score.topk(min(most, score.shape[1]))
    boxes = cells[..., :4].gather(1, index[..., None].expand(-1, -1, 4))
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    about = torch.stack([score, label.gather(1, index).to(score.dtype)], -1)
    return torch.cat([centre - half, centre + half, about], -1)


def suppress(
    xyxy: NDArray[np.float64], label: NDArray[np.float64], overlap: float
) -> NDArray[np.intp]:
    """Return the rows of boxes that no better box of their class overlaps (class-wise NMS).

    Args:
        xyxy: N×4, the best first.
        label: N.
        overlap: IoU above which the worse of two boxes goes.
    """
    left = np.arange(len(xyxy))
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        same = iou(xyxy[None, best], xyxy[left])[0] > overlap
        left = left[~same | (label[left] != label[best])]
    return np.array(kept, np.intp)


def _usual_input(size: str, pixels: Pixels) -> tuple[int, int]:
    """Return height and width that the published weights are used with."""
    if pixels == 'imagenet':
        return BYTETRACK_INPUT
    return (416, 416) if size in {'nano', 'tiny'} else (640, 640)


def _class_names(count: int) -> tuple[str, ...]:
    named = {1: ('person',), 80: tuple(COCO.split(','))}
    return named.get(count, tuple(map(str, range(count))))
