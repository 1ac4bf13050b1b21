"""`TrackedObjectArray` as CDR bytes, straight from a tracker's columns.

The same bytes as a message through rosbags' serialiser, in a small part of the time.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.messages.cdr_layout import LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.mapping import name_of
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.types import Frame, TrackedFrame

_HEAD = CdrLayout('iIs sI QI II B iI I')

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


def tracked_frame_to_cdr(tracked: TrackedFrame, class_names: Sequence[str] = ()) -> bytes:
    """Return the serialised message of `tracked_frame_to_message` without masks and embeddings.

    Args:
        tracked: What a tracker says of one frame.
        class_names: Name of class 0, 1, …; classes beyond have an empty name.
    """
    body = _head(tracked)
    names = [name_of(label, class_names).encode() for label in tracked.tracks.label.tolist()]
    # Every object ends, and the next begins, 4 bytes beyond a multiple of 8.
    layouts = [(4, _room(name)) for name in names]
    layouts[:1] = [(len(body) % 8, room) for _, room in layouts[:1]]
    ends = np.cumsum([_object_type(*layout).itemsize for layout in layouts], dtype=np.int64)
    data = np.zeros(ends[-1] if names else 0, np.uint8)
    alike = defaultdict(list)
    for row, layout in enumerate(layouts):
        alike[layout].append(row)
    for layout, rows in alike.items():  # objects with equal layouts are written at once
        kind = _object_type(*layout)
        written = _objects(tracked, rows, [names[k] for k in rows], kind)
        places = (ends[rows] - kind.itemsize)[:, None] + np.arange(kind.itemsize)
        data[places] = written.view(np.uint8).reshape(len(rows), -1)
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


def _room(name: bytes) -> int:
    """Return the bytes that a name takes with its final zero, up to the next multiple of 4."""
    return (len(name) // 4 + 1) * 4


@lru_cache(maxsize=256)
def _object_type(phase: int, room: int) -> np.dtype[np.void]:
    """Return the layout of an object that begins `phase` bytes beyond a multiple of 8."""
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
        'lengths': ('<2u4', box + 212),  # of mask and embedding: none
    }
    return np.dtype(
        {
            'names': list(fields),
            'formats': [kind for kind, _ in fields.values()],
            'offsets': [offset for _, offset in fields.values()],
            'itemsize': box + 220,
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
