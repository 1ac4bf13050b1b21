"""Masks by SAM 2 or 2.1: of the objects in boxes at t, followed one step back to t−1."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mot_perception.errors import UserError
from mot_perception.perception.device import choose_device, free, inference, weights_on_gpu
from mot_perception.perception.disputed import undisputed
from mot_perception.perception.masks import LEAST_FILLED
from mot_perception.perception.pixels import Preprocessing
from mot_perception.perception.protocols import ObjectMasks
from mot_perception.perception.sam2_checkpoint import load_sam2
from mot_perception.perception.sam2_network import encode, prompted, propagated, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.perception.sam2_network import Features, Objects
    from mot_perception.types import Frame

AT_ONCE = {'cuda': 32, 'cpu': 1}
"""Objects that go through the network together, 0.08 GB for each. A CPU takes 1.3 times as long
for 16 together as for one after the other: they leave its caches."""
SMALLEST_BOX = 2
"""Pixels of a box's sides within the frame, rounded, for there to be anything to outline."""


class Sam2Masks:
    """Outlines objects by SAM 2 or 2.1.

    As the released code of SelfTrEncMOT does it: the frame at t is prompted with all boxes, and
    what is found there is looked for in the frame at t−1, as if that came next. Frames are scaled
    to a square; masks are the network's own, of a quarter of its sides.

    Images are encoded once: what is known of the latest ones is kept and looked up by the array
    (not by its content, so arrays must not be written to while they are in use).

    Args:
        model: Folder, name on the hub, or file with weights; see `load_sam2`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with bfloat16 on a GPU.
        remembered: How many images, at least 2: two for each camera that takes turns.

    Attributes:
        name: Its file or folder, its size, and a part of the hash of its weights, for people.

    Raises:
        UserError: `load_sam2` says what is wrong, or the device is not there or too small.
    """

    def __init__(
        self, model: str, *, device: str = 'auto', half: bool = True, remembered: int = 2
    ) -> None:
        if remembered < 2:
            raise ValueError('a step needs two images: remembered must be at least 2')
        self._device = choose_device(device)
        self._half = half and self._device.type == 'cuda'
        self._at_once = AT_ONCE.get(self._device.type, 1)
        network, self.name = load_sam2(model)
        side = network.config.image_size
        self._input = Preprocessing(size={'height': side, 'width': side})
        self._remembered = remembered
        self._images: OrderedDict[int, tuple[NDArray[np.uint8], Features]] = OrderedDict()
        with self._computing():
            self._network: Any = network.to(self._device)

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks at t and t−1 of the N objects with boxes `xyxy` at t.

        Boxes without a place in the frame have no masks. Masks are unreliable where either is
        empty, as it is where the network says that the object is not there, or the one at t fills
        too little of its box, or it is more likely another object's (`undisputed`).

        Args:
            previous: The frame at t−1; at the start of a sequence the current one again.
            current: The frame at t; both need `image`.
            xyxy: N×4, pixels of the current frame.

        Raises:
            UserError: The device's memory does not suffice, or the weights' settings do not fit.
        """
        images = _image(previous), _image(current)
        boxes, there = _within(xyxy, images[1])
        seen, before = self._empty(len(xyxy)), self._empty(len(xyxy))
        for rows in _in_turn(there, self._at_once):
            with self._computing():
                past, now = (self._features(image) for image in images)
                objects = prompted(self._network, now, self._corners(boxes[rows], images[1]))
                memory = remember(self._network, now, objects)
                seen[rows] = _inside(objects)
                before[rows] = _inside(propagated(self._network, past, memory))
        reliable = before.any((1, 2)) & (_filled(seen, boxes, images[1]) >= LEAST_FILLED)
        own = undisputed(seen, before, xyxy, current.width, current.height)
        return ObjectMasks(seen, before, reliable & own)

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks N×h×w of the N objects with boxes `xyxy` (N×4) in one frame.

        Raises:
            UserError: As `step`.
        """
        image = _image(frame)
        boxes, there = _within(xyxy, image)
        seen = self._empty(len(xyxy))
        for rows in _in_turn(there, self._at_once):
            with self._computing():
                features = self._features(image)
                corners = self._corners(boxes[rows], image)
                seen[rows] = _inside(prompted(self._network, features, corners))
        return seen

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        self._images.clear()
        free(self._device)

    def _features(self, image: NDArray[np.uint8]) -> Features:
        """Return what the network knows of an image, encoded once."""
        if id(image) in self._images:
            self._images.move_to_end(id(image))
            return self._images[id(image)][1]
        pixels = self._input(image)[None].to(self._device)
        features = encode(self._network, self._input.normalised(pixels))
        self._images[id(image)] = image, features  # while it is kept, no other has its id
        if len(self._images) > self._remembered:
            self._images.popitem(last=False)
        return features

    def _corners(self, boxes: NDArray[np.float64], image: NDArray[np.uint8]) -> torch.Tensor:
        """Return boxes in pixels of the network's input."""
        scale = self._network.config.image_size / np.array(image.shape[1::-1] * 2)
        return torch.from_numpy((boxes * scale).astype(np.float32)).to(self._device)

    def _empty(self, count: int) -> NDArray[np.bool_]:
        return np.zeros((count, *self._network.prompt_encoder.mask_input_size), np.bool_)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        # As Meta's own code computes; it also stores its memory so.
        mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)
        try:
            with inference(self.name, self._device, half=False), mixed:
                yield
        except UserError:
            raise
        except Exception as error:  # whatever its settings make of its layers
            said = [*str(error).splitlines(), type(error).__name__]
            raise UserError(
                f'{self.name}: fails at an image ({said[0]:.200}); its files do not fit together'
            ) from error


def _image(frame: Frame) -> NDArray[np.uint8]:
    if frame.image is None:
        raise ValueError('masks by SAM 2 need frames with image')
    return frame.image


def _within(
    xyxy: NDArray[np.float64], image: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return boxes rounded and clipped as the released code does, and which are left (bool N)."""
    boxes = np.clip(np.rint(xyxy), 0, image.shape[1::-1] * 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes, np.isfinite(xyxy).all(1) & (sides >= SMALLEST_BOX).all(1)


def _in_turn(there: NDArray[np.bool_], at_once: int) -> Iterator[NDArray[np.intp]]:
    """Yield the rows that are there, some at a time."""
    rows = np.flatnonzero(there)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]


def _inside(objects: Objects) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (objects.logits > 0).cpu().numpy()
    return inside


def _filled(
    masks: NDArray[np.bool_], boxes: NDArray[np.float64], image: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return which share of its box each mask fills; 0 where there is no box."""
    cells = np.array(masks.shape[:0:-1] * 2)
    left, top, right, bottom = (boxes * (cells / np.array(image.shape[1::-1] * 2))).T[:, :, None]
    x, y = (np.arange(count) + 0.5 for count in cells[:2])
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    filled = (masks & rows[:, :, None] & columns[:, None, :]).sum((1, 2))
    area = ((right - left) * (bottom - top))[:, 0]
    share = np.zeros(len(masks))
    np.divide(filled, area, out=share, where=area > 0)
    return share
