"""What a training notes as it goes: lines of JSON for programs, TensorBoard for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from torch.utils.tensorboard import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

FILE = 'log.jsonl'


class Journal:
    """Numbers and pictures by step.

    Args:
        folder: Of the training; it gets `log.jsonl` and `tensorboard/`.
        step: Steps done before; what TensorBoard has of later ones is gone.
        size: Bytes of `log.jsonl` to keep: what was written after a checkpoint will come again.
    """

    def __init__(self, folder: Path, step: int, size: int) -> None:
        file = folder / FILE
        file.touch()
        self._lines = file.open('r+b')
        self._lines.truncate(min(size, file.stat().st_size))
        self._lines.seek(0, 2)
        self._board = SummaryWriter(str(folder / 'tensorboard'), purge_step=step + 1)

    def __enter__(self) -> Self:
        """Write while this is entered."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the files."""
        self._lines.close()
        self._board.close()

    @property
    def size(self) -> int:
        """Bytes of `log.jsonl` so far."""
        return self._lines.tell()

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by name; the name of several with '/' groups them in TensorBoard."""
        self._lines.write(json.dumps({'step': step, **values}).encode() + b'\n')
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Show an H×W×3 RGB picture in TensorBoard."""
        self._board.add_image(name, image, step, dataformats='HWC')
