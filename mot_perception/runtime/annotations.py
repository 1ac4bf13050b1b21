"""Boxes and labels over a picture: `foxglove_msgs/ImageAnnotations`."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mot_perception.bags.drawing import UNIT_AREA
from mot_perception.messages.cdr_layout import COUNT, LITTLE_ENDIAN, CdrLayout, text
from mot_perception.messages.mapping import name_of
from mot_perception.runtime.looks import Rgba, colour_of, distances, ink_on, label_of
from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mot_perception.types import TrackedFrame

_TENTATIVE, _COASTING = int(TrackState.TENTATIVE), int(TrackState.COASTING)


class _Layouts(NamedTuple):
    head: CdrLayout
    box: CdrLayout
    label: CdrLayout
    tail: CdrLayout


_LINE_LOOP = 2
_ANNOTATIONS = _Layouts(
    CdrLayout('iII'), CdrLayout('iI BI8d 4dI4d d I'), CdrLayout('iI 2dsd 4d4d I'), CdrLayout('I')
)
_OLD_ANNOTATIONS = _Layouts(
    CdrLayout('I'), CdrLayout('iI BI8d 4dI4d d'), CdrLayout('iI 2dsd 4d4d'), CdrLayout('')
)
_NO_FILL = 0.0, 0.0, 0.0, 0.0


def image_annotations(
    tracked: TrackedFrame, class_names: Sequence[str] = (), *, metadata: bool = True
) -> bytes:
    """Return a `foxglove_msgs/ImageAnnotations`: boxes with labels for a picture of any size.

    Every track has the colour that it has in the debug image. A coasting one is thin and half
    transparent; a tentative one is thin and has no label.

    Args:
        tracked: What the tracker said of the frame.
        class_names: Name of class 0, 1, ….
        metadata: Whether the messages have `metadata`, as they do since foxglove_msgs 3.2.5; older
            ones, of the same name, have neither that nor the time of the whole.
    """
    layouts = _ANNOTATIONS if metadata else _OLD_ANNOTATIONS
    none = (0,) * metadata  # of the metadata
    frame = tracked.frame
    stamp = divmod(int(frame.stamp_ns), NANOSECONDS)
    unit = max(sqrt(frame.width * frame.height / UNIT_AREA), 0.5)
    shown = _drawn(tracked, class_names)
    labelled = [it for it in shown if it.state != _TENTATIVE]
    body = bytearray()
    layouts.head.append(body, *(stamp * metadata), 0)
    COUNT.append(body, len(shown))
    for it in shown:
        left, top, right, bottom = it.xyxy
        layouts.box.append(
            body, *stamp, _LINE_LOOP, 4, left, top, right, top, right, bottom, left, bottom,
            *it.colour, 0, *_NO_FILL, unit * it.thickness, *none,
        )  # fmt: skip
    COUNT.append(body, len(labelled))
    for it in labelled:
        layouts.label.append(
            body, *stamp, it.xyxy[0], it.xyxy[1], *text(it.label), 14 * unit, *ink_on(it.colour),
            *it.colour, *none,
        )  # fmt: skip
    layouts.tail.append(body, *none)
    return LITTLE_ENDIAN + body


class _Drawn(NamedTuple):
    """A track as it is drawn over a picture."""

    state: int
    xyxy: list[float]
    colour: Rgba
    thickness: float
    label: str


def _drawn(tracked: TrackedFrame, class_names: Sequence[str]) -> list[_Drawn]:
    live = tracked.tracks
    live = live.select((live.state != TrackState.REMOVED) & np.isfinite(live.xyxy).all(1))
    distance = distances(live, metric=tracked.depth_is_metric)
    return [
        _Drawn(
            state,
            xyxy,
            colour_of(identity, 0.5 if state == _COASTING else 1.0),
            1.0 if state in {_COASTING, _TENTATIVE} else 2.0,
            label_of(identity, name_of(label, class_names), metres),
        )
        for identity, state, xyxy, label, metres in zip(
            live.id.tolist(),
            live.state.tolist(),
            live.xyxy.tolist(),
            live.label.tolist(),
            distance,
            strict=True,
        )
    ]
