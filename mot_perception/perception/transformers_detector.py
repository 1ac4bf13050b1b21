"""Objects by a detection network of transformers, such as RT-DETR, D-FINE or DETR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.perception.class_names import kept_classes
from mot_perception.perception.network import Network
from mot_perception.perception.queries import classify, corners, names_by_number
from mot_perception.perception.selection import Selection
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class TransformersDetector:
    """Boxes by any `AutoModelForObjectDetection`.

    Each of its queries gives one box at most, of its likeliest class; overlaps need no
    suppression.

    Args:
        model: Folder or name on the hub; see `Network`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        score: Boxes with a lower score are left out.
        classes: Names of the classes that are looked for; none: all.

    Raises:
        UserError: `Network` says what is wrong, or there is no such class.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = 'auto',
        half: bool = True,
        score: float = 0.1,
        classes: Sequence[str] = (),
    ) -> None:
        self._network = Network(model, 'object detection', device, half)
        self.name = self._network.name
        self.class_names = names_by_number(self._network.config.id2label)
        self._select = Selection(score, kept_classes(self.class_names, classes, self.name))

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the objects in each H×W×3 BGR image; images of one size are seen together."""
        found = [Detections.empty()] * len(images)
        for size in dict.fromkeys(image.shape for image in images):
            group = [index for index, image in enumerate(images) if image.shape == size]
            output = self._network([images[index] for index in group])
            logits = output.logits.float().cpu().numpy()
            scores, labels = classify(logits, self._network.config.num_labels)
            boxes = corners(output.pred_boxes.float().cpu().numpy(), *size[:2])
            for index, *row in zip(group, boxes, scores, labels, strict=True):
                found[index] = self._select(*row)
        return found

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()
