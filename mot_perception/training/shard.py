"""What an encoder is shown of the objects of some frames in a row, as one file of small arrays.

Of a map only the rectangle is kept in which it differs from one of nothing, as float16: a person
fills a fiftieth of a full frame.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mot_perception.depthseg.representation import CROP_SIZE, FULL_FRAME_SIZE, PLACE
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Flags = NDArray[np.bool_]

LARGEST = 8 << 30
"""Bytes of a shard."""
FARTHEST = np.finfo(np.float16).max
"""Bound of what is kept; only full-frame maps of kilometres reach it."""


@dataclass(frozen=True)
class Form:
    """How maps of one form look.

    Attributes:
        channels: C.
        side: S, cells.
        places: P, scalars beside each map.
        background: The value of a map of nothing.
    """

    channels: int
    side: int
    places: int
    background: float


FORMS = {
    'full_frame': Form(1, FULL_FRAME_SIZE, 0, -1.0),
    'cropped': Form(2, CROP_SIZE, len(PLACE), 0.0),
}


@dataclass(frozen=True)
class PackedMaps:
    """Maps of N objects and their places.

    Attributes:
        place: float32 N×P.
        seen: bool N; False where there was nothing to show.
        rectangle: int32 N×4, top, left, bottom, right, in cells.
        start: int64 N+1, where in `values` each map begins.
        values: float16, one rectangle after the other, each C×h×w.
    """

    place: Floats
    seen: Flags
    rectangle: NDArray[np.int32]
    start: NDArray[np.int64]
    values: NDArray[np.float16]

    @staticmethod
    def of(maps: Floats, place: Floats, seen: Flags, form: Form) -> PackedMaps:
        """Pack N×C×S×S maps."""
        other = (maps != form.background).any(1)
        top, bottom = _extent(other.any(2))
        left, right = _extent(other.any(1))
        rectangle = np.stack([top, left, bottom, right], 1).astype(np.int32)
        kept = maps.clip(-FARTHEST, FARTHEST).astype(np.float16)
        parts = [
            one[:, top:bottom, left:right].ravel()
            for one, (top, left, bottom, right) in zip(kept, rectangle, strict=True)
        ]
        start = np.cumsum([0, *map(len, parts)]).astype(np.int64)
        values = np.concatenate([np.empty(0, np.float16), *parts])
        return PackedMaps(place.astype(np.float32), seen, rectangle, start, values)

    @staticmethod
    def joined(parts: list[PackedMaps], form: Form) -> PackedMaps:
        """Return the objects of several in a row."""
        if not parts:
            shape = 0, form.channels, form.side, form.side
            nothing = np.empty(shape, np.float32), np.empty((0, form.places), np.float32)
            return PackedMaps.of(*nothing, np.empty(0, np.bool_), form)
        ends = np.cumsum([0, *(len(part.values) for part in parts)])
        starts = [part.start[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
        return PackedMaps(
            np.concatenate([part.place for part in parts]),
            np.concatenate([part.seen for part in parts]),
            np.concatenate([part.rectangle for part in parts]),
            np.concatenate([*starts, ends[-1:]]),
            np.concatenate([part.values for part in parts]),
        )

    def maps(self, rows: NDArray[np.intp], form: Form) -> NDArray[np.float16]:
        """Return maps, float16 K×C×S×S, of the objects with these numbers."""
        shape = len(rows), form.channels, form.side, form.side
        maps = np.full(shape, form.background, np.float16)
        for n, row in enumerate(rows):
            top, left, bottom, right = self.rectangle[row]
            inside = self.values[self.start[row] : self.start[row + 1]]
            size = form.channels, bottom - top, right - left
            maps[n, :, top:bottom, left:right] = inside.reshape(size)
        return maps


@dataclass(frozen=True)
class Shard:
    """F frames in a row with N objects, ordered by frame.

    Attributes:
        index: int64 F, position of each frame in its source; dropped frames leave gaps.
        stamp_ns: int64 F.
        follows: bool F; False where there was no frame before to follow objects back to.
        frame: int64 N, which of the frames each object is in, from 0.
        identity: int64 N, who it truly is; −1 where nobody said so.
        xyxy: float32 N×4, pixels.
        reliable: bool N, whether its masks are evidence.
        now: What is shown of it at its frame's time.
        before: What is shown of it one frame earlier.
        overlap_rows: int64 O×2, an object of one frame, and one of the next whose mask one frame
            earlier overlaps the former's.
        overlap: float32 O, intersection over union of these masks.
    """

    index: NDArray[np.int64]
    stamp_ns: NDArray[np.int64]
    follows: Flags
    frame: NDArray[np.int64]
    identity: NDArray[np.int64]
    xyxy: Floats
    reliable: Flags
    now: PackedMaps
    before: PackedMaps
    overlap_rows: NDArray[np.int64]
    overlap: Floats

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.frame)


def write_shard(file: Path, shard: Shard) -> None:
    """Write a shard as safetensors; the file may be half there after a kill.

    Raises:
        UserError: The disk refuses.
    """
    arrays = {name: array for name, array in _arrays(shard).items() if name not in PARTS}
    for name in PARTS:
        arrays |= {f'{name}.{key}': array for key, array in _arrays(getattr(shard, name)).items()}
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file)
    except SafetensorError as error:  # what the operating system says is within
        raise UserError(f'{file}: cannot be written ({error}); choose another place') from None
    file.chmod(0o644)  # the library thinks of it as private


def read_shard(file: Path, form: Form) -> Shard:
    """Return the shard that a file holds; its values are read when they are looked at.

    Raises:
        UserError: Not there, too large, damaged, or not of this form.
    """
    with _told(file):
        if file.stat().st_size > LARGEST:
            raise ValueError(f'{file.stat().st_size} bytes, {LARGEST} at most')
        with safe_open(file, 'pt') as opened:
            arrays = {name: opened.get_tensor(name).numpy() for name in opened.keys()}  # noqa: SIM118
        packed: dict[str, Any] = {part: PackedMaps(**_below(arrays, part)) for part in PARTS}
        shard = Shard(**{name: it for name, it in arrays.items() if '.' not in name}, **packed)
        _check(shard, form)
    return shard


PARTS = 'now', 'before'


def _arrays(of: Any) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in fields(of)}


def _below(arrays: dict[str, Any], part: str) -> dict[str, Any]:
    prefix = f'{part}.'
    return {k.removeprefix(prefix): it for k, it in arrays.items() if k.startswith(prefix)}


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Say of whatever a file's bytes lead to that the file is damaged."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        why = (str(error).splitlines() or [''])[0][:120]
        raise UserError(f'{file}: no shard of this store ({why}); extract it again') from None


def _check(shard: Shard, form: Form) -> None:
    """Raise ValueError if an index in a shard leads anywhere but into its arrays."""
    frames, objects, overlaps = len(shard.index), len(shard.frame), len(shard.overlap)
    _require(shard.index, np.int64, frames)
    _require(shard.stamp_ns, np.int64, frames)
    _require(shard.follows, np.bool_, frames)
    _require(shard.frame, np.int64, objects)
    _require(shard.identity, np.int64, objects)
    _require(shard.xyxy, np.float32, objects, 4)
    _require(shard.reliable, np.bool_, objects)
    _require(shard.overlap, np.float32, overlaps)
    _require(shard.overlap_rows, np.int64, overlaps, 2)
    _hold((np.diff(shard.index) > 0).all(), 'frames are out of order')
    _hold((np.diff(shard.frame) >= 0).all(), 'objects are out of order')
    _hold(((shard.frame >= 0) & (shard.frame < frames)).all(), 'objects of no frame')
    rows = shard.overlap_rows
    _hold(((rows >= 0) & (rows < objects)).all(), 'overlaps of no objects')
    steps = np.diff(shard.frame[rows], axis=1)
    _hold((steps == 1).all(), 'overlaps of frames that are not neighbours')
    for maps in (shard.now, shard.before):
        _check_maps(maps, objects, form)


def _check_maps(maps: PackedMaps, objects: int, form: Form) -> None:
    _require(maps.place, np.float32, objects, form.places)
    _require(maps.seen, np.bool_, objects)
    _require(maps.rectangle, np.int32, objects, 4)
    _require(maps.start, np.int64, objects + 1)
    _require(maps.values, np.float16, len(maps.values))
    low, high = maps.rectangle[:, :2], maps.rectangle[:, 2:]
    _hold(((low >= 0) & (low <= high) & (high <= form.side)).all(), 'maps larger than they are')
    sizes = form.channels * (high - low).prod(1, dtype=np.int64)
    _hold((np.diff(maps.start) == sizes).all() and maps.start[0] == 0, 'maps are out of place')
    _hold(maps.start[-1] == len(maps.values), 'maps are not whole')
    _hold(np.isfinite(maps.values).all() and np.isfinite(maps.place).all(), 'maps with NaN')


def _require(array: NDArray[Any], dtype: Any, *shape: int) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f'{array.dtype} {array.shape} instead of {np.dtype(dtype)} {shape}')


def _hold(condition: Any, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _extent(occupied: Flags) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the occupied ones of N×L cells begin and end; 0 and 0 if there are none."""
    some = occupied.any(1)
    first = occupied.argmax(1)
    last = occupied.shape[1] - occupied[:, ::-1].argmax(1)
    return np.where(some, first, 0), np.where(some, last, 0)
