"""Objects by a detection network of transformers, such as RT-DETR, D-FINE or DETR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.perception.network import Network
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

MOST_CLASSES = 100_000


class TransformersDetector:
    """Boxes by any `AutoModelForObjectDetection`.

    Each of its queries gives one box at most, of its likeliest class; overlaps need no
    suppression.

    Args:
        model: Folder or name on the hub; see `Network`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        score: Boxes with a lower score are left out.

    Raises:
        UserError: `Network` says what is wrong.
    """

    def __init__(
        self, model: str, *, device: str = 'auto', half: bool = True, score: float = 0.1
    ) -> None:
        self._network = Network(model, 'object detection', device, half)
        self._score = score
        self.name = self._network.name
        self.class_names = _class_names(self._network.config.id2label)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the objects in each H×W×3 BGR image; images of one size are seen together."""
        found = [Detections.empty()] * len(images)
        for size in dict.fromkeys(image.shape for image in images):
            group = [index for index, image in enumerate(images) if image.shape == size]
            output = self._network([images[index] for index in group])
            scores, labels = self._classify(output.logits.float())
            corners = _corners(output.pred_boxes.double().cpu().numpy(), *size[:2])
            rows = zip(group, corners, scores.cpu().numpy(), labels.cpu().numpy(), strict=True)
            for index, *row in rows:
                found[index] = self._confident(*row)
        return found

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()

    def _classify(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return score and class of each query, both N×Q.

        Networks of DETR's first kind have one output more than classes, for no object, and share
        the probability among all; those trained with a focal loss judge each class on its own.
        """
        classes = self._network.config.num_labels
        if logits.shape[-1] == classes + 1:
            probability = logits.softmax(-1)[..., :classes]
        else:
            probability = logits.sigmoid()
        scores, labels = probability.max(-1)
        return scores, labels

    def _confident(
        self, xyxy: NDArray[np.float64], score: NDArray[np.float64], label: NDArray[np.int64]
    ) -> Detections:
        """Return the boxes that score high enough, the best first; broken numbers never do."""
        good = np.flatnonzero((score >= self._score) & np.isfinite(xyxy).all(1))
        good = good[np.argsort(-score[good], kind='stable')]
        return Detections.of(xyxy[good], score[good], label[good])


def _corners(boxes: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Turn centre, width and height as shares of the image into corners in pixels, N×Q×4."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    scale = np.array([width, height, width, height], np.float64)
    return np.concatenate([centre - half, centre + half], -1) * scale


def _class_names(names: dict[int, str]) -> tuple[str, ...]:
    """Return the names by number; numbers without a name are called by themselves."""
    count = min(max(names, default=-1) + 1, MOST_CLASSES)
    return tuple(str(names.get(number, number)) for number in range(count))
