"""`TrackedObjectArray` as CDR bytes, straight from a tracker's columns.

The same bytes as a message through rosbags' serialiser, in a small part of the time.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.messages.cdr_layout import LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.mapping import ObjectExtras, name_of
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.types import Frame, TrackedFrame

_HEAD = CdrLayout('iIs sI QI II B iI I')
_NO_MASK, _NO_VECTOR = np.empty(0, np.uint32), np.empty(0, np.float32)

_AS_THEY_ARE = (
    'id',
    'state',
    'label',
    'score',
    'association_score',
    'velocity',
    'depth',
    'depth_stddev',
    'position',
    'linear_velocity',
    'position_covariance',
)


def tracked_frame_to_cdr(
    tracked: TrackedFrame, class_names: Sequence[str] = (), extras: ObjectExtras | None = None
) -> bytes:
    """Return the serialised message of `tracked_frame_to_message`.

    Args:
        tracked: What a tracker says of one frame.
        class_names: Name of class 0, 1, …; classes beyond have an empty name.
        extras: Masks and embeddings, if they are wanted.
    """
    body = _head(tracked)
    names = [name_of(label, class_names).encode() for label in tracked.tracks.label.tolist()]
    masks, vectors = _extra_arrays(extras, len(names))
    tails = [
        4 * (2 + len(mask) + len(vector)) for mask, vector in zip(masks, vectors, strict=True)
    ]
    # What is of fixed size ends 4 bytes beyond a multiple of 8; the next object begins where mask
    # and embedding end.
    phases = [len(body) % 8, *((4 + tail) % 8 for tail in tails)]
    layouts = [(phase, _room(name)) for phase, name in zip(phases, names, strict=False)]
    sizes = np.array([_object_type(*layout).itemsize for layout in layouts], np.int64)
    ends = np.cumsum(sizes + tails) - tails
    data = np.zeros(int(sizes.sum()) + sum(tails), np.uint8)
    alike = defaultdict(list)
    for row, layout in enumerate(layouts):
        alike[layout].append(row)
    for layout, rows in alike.items():  # objects with equal layouts are written at once
        kind = _object_type(*layout)
        written = _objects(tracked, rows, [names[k] for k in rows], kind)
        places = (ends[rows] - kind.itemsize)[:, None] + np.arange(kind.itemsize)
        data[places] = written.view(np.uint8).reshape(len(rows), -1)
    if extras is not None:
        for end, mask, vector in zip((ends // 4).tolist(), masks, vectors, strict=True):
            _write_extras(data.view('<u4')[end:], mask, vector)
    return b''.join([LITTLE_ENDIAN, body, data.data])


def header_values(frame: Frame) -> tuple[int, int, int, bytes]:
    """Return a frame's header for a `CdrLayout('iIs')`: seconds, nanoseconds, frame_id."""
    sec, nanosec = divmod(int(frame.stamp_ns), NANOSECONDS)
    return sec, nanosec, *text(frame.frame_id)


def _head(tracked: TrackedFrame) -> bytearray:
    frame, body = tracked.frame, bytearray()
    _HEAD.append(
        body, *header_values(frame), *text(tracked.source), tracked.reset_count,
        tracked.frame_index, tracked.dropped_frames, frame.width, frame.height,
        tracked.depth_is_metric, *divmod(int(tracked.processing_ns), NANOSECONDS),
        len(tracked.tracks),
    )  # fmt: skip
    return body


def _extra_arrays(
    extras: ObjectExtras | None, objects: int
) -> tuple[Sequence[NDArray[np.uint32]], Sequence[NDArray[np.float32]] | NDArray[np.float32]]:
    """Return mask and embedding of each object, empty where they are not wanted."""
    extras = extras or ObjectExtras()
    return (
        [_NO_MASK] * objects if extras.mask_rle is None else extras.mask_rle,
        [_NO_VECTOR] * objects if extras.embedding is None else extras.embedding,
    )


def _write_extras(
    words: NDArray[np.uint32], mask: NDArray[np.uint32], vector: NDArray[np.float32]
) -> None:
    """Write mask and embedding, each behind its length."""
    middle = 1 + len(mask)
    words[0], words[middle] = len(mask), len(vector)
    words[1:middle] = mask
    words[middle + 1 : middle + 1 + len(vector)].view('<f4')[:] = vector


def _room(name: bytes) -> int:
    """Return the bytes that a name takes with its final zero, up to the next multiple of 4."""
    return (len(name) // 4 + 1) * 4


@lru_cache(maxsize=256)
def _object_type(phase: int, room: int) -> np.dtype[np.void]:
    """Return the layout of an object that begins `phase` bytes beyond a multiple of 8.

    It ends before its mask and embedding.
    """
    box = room + 24
    box += -(phase + box) % 8
    fields = {
        'id': ('<u4', 0),
        'state': ('u1', 4),
        'label': ('<i4', 8),
        'length': ('<u4', 12),
        'name': (f'S{room}', 16),
        'score': ('<f4', 16 + room),
        'association_score': ('<f4', 20 + room),
        'centre': ('<2f8', box),
        'theta': ('<f8', box + 16),
        'size': ('<2f8', box + 24),
        'velocity': ('<2f8', box + 40),
        'depth': ('<f4', box + 56),
        'depth_stddev': ('<f4', box + 60),
        'position': ('<3f8', box + 64),
        'linear_velocity': ('<3f8', box + 88),
        'position_covariance': ('<9f8', box + 112),
        'counts': ('<3u4', box + 184),
        'times': ('<4u4', box + 196),
    }
    return np.dtype(
        {
            'names': list(fields),
            'formats': [kind for kind, _ in fields.values()],
            'offsets': [offset for _, offset in fields.values()],
            'itemsize': box + 212,
        }
    )


def _objects(
    tracked: TrackedFrame, rows: list[int], names: list[bytes], layout: np.dtype[np.void]
) -> NDArray[np.void]:
    tracks = tracked.tracks
    out = np.zeros(len(names), layout)
    corners = tracks.xyxy[rows]
    out['centre'] = (corners[:, :2] + corners[:, 2:]) / 2
    out['size'] = corners[:, 2:] - corners[:, :2]
    for name in _AS_THEY_ARE:
        out[name] = getattr(tracks, name)[rows]
    out['length'] = [len(name) + 1 for name in names]
    out['name'] = names
    for column, values in enumerate((tracks.age, tracks.hits, tracks.misses)):
        out['counts'][:, column] = values[rows]
    seen = np.stack([tracks.first_seen_ns[rows], tracks.last_seen_ns[rows]], axis=1)
    out['times'] = np.stack(np.divmod(seen, NANOSECONDS), axis=2).reshape(-1, 4)
    return out
