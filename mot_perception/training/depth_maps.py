"""What a network said of the frames of a sequence, on disk until it is a sequence's labels."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Map = NDArray[np.float32]

ORIGIN = 'origin.json'
CHUNK = re.compile(r'([0-9]{6})\.safetensors')
SCALES = 'scales'
FRAMES_PER_CHUNK = 32
"""So many frames at most are looked at again after a kill."""
_STEPS = 65_534
_UNKNOWN = 65_535


class DepthMaps:
    """Maps h×w of the first frames of a sequence, in files of 32; each is whole or not there.

    A map is kept in 16 bits between its own least and largest number; sizes may differ.

    Args:
        folder: Where they are; made if it is not there, emptied if they are of another origin.
        origin: What decides what the maps are, JSON values.

    Attributes:
        frames: How many there are.

    Raises:
        OSError: The disk refuses.
    """

    def __init__(self, folder: Path, origin: Mapping[str, object]) -> None:
        self._folder = folder
        text = json.dumps(dict(origin), sort_keys=True)
        file = folder / ORIGIN
        if not file.is_file() or file.read_text('utf-8') != text:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            file.write_text(text, 'utf-8')
        self.frames = self._drop_what_is_cut_off()

    def extend(self, maps: Iterable[Map]) -> None:
        """Append maps until there are no more.

        Raises:
            OSError: The disk refuses.
        """
        waiting: list[Map] = []
        for it in maps:
            waiting.append(it)
            if len(waiting) == FRAMES_PER_CHUNK:
                self._write(waiting)
                waiting = []
        if waiting:
            self._write(waiting)

    def __iter__(self) -> Iterator[Map]:
        """Yield the maps, float32 h×w, NaN where unknown."""
        for file in self._chunks():
            arrays = load_file(file)
            for number, (low, step) in enumerate(arrays[SCALES]):
                codes = arrays[str(number)]
                values = codes * step + low
                values[codes == _UNKNOWN] = np.nan
                yield values

    def delete(self) -> None:
        """Delete them all."""
        shutil.rmtree(self._folder)

    def _write(self, maps: list[Map]) -> None:
        codes, scales = zip(*map(_packed, maps), strict=True)
        place = self._folder / f'{self.frames:06}.safetensors'
        part = place.with_suffix('.part')
        try:
            arrays = {str(number): it for number, it in enumerate(codes)}
            save_file({SCALES: np.array(scales), **arrays}, part)
        except SafetensorError as error:  # what the operating system says is within
            raise OSError(0, str(error), str(place)) from None
        part.replace(place)
        self.frames += len(maps)

    def _chunks(self) -> list[Path]:
        return sorted(file for file in self._folder.iterdir() if CHUNK.fullmatch(file.name))

    def _drop_what_is_cut_off(self) -> int:
        """Return how many frames the files hold in a row; delete those after a damaged one."""
        frames = 0
        for file in self._chunks():
            held = _frames(file) if int(file.stem) == frames else 0
            if not held:
                file.unlink()
            frames += held
        return frames


def _frames(file: Path) -> int:
    """Return the number of maps in a file; 0 if it is damaged."""
    try:
        return len(load_file(file)[SCALES])
    except (SafetensorError, OSError, KeyError):
        return 0


def _packed(values: Map) -> tuple[NDArray[np.uint16], tuple[np.float32, np.float32]]:
    """Return a map's codes, and what code 0 and one step stand for."""
    known = np.isfinite(values)
    low = np.float32(np.min(values, initial=np.inf, where=known)) if known.any() else np.float32(0)
    high = np.max(values, initial=-np.inf, where=known) if known.any() else low
    step = np.float32((high - low) / _STEPS) or np.float32(1)
    codes = np.rint((np.where(known, values, low) - low) / step).clip(0, _STEPS)
    return np.where(known, codes, _UNKNOWN).astype(np.uint16), (low, step)
