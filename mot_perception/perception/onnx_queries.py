"""Boxes out of what an exported network of DETR's kind says of each query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mot_perception.errors import UserError
from mot_perception.perception.network import read_json
from mot_perception.perception.pixels import read_preprocessing
from mot_perception.perception.queries import (
    are_queries,
    classify,
    corners,
    names_by_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.perception.onnx_network import OnnxNetwork


class QueryReader:
    """Looks at images with an export of a detector of transformers.

    How images are scaled and what classes are called is said by the files `config.json` and
    `preprocessor_config.json` beside the export, or in the folder above.

    Args:
        network: That which sees.
        file: Where it lies.
        logits: Name of the output 1×Q×classes, or one more.
        boxes: Name of the output 1×Q×4.

    Attributes:
        class_names: Name of class 0, 1, ….

    Raises:
        UserError: A file beside it is missing or damaged.
    """

    overlapping = False
    """Whether an object may get several boxes."""

    def __init__(self, network: OnnxNetwork, file: Path, logits: str, boxes: str) -> None:
        self._network, self._file, self._names = network, file, (logits, boxes)
        settings = _beside(file, 'preprocessor_config.json')
        self._preprocessing = read_preprocessing(read_json(settings), str(settings))
        names = _names(_beside(file, 'config.json'))
        self._classes = len(names)
        self.class_names = names_by_number(names)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield boxes (Q×4, pixels of the image), scores and classes of each H×W×3 BGR image.

        Raises:
            UserError: The device's memory does not suffice, or the network fails.
        """
        for image in images:
            pixels = self._preprocessing.normalised(self._preprocessing(image)[None])
            found = self._network(pixels.numpy())
            logits, boxes = (found.get(name) for name in self._names)
            if logits is None or boxes is None or not are_queries(logits, boxes):
                raise UserError(
                    f'{self._file}: says something else than at first; export it again'
                )
            score, label = classify(logits[0], self._classes)
            yield corners(boxes[0], *image.shape[:2]), score, label


def _beside(file: Path, name: str) -> Path:
    """Return a file of that name in the export's folder or, as on the hub, the one above."""
    folders = file.absolute().parent, file.absolute().parent.parent
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f'{file}: {name} is not beside it; copy it from where the network comes from, it says how '
        'to use it'
    )


def _names(config: Path) -> dict[int, str]:
    """Return the names of the classes that a network's settings hold."""
    try:
        names = {int(number): str(it) for number, it in read_json(config)['id2label'].items()}
    except (KeyError, AttributeError, TypeError, ValueError):
        names = {}
    if not names:
        raise UserError(
            f'{config}: id2label, the names of the classes, is missing; copy it from where the '
            'network comes from'
        )
    return names
