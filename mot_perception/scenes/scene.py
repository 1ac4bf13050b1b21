"""Rendered RGB-D scenes of people, with everything that is true of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError
from mot_perception.scenes.boxed import BoxedCast, BoxRows, foot_depth, level_camera
from mot_perception.scenes.camera import Pose
from mot_perception.scenes.cast import StagedCast
from mot_perception.scenes.figures import draw, shade_floor, wardrobe
from mot_perception.scenes.motions import MOTIONS
from mot_perception.scenes.room import COURT, HALL, STAGE, Backdrop, Room
from mot_perception.scenes.sensor import DepthSensor
from mot_perception.types import NANOSECONDS, CameraModel, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from mot_perception.scenes.cast import Cast
    from mot_perception.scenes.motions import Motion

    Array = NDArray[np.float64]

FRAME_ID = 'camera_optical_frame'
START_NS = NANOSECONDS
"""Stamp of frame 0: one second, as zero means "unknown" in ROS."""
LEAST_PIXELS = 12
"""A figure that would cover less, even if nothing hid it, is not in the frame."""

_ROOMS: dict[str, tuple[Room, float, float, float]] = {
    'walk': (HALL, 1.9, 0.17, 0.9),
    'dance': (STAGE, 1.6, 0.10, 0.9),
    'sport': (COURT, 3.6, 0.24, 1.15),
}
"""Room; the camera's height in metres, pitch in radians, focal length in image widths."""


@dataclass(frozen=True)
class SceneFrame:
    """One frame and the truth about its N figures.

    Attributes:
        frame: Image, depth as a sensor reads it, camera.
        masks: uint16 H×W, the id of the figure that is seen, 0 where there is none.
        ids: int64 N, from 1.
        boxes: float64 N×4, xyxy; tight around each figure as if nothing hid it, within the image:
            `image[top:bottom, left:right]` is the figure.
        visibility: float64 N, share of the figure's pixels that nothing hides.
        positions: float64 N×3, middle of each body in the optical frame, metres.
        camera_motion: float64 2×3, affine that moves pixels of the still background from the
            previous frame of the scene to this one; the identity for a camera at rest.
    """

    frame: Frame
    masks: NDArray[np.uint16]
    ids: NDArray[np.int64]
    boxes: Array
    visibility: Array
    positions: Array
    camera_motion: Array


@dataclass(frozen=True, slots=True)
class Clock:
    """When frames are taken: positions in the source (gaps where frames were dropped), stamps."""

    index: NDArray[np.int64]
    fps: float

    @property
    def seconds(self) -> Array:
        """Return the time of each frame, from 0."""
        return self.index / self.fps

    def stamp_ns(self, number: int) -> int:
        """Return the stamp of frame `number` in nanoseconds."""
        return START_NS + round(int(self.index[number]) * NANOSECONDS / self.fps)


class Scene:
    """Frames rendered when asked for; a frame is the same bytes however often it is rendered.

    Args:
        cast: The people.
        backdrop: The room.
        camera: Intrinsics.
        clock: When frames are taken.
        pose: Pose of the camera at a time in seconds.
        sensor: Reads the depth; None gives the true depth.
    """

    def __init__(
        self,
        cast: Cast,
        backdrop: Backdrop,
        camera: CameraModel,
        clock: Clock,
        pose: Callable[[float], Pose],
        sensor: DepthSensor | None,
    ) -> None:
        self.camera = camera
        self.fps = clock.fps
        self._cast, self._backdrop, self._clock = cast, backdrop, clock
        self._pose, self._sensor = pose, sensor

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._clock.index)

    def __iter__(self) -> Iterator[SceneFrame]:
        """Render one frame after the other."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> SceneFrame:
        """Render frame `number`, from 0; the arrays belong to the caller."""
        if not 0 <= number < len(self):
            raise IndexError(f'the scene has {len(self)} frames, not a frame {number}')
        pose = self._pose(float(self._clock.seconds[number]))
        before = self._pose(float(self._clock.seconds[max(number - 1, 0)]))
        posed = self._cast.posed(number, pose)
        image, depth = self._backdrop.view(pose)
        shade_floor(image, posed.spots)
        colours = self._cast.colours[posed.ids - 1]
        drawn = draw(image, depth, posed.joints, posed.scale, colours, posed.ids, self.camera.fx)
        if self._sensor is not None:
            depth = self._sensor.measure(depth, int(self._clock.index[number]))
        there = drawn.covered >= LEAST_PIXELS
        return SceneFrame(
            frame=Frame(
                stamp_ns=self._clock.stamp_ns(number),
                index=int(self._clock.index[number]),
                width=self.camera.width,
                height=self.camera.height,
                image=image,
                depth=depth,
                camera=self.camera,
                frame_id=FRAME_ID,
            ),
            masks=drawn.masks,
            ids=posed.ids[there],
            boxes=drawn.boxes[there],
            visibility=drawn.visible[there] / drawn.covered[there],
            positions=posed.positions[there],
            camera_motion=self._backdrop.motion(before, pose),
        )


def make_scene(
    *,
    motion: Motion = 'walk',
    figures: int = 10,
    frames: int = 300,
    width: int = 640,
    height: int = 360,
    fps: float = 30.0,
    seed: int = 0,
    same_clothing: bool = True,
    camera_motion: bool = False,
    drop_rate: float = 0.0,
    depth_noise: bool = True,
) -> Scene:
    """Stage a scene.

    Args:
        motion: 'walk' (lanes that cross), 'dance' (a group that swaps places), 'sport' (bursts).
        figures: Number of people.
        frames: Frames the camera takes; dropped ones count.
        width: Pixels.
        height: Pixels.
        fps: Frames per second.
        seed: Same seed, same bytes.
        same_clothing: Everybody looks alike; else everybody is dressed differently.
        camera_motion: The camera pans and sways.
        drop_rate: Share of frames that are lost on the way: stamps and indices jump.
        depth_noise: Read the depth by a sensor (noise, holes, whole millimetres); else it is true.

    Raises:
        UserError: If a number is out of range.
    """
    _check(motion, figures, frames, width, height, fps, drop_rate)
    random = np.random.default_rng([seed, 0x5CE])
    room, above, pitch, zoom = _ROOMS[motion]
    focal = zoom * width
    camera = CameraModel(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    kept = random.random(frames) >= drop_rate
    kept[0] = True
    clock = Clock(np.flatnonzero(kept), fps)
    time = np.arange(max(frames, 2)) / fps
    plan = MOTIONS[motion](random, time, figures, width / 2 / focal)
    tall = random.normal(1.72, 0.06, figures).clip(1.55, 1.9)
    cast = StagedCast(
        plan.select(clock.index), tall, wardrobe(random, figures, same_clothing), camera
    )
    sensor = DepthSensor(width, height, seed) if depth_noise else None
    path = _camera_path(random, above, pitch, camera_motion)
    backdrop = Backdrop(room, camera, Pose.at(above, pitch), seed, camera_motion)
    return Scene(cast, backdrop, camera, clock, path, sensor)


def scene_from_boxes(
    frame: ArrayLike,
    ids: ArrayLike,
    xyxy: ArrayLike,
    *,
    width: int,
    height: int,
    fps: float,
    frames: int | None = None,
    scale: float = 1.0,
    seed: int = 0,
    same_clothing: bool = True,
    depth_noise: bool = True,
) -> Scene:
    """Re-render real motion: each box of a ground truth is filled by a person.

    Identity k of the scene is the k-th smallest identity of the ground truth, from 1. Depth is
    that of the floor at the lower edge of the box.

    Args:
        frame: R frame numbers, from 1 (MOTChallenge).
        ids: R identities.
        xyxy: R×4 boxes in pixels of the original image; the part outside it is not drawn.
        width: Of the original image.
        height: Of the original image.
        fps: Frames per second.
        frames: Length of the sequence; the last frame with a box if None.
        scale: Size of the rendered image relative to the original.
        seed: Same seed, same bytes.
        same_clothing: Everybody looks alike; else everybody is dressed differently.
        depth_noise: Read the depth by a sensor; else it is true.

    Raises:
        UserError: If boxes are not finite or inverted, or a number is out of range.
    """
    number, person, boxes = _box_rows(frame, ids, xyxy)
    people = int(person.max(initial=-1)) + 1
    count = frames or int(number.max(initial=0)) + 1
    wide, tall = round(width * scale), round(height * scale)
    _check('boxes', people, count, wide, tall, fps, 0.0)
    random = np.random.default_rng([seed, 0xB0C5])
    camera, above = level_camera(boxes * scale, wide, tall)
    depth = foot_depth(boxes[:, 3] * scale, camera, above)
    rows = BoxRows(number, person, boxes * scale, depth)
    cast = BoxedCast(rows, wardrobe(random, people, same_clothing), camera)
    room = replace(HALL, wall=1.1 * depth.max(initial=8.0) + 1)
    rest = Pose.at(above)
    backdrop = Backdrop(room, camera, rest, seed, moving=False)
    sensor = DepthSensor(wide, tall, seed) if depth_noise else None
    return Scene(cast, backdrop, camera, Clock(np.arange(count), fps), lambda _: rest, sensor)


def _check(
    motion: str, figures: int, frames: int, width: int, height: int, fps: float, drop_rate: float
) -> None:
    """Raise a `UserError` that names the first number out of range."""
    if motion not in (*MOTIONS, 'boxes'):
        raise UserError(f'scene: motion is {motion!r}; choose one of {", ".join(MOTIONS)}')
    for name, value, least, most in (
        ('figures', figures, 0, 65535),
        ('frames', frames, 1, 10_000_000),
        ('width', width, 16, 8192),
        ('height', height, 16, 8192),
        ('fps', fps, 1e-3, 1e4),
        ('drop_rate', drop_rate, 0.0, 0.99),
    ):
        if not least <= value <= most:
            raise UserError(f'scene: {name} is {value}; give a value from {least} to {most}')


def _camera_path(
    random: np.random.Generator, above: float, pitch: float, moving: bool
) -> Callable[[float], Pose]:
    """Return a slow pan with a little nodding and swaying, or a camera at rest."""
    start = random.uniform(0, 2 * np.pi, 3)
    size = float(moving)

    def pose(seconds: float) -> Pose:
        pan = 0.09 * np.sin(0.7 * seconds + start[0]) + 0.012 * np.sin(2.9 * seconds + start[1])
        nod = 0.012 * np.sin(2.1 * seconds + start[2])
        sway = 0.15 * np.sin(0.9 * seconds + start[1])
        return Pose.at(above, pitch + size * nod, size * pan, size * sway)

    return pose


def _box_rows(
    frame: ArrayLike, ids: ArrayLike, xyxy: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Check a ground truth; return frame from 0, person from 0, and box, sorted by frame."""
    frames, boxes = np.asarray(frame, np.int64), np.asarray(xyxy, np.float64).reshape(-1, 4)
    person = np.unique(np.asarray(ids, np.int64), return_inverse=True)[1]
    if not len(frames) == len(person) == len(boxes):
        counts = f'{len(frames)}, {len(person)}, {len(boxes)}'
        raise UserError(f'scene: frames, ids and boxes must be as many; they are {counts}')
    bad = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] <= boxes[:, :2]).any(1) | (frames < 1)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f'scene: box {row} is {boxes[row].tolist()} in frame {frames[row]}; '
            'give finite, upright boxes in frames from 1'
        )
    order = np.argsort(frames, kind='stable')
    return frames[order] - 1, person[order], boxes[order]
