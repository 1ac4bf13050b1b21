"""Objects in space: `visualization_msgs/MarkerArray`."""

from __future__ import annotations

from math import hypot, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mot_perception.messages.cdr_layout import COUNT, LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.mapping import name_of
from mot_perception.messages.tracks_cdr import header_values
from mot_perception.runtime.looks import colour_of, label_of
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mot_perception.types import CameraModel, TrackedFrame, Tracks

_COASTING = int(TrackState.COASTING)
_ADD, _DELETE, _DELETE_ALL = 0, 2, 3
_ARROW, _CYLINDER, _TEXT = 0, 3, 9
_NO_TURN, _UPRIGHT = (0.0, 0.0, 0.0, 1.0), (sqrt(0.5), 0.0, 0.0, sqrt(0.5))
"""Quaternions; the second turns the axis of a cylinder from z (forward) to −y (up)."""
_MARKER_HEAD, _MARKER_TAIL = 'iIs s 3i 7d3d 4f iI ? I', 'I s iIssI I ss sI ?'
_MARKER = CdrLayout(_MARKER_HEAD + _MARKER_TAIL)
_ARROW_MARKER = CdrLayout(_MARKER_HEAD + '6d' + _MARKER_TAIL)
_UNUSED = 0, *text(''), 0, 0, *text(''), *text(''), 0, 0
"""Of a marker: colours, texture and its coordinates."""
_NO_MESH = *text(''), *text(''), 0, False

LIFETIME = 1, 0
"""Seconds and nanoseconds after which a marker vanishes if no frame comes."""
LETTERS = 0.22
"""Height of letters, metres."""
ARROW = 0.06, 0.14, 0.2
"""Diameter of an arrow's shaft, and diameter and length of its head, metres."""
SLOWEST = 0.1
"""m/s below which an object has no arrow."""
NEAREST = 0.05
"""Metres in front of the camera from which on objects are shown."""
SIZES = 0.05, 30.0
"""Least and largest width and height of a body, metres."""


class Markers:
    """Turns tracked frames, in their order, into `visualization_msgs/MarkerArray`.

    Of every confirmed or coasting track with a position: a translucent upright cylinder as wide
    and tall as the box is at that depth (`body`), a text (`label`), and an arrow as long as the
    object moves in one second (`velocity`). A marker has the id of its track. One that is not
    there any more is deleted; after a reset, and at the start, all are.
    """

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()
        self._resets: int | None = None

    def __call__(self, tracked: TrackedFrame, class_names: Sequence[str] = ()) -> bytes:
        """Return the markers of a frame.

        Args:
            tracked: What the tracker said of the frame; without camera it has no markers.
            class_names: Name of class 0, 1, ….
        """
        added = _markers(tracked, class_names)
        shown = {(it.kind, it.identity) for it in added}
        if tracked.reset_count == self._resets:
            removed = [_Marker(*it, action=_DELETE) for it in sorted(self._shown - shown)]
        else:
            removed = [_Marker('', 0, action=_DELETE_ALL)]
        self._shown, self._resets = shown, tracked.reset_count
        header, body = header_values(tracked.frame), bytearray()
        COUNT.append(body, len(removed) + len(added))
        for marker in (*removed, *added):
            marker.append_to(body, header)
        return LITTLE_ENDIAN + body


class _Marker(NamedTuple):
    """What differs from marker to marker; lengths in metres."""

    kind: str
    identity: int
    shape: int = _ARROW
    position: Sequence[float] = (0.0, 0.0, 0.0)
    turn: Sequence[float] = _NO_TURN
    scale: Sequence[float] = (0.0, 0.0, 0.0)
    colour: Sequence[float] = (0.0, 0.0, 0.0, 0.0)
    arrow: Sequence[float] = ()
    label: str = ''
    action: int = _ADD

    def append_to(self, body: bytearray, header: tuple[int, int, int, bytes]) -> None:
        layout = _ARROW_MARKER if self.arrow else _MARKER
        layout.append(
            body, *header, *text(self.kind), self.identity, self.shape, self.action,
            *self.position, *self.turn, *self.scale, *self.colour, *LIFETIME, False,
            len(self.arrow) // 3, *self.arrow, *_UNUSED, *text(self.label), *_NO_MESH,
        )  # fmt: skip


def _markers(tracked: TrackedFrame, class_names: Sequence[str]) -> list[_Marker]:
    camera, live = tracked.frame.camera, tracked.tracks
    if camera is None:
        return []
    sure = (live.state == TrackState.CONFIRMED) | (live.state == TrackState.COASTING)
    ahead = np.isfinite(live.position).all(1) & (live.position[:, 2] > NEAREST)
    live = live.select(sure & ahead & np.isfinite(live.xyxy).all(1))
    names = [name_of(label, class_names) for label in live.label.tolist()]
    return [
        marker
        for row in zip(
            live.id.tolist(),
            live.state.tolist(),
            live.position.tolist(),
            live.linear_velocity.tolist(),
            _metric_sizes(live, camera),
            names,
            strict=True,
        )
        for marker in _of_track(*row)
    ]


def _metric_sizes(live: Tracks, camera: CameraModel) -> list[list[float]]:
    """Return width and height of each box at the depth of its track, metres, within reason."""
    pixels = live.xyxy[:, 2:] - live.xyxy[:, :2]
    sizes = pixels / (camera.fx, camera.fy) * live.position[:, 2:]
    return [[float(it) for it in row] for row in sizes.clip(*SIZES).tolist()]


def _of_track(
    identity: int,
    state: int,
    position: list[float],
    velocity: list[float],
    size: list[float],
    name: str,
) -> list[_Marker]:
    alpha = 0.2 if state == _COASTING else 0.45
    number, colour = identity & 0x7FFF_FFFF, colour_of(identity, alpha)
    bright = *colour[:3], 2 * alpha
    (x, y, z), (width, height) = position, size
    above, letters = (x, y - height / 2 - LETTERS, z), (0.0, 0.0, LETTERS)
    body = (width, width, height)
    found = [
        _Marker('body', number, _CYLINDER, position, _UPRIGHT, body, colour),
        _Marker('label', number, _TEXT, above, _NO_TURN, letters, bright,
                label=label_of(identity, name, z)),
    ]  # fmt: skip
    if hypot(*velocity) > SLOWEST:  # never if it is unknown
        tip = [at + speed for at, speed in zip(position, velocity, strict=True)]
        found.append(
            _Marker('velocity', number, scale=ARROW, colour=bright, arrow=[*position, *tip])
        )
    return found
