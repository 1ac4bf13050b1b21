"""People posed to fill given boxes: real motion, re-rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.scenes.cast import Posed
from mot_perception.scenes.skeleton import ENDS, RADII, STARTS, Gesture, joints, turned
from mot_perception.types import CameraModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.scenes.camera import Pose

    Array = NDArray[np.float64]

BODY = 1.7
"""Height in metres that a box is taken to show."""
NEAREST, FARTHEST = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class BoxRows:
    """R boxes, sorted by frame.

    Attributes:
        frame: int64 R, frame number from 0.
        person: int64 R, row of the person in the table of colours.
        xyxy: float64 R×4, pixels of the rendered image.
        depth: float64 R, metres.
    """

    frame: NDArray[np.int64]
    person: NDArray[np.int64]
    xyxy: Array
    depth: Array


class BoxedCast:
    """People who fill the boxes of a ground truth.

    Args:
        rows: The boxes.
        colours: N×5×3 BGR, see `wardrobe`.
        camera: Intrinsics.
    """

    def __init__(self, rows: BoxRows, colours: Array, camera: CameraModel) -> None:
        self.colours = colours
        self._rows, self._camera = rows, camera
        self._gesture, self._heading = _gestures(rows)

    def posed(self, number: int, pose: Pose) -> Posed:
        """Return who is there in frame `number`; the camera stands still."""
        del pose
        rows = slice(*np.searchsorted(self._rows.frame, [number, number + 1]))
        boxes, depth = self._rows.xyxy[rows], self._rows.depth[rows]
        gesture = Gesture(*(column[rows] for column in self._gesture))
        bodies = turned(joints(gesture), self._heading[rows])
        flat, scale = _fitted(bodies, boxes - 0.5)
        away = depth[:, None] + 0.5 * bodies[..., 2] * np.minimum(depth, BODY)[:, None]
        u, v = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]
        across = np.maximum(0.22 * scale, 1)
        middle = np.stack([u, (boxes[:, 1] + boxes[:, 3]) / 2], axis=-1) - 0.5
        centre = (middle - (self._camera.cx, self._camera.cy)) / self._camera.fx
        return Posed(
            ids=self._rows.person[rows] + 1,
            joints=np.concatenate([flat, away[..., None]], axis=-1),
            scale=np.repeat(scale[:, None], bodies.shape[1], axis=1),
            spots=np.column_stack([u, v - 0.02 * scale, across, 0.3 * across]),
            positions=np.column_stack([centre, np.ones(len(u))]) * depth[:, None],
        )


def level_camera(xyxy: Array, width: int, height: int) -> tuple[CameraModel, float]:
    """Return the level camera, and its height, that sees the boxes as people on one floor.

    A person's foot line lies below the horizon in proportion to the height of the box, so a
    straight line through (box height, foot line) gives both; where it is senseless (jumps, tilted
    views, everyone at one distance) the horizon is put above all feet.
    """
    feet, tall = xyxy[:, 3], xyxy[:, 3] - xyxy[:, 1]
    horizon, slope = 0.3 * height, 1.5
    if len(xyxy) > 10 and tall.std() > 0.02 * height:
        slope = float(np.cov(tall, feet)[0, 1] / tall.var())
        horizon = float(np.median(feet - slope * tall))
    highest = float(feet.min(initial=height)) - 0.04 * height
    horizon = float(np.clip(min(horizon, highest), -0.5 * height, 0.6 * height))
    above = float(np.clip(slope, 0.6, 4.0)) * BODY
    if len(xyxy):
        above = float(np.median((feet - horizon) / np.maximum(tall, 1))) * BODY
    focal = 0.9 * width
    return CameraModel(width, height, focal, focal, (width - 1) / 2, horizon), max(above, 0.3)


def foot_depth(feet: Array, camera: CameraModel, height: float) -> Array:
    """Return the depth at which the floor meets the image rows where people stand, metres.

    A foot near the horizon is a jump or a mistake: nobody is much farther than the others.
    """
    below = np.maximum(feet - 0.5 - camera.cy, 1e-3)
    depth = camera.fy * height / below
    farthest = 1.5 * float(np.quantile(depth, 0.95)) if len(depth) else FARTHEST
    return np.clip(depth, NEAREST, max(min(farthest, FARTHEST), NEAREST))


def _gestures(rows: BoxRows) -> tuple[tuple[Array, Array, Array, Array], Array]:
    """Return phase, stride, raised, bent (R each) and heading that suit the boxes' motion."""
    order = np.lexsort((rows.frame, rows.person))
    boxes, person = rows.xyxy[order], rows.person[order]
    tall = np.maximum(boxes[:, 3] - boxes[:, 1], 1)
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    same = np.concatenate([[False], person[1:] == person[:-1]])
    step = np.where(same, np.diff(centre, prepend=centre[:1]) / tall, 0)
    step = _smoothed(step, 7)
    phase = np.cumsum(np.abs(step)) * np.pi / 0.45
    aspect = np.clip((boxes[:, 2] - boxes[:, 0]) / tall, 0.15, 1.4)
    moving = np.clip(np.abs(step) * 30, 0, 1)
    heading = np.pi - np.sign(step) * moving * np.pi / 2
    stride = 0.08 + 0.5 * moving * np.clip(aspect / 0.5, 0.3, 1)
    raised = np.clip((aspect - 0.42) * 2.4, 0, 1.5) * (1 - 0.5 * moving)
    bent = np.clip((aspect - 0.55) * 0.8, 0, 0.6)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    raised, bent, heading = (_smoothed(a, 5) for a in (raised, bent, heading))
    return (phase[back], stride[back], raised[back], bent[back]), heading[back]


def _smoothed(values: Array, window: int) -> Array:
    """Return the running mean; it crosses from one person to the next for half a window."""
    if len(values) < window:
        return values
    return np.convolve(values, np.full(window, 1 / window), mode='same')


def _fitted(bodies: Array, boxes: Array) -> tuple[Array, Array]:
    """Place bodies of height 1 so that their rounded outline fills the boxes exactly.

    Positions are stretched along each axis alone while limbs stay round, so the stretch is solved
    for by Newton's method: an outline's extent is piecewise linear in it.

    Returns:
        N×J×2 pixels of the joints, and N pixels per body height, for the limbs' thickness.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    scale = np.minimum(size[:, 1], size[:, 0] / 0.26)
    flat = np.empty((*bodies.shape[:2], 2))
    at = np.concatenate([STARTS, ENDS])
    radius = scale[:, None] * np.concatenate([RADII[:, 0], RADII[:, 1]])
    for axis in range(2):
        spread = bodies[:, at, axis]
        stretch = size[:, axis].copy()
        for _ in range(6):
            low, high = _extremes(spread, radius, stretch)
            reach = np.take_along_axis(spread, high, 1) - np.take_along_axis(spread, low, 1)
            around = np.take_along_axis(radius, high, 1) + np.take_along_axis(radius, low, 1)
            stretch = np.maximum((size[:, axis] - around[:, 0]) / np.maximum(reach[:, 0], 1e-3), 0)
        low, _ = _extremes(spread, radius, stretch)
        edge = (spread * stretch[:, None] - radius)[np.arange(len(low)), low[:, 0]]
        flat[..., axis] = bodies[..., axis] * stretch[:, None] + (boxes[:, axis] - edge)[:, None]
    return flat, scale


def _extremes(
    spread: Array, radius: Array, stretch: Array
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which joint reaches lowest and which highest along one axis, N×1 each."""
    placed = spread * stretch[:, None]
    return (placed - radius).argmin(1)[:, None], (placed + radius).argmax(1)[:, None]
