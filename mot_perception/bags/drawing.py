"""Tracks drawn on a picture: who is where, where from, and how sure the tracker is of it.

A confirmed track has a solid box, a coasting one a dashed box (it is predicted), a tentative one
a thin box without label. The trail shows where the feet have been; where there are masks, a thin
line goes round the object.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.bags.labels import Labels, paint_caption
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mot_perception.types import TrackedFrame, Tracks

    Image = NDArray[np.uint8]
    Colour = tuple[int, int, int]
    Point = tuple[int, int]

TRAIL_FRAMES = 30
UNIT_AREA = 960 * 540
"""Pixels of a picture whose lines and letters have the size given here."""
# Pixels beyond which OpenCV's 16-bit drawing coordinates overflow.
FAR = 20_000


def _palette(count: int = 97) -> list[Colour]:
    """Return colours such that numbers near each other have hues far from each other."""
    hue = (np.arange(count) * 0.618034 % 1 * 180).astype(np.uint8)
    value = np.where(np.arange(count) % 2, 255, 225).astype(np.uint8)
    hsv = np.stack([hue, np.full(count, 190, np.uint8), value], axis=1)[None]
    return [(int(b), int(g), int(r)) for b, g, r in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0]]


PALETTE = _palette()


def colour_of(identity: int) -> Colour:
    """Return the colour of an id, BGR; the same in every picture."""
    return PALETTE[identity % len(PALETTE)]


class TrackPainter:
    """Draws one frame after the other, and remembers the trails between them."""

    def __init__(self) -> None:
        self._trails: dict[int, deque[NDArray[np.float64]]] = {}

    def paint(self, canvas: Image, tracked: TrackedFrame) -> None:
        """Draw the tracks of a frame.

        Args:
            canvas: H×W×3, BGR, drawn on; boxes are scaled from the frame's size to its.
            tracked: What the tracker said of the frame.
        """
        height, width = canvas.shape[:2]
        scale = width / max(tracked.frame.width, 1)
        unit = max((width * height / UNIT_AREA) ** 0.5, 0.8)
        tracks = tracked.tracks
        live = (tracks.state != TrackState.REMOVED) & np.isfinite(tracks.xyxy).all(1)
        corners = np.clip(np.rint(tracks.xyxy[live] * scale), -FAR, FAR).astype(int).tolist()
        ids, states = tracks.id[live].tolist(), tracks.state[live].tolist()
        depths = tracks.depth[live].tolist() if tracked.depth_is_metric else [np.nan] * len(ids)
        self._remember(ids, corners)
        self._paint_trails(canvas, unit)
        if tracked.masks is not None:
            _paint_outlines(canvas, tracked.masks, tracks.select(live), unit)
        rows = sorted(zip(ids, states, corners, depths, strict=True), key=lambda row: row[2][3])
        for identity, state, box, _ in rows:
            _paint_box(canvas, box, colour_of(identity), state, unit)
        labels = Labels(canvas, unit)
        for identity, state, box, depth in reversed(rows):  # the nearest first
            if state != TrackState.TENTATIVE:
                text = f'{identity}' if np.isnan(depth) else f'{identity}  {depth:.1f}m'
                labels.put(text, box[0], box[1], colour_of(identity))
        seen = int((tracks.state[live] == TrackState.CONFIRMED).sum())
        frame = tracked.frame
        paint_caption(canvas, f'{frame.index + 1}   {frame.stamp:.2f} s   {seen} seen', unit)

    def _remember(self, ids: list[int], corners: list[list[int]]) -> None:
        fresh: dict[int, deque[NDArray[np.float64]]] = {}
        for identity, (left, _, right, bottom) in zip(ids, corners, strict=True):
            trail = self._trails.get(identity) or deque(maxlen=TRAIL_FRAMES)
            foot = np.array([(left + right) / 2, bottom])
            # Feet of detections tremble: half of the old point calms the line.
            trail.append((trail[-1] + foot) / 2 if trail else foot)
            fresh[identity] = trail
        self._trails = fresh

    def _paint_trails(self, canvas: Image, unit: float) -> None:
        if not self._trails:
            return
        layer = canvas.copy()
        for identity, trail in self._trails.items():
            points = np.rint(trail).astype(int).tolist()
            for age, (start, end) in enumerate(pairwise(points)):
                width = 1 + round(3 * unit * age / TRAIL_FRAMES)
                cv2.line(layer, start, end, colour_of(identity), width, cv2.LINE_AA)
        cv2.addWeighted(layer, 0.6, canvas, 0.4, 0, dst=canvas)


def _paint_outlines(canvas: Image, masks: NDArray[np.bool_], tracks: Tracks, unit: float) -> None:
    width = max(1, round(unit))
    for identity, row in zip(tracks.id.tolist(), tracks.detection.tolist(), strict=True):
        if row >= 0:
            outline = _outline(masks[row], canvas.shape[1], canvas.shape[0])
            cv2.polylines(canvas, outline, True, colour_of(identity), width, cv2.LINE_AA)


def _outline(mask: NDArray[np.bool_], width: int, height: int) -> Sequence[NDArray[Any]]:
    """Return the outlines of a mask as polygons of pixels of a picture.

    Only the part of the grid that holds the mask is enlarged, with a cell around it; smoothly, so
    that the steps of a coarse grid do not show.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return ()
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].view(np.uint8)
    padded = cv2.copyMakeBorder(part, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    down, right = height / mask.shape[0], width / mask.shape[1]
    size = max(round(padded.shape[1] * right), 1), max(round(padded.shape[0] * down), 1)
    smooth = cv2.resize(padded * np.uint8(255), size, interpolation=cv2.INTER_LINEAR)
    corner = round((columns[0] - 1) * right), round((rows[0] - 1) * down)
    inside = (smooth > 127).view(np.uint8)
    lines = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=corner)[0]
    return [cv2.approxPolyDP(line, 1, closed=True) for line in lines]


def _paint_box(canvas: Image, box: list[int], colour: Colour, state: int, unit: float) -> None:
    left, top, right, bottom = box
    if state == TrackState.TENTATIVE:
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
        return
    width = max(1, round(1.6 * unit))
    if state == TrackState.CONFIRMED:
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, width, cv2.LINE_AA)
        return
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, end in pairwise(corners):
        _paint_dashes(canvas, start, end, colour, width, dash=8 * unit)


def _paint_dashes(
    canvas: Image, start: Point, end: Point, colour: Colour, width: int, dash: float
) -> None:
    vector = np.subtract(end, start)
    length = float(np.hypot(*vector))
    count = min(int(length / dash / 2) + 1, 200)
    for number in range(count):
        share = np.array([number, min(number + 0.55, count)]) / count
        (x0, y0), (x1, y1) = np.rint(start + share[:, None] * vector).astype(int).tolist()
        cv2.line(canvas, (x0, y0), (x1, y1), colour, width, cv2.LINE_AA)
