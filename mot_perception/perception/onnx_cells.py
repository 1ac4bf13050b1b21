"""Boxes out of what an exported YOLOX says of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mot_perception.errors import UserError
from mot_perception.perception.class_names import usual_names
from mot_perception.perception.letterbox import as_planes, letterbox
from mot_perception.perception.onnx_note import read_note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.perception.letterbox import Pixels
    from mot_perception.perception.onnx_network import OnnxNetwork

    Floats = NDArray[np.floating]

STRIDES = 8, 16, 32
MOST_CLASSES = 10_000
SLACK = 1e-3
"""What rounding may add to a probability."""


def are_cells(outputs: dict[str, NDArray[Any]], height: int, width: int) -> bool:
    """Return whether the output for one image is 1×A×(5 + classes), A the cells of the image."""
    if len(outputs) != 1:
        return False
    (cells,) = outputs.values()
    if cells.ndim != 3 or cells.shape[:2] != (1, len(_grid(height, width)[0])):
        return False
    return cells.shape[2] in range(6, 5 + MOST_CLASSES + 1)


class CellReader:
    """Looks at images with an exported YOLOX: one of ours, or one of YOLOX' own program.

    Ours decode the boxes and carry a note. Of the others, decoded boxes lie about their cells and
    undecoded ones about the corner of the image, which tells them apart.

    Args:
        network: That which sees.
        file: Where it lies, for errors.
        first: What it says of a grey image; see `are_cells`.
        height: Of its canvas, pixels.
        width: The same.
        pixels: In which scale it expects colours; 'auto': what the note says, else 'bgr'.

    Attributes:
        class_names: Name of class 0, 1, ….

    Raises:
        UserError: What it says are no probabilities, or its note is another file's.
    """

    overlapping = True
    """Whether an object may get several boxes."""

    def __init__(
        self,
        network: OnnxNetwork,
        file: Path,
        first: NDArray[Any],
        height: int,
        width: int,
        pixels: Pixels | Literal['auto'],
    ) -> None:
        self._network, self._file = network, file
        self._height, self._width = height, width
        note = read_note(network.about, file)
        self._pixels: Pixels = (note.pixels if note else 'bgr') if pixels == 'auto' else pixels
        self.class_names = note.class_names if note else usual_names(first.shape[2] - 5)
        own = first.shape[2] - 5, height, width
        if note and own != (len(note.class_names), note.height, note.width):
            raise UserError(f'{file}: its note is of another network; export it again')
        probabilities = first[..., 4:]
        if probabilities.min() < -SLACK or probabilities.max() > 1 + SLACK:
            raise UserError(
                f'{file}: what it says of each cell are no probabilities; export it as YOLOX '
                'does, with the sigmoid'
            )
        self._corner, self._stride = _grid(height, width)
        self._decoded = note is not None or self._lie_about_their_cells(first[0])

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield boxes (K×4, pixels of the image), scores and classes of each H×W×3 BGR image.

        Raises:
            UserError: The device's memory does not suffice, or the network fails.
        """
        together = 1 if self._network.batch else max(len(images), 1)
        for start in range(0, len(images), together):
            group = images[start : start + together]
            boxed = [letterbox(image, self._height, self._width) for image in group]
            found = self._network(as_planes([canvas for canvas, _ in boxed], self._pixels))
            expected = len(group), len(self._corner), 5 + len(self.class_names)
            cells = next(iter(found.values()), None)
            if cells is None or cells.shape != expected:
                raise UserError(
                    f'{self._file}: says something else than at first; export it again'
                )
            for one, (_, ratio) in zip(cells, boxed, strict=True):
                boxes, score, label = self._likeliest(one)
                yield boxes / ratio, score, label

    def _lie_about_their_cells(self, cells: Floats) -> bool:
        """Return whether centres are pixels of the image, not offsets in cells."""
        decoded = np.abs(cells[:, :2] / self._stride - self._corner)
        undecoded = np.abs(cells[:, :2])
        return bool(np.median(decoded) < np.median(undecoded))

    def _likeliest(self, cells: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Return corners, score and class of each cell; `likeliest` does it in torch."""
        cells = cells.astype(np.float32, copy=False)
        label = cells[:, 5:].argmax(1)
        probability = np.take_along_axis(cells[:, 5:], label[:, None], 1)[:, 0]
        with np.errstate(invalid='ignore'):  # broken numbers stay broken, and are no objects
            score = cells[:, 4] * probability
        centre, side = cells[:, :2], cells[:, 2:4]
        if not self._decoded:
            centre = (centre + self._corner) * self._stride
            side = np.exp(np.minimum(side, 50)) * self._stride  # no more than a float holds
        return np.hstack([centre - side / 2, centre + side / 2]), score, label


def _grid(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row (A×2), and the stride (A×1), of each cell."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(corners), np.concatenate(strides)
