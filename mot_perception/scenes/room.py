"""A room of one floor and one back wall: textures drawn once, depth exact by geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mot_perception.scenes.camera import Pose, image_motion, plane_to_pixel, room_depth
from mot_perception.types import CameraModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SUPERSAMPLED = 2
_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Room:
    """What a room looks like; colours are BGR, sizes metres.

    Attributes:
        wall: World z of the back wall.
        floor: Two colours of floor tiles.
        tile: Size of a tile, across and along.
        paint: Colours of the wall, at its foot and 3 m above.
        panel: Width of the wall's panels.
        lines: Half width, nearest and farthest z of a court painted on the floor, or None.
    """

    wall: float
    floor: tuple[tuple[int, int, int], tuple[int, int, int]]
    tile: tuple[float, float]
    paint: tuple[tuple[int, int, int], tuple[int, int, int]]
    panel: float
    lines: tuple[float, float, float] | None = None


HALL = Room(
    10.5, ((176, 182, 186), (160, 167, 172)), (0.6, 0.6), ((150, 156, 150), (206, 205, 198)), 1.5
)
STAGE = Room(9.0, ((76, 112, 150), (64, 97, 134)), (2.4, 0.16), ((70, 46, 52), (44, 30, 40)), 0.9)
COURT = Room(
    21.0, ((126, 172, 206), (116, 161, 196)), (3.0, 0.3), ((120, 100, 84), (176, 164, 150)), 3.0,
    (7.5, 6.0, 17.0),
)  # fmt: skip


class Backdrop:
    """A room seen by one camera that may turn and sway a little around its resting pose."""

    def __init__(
        self, room: Room, camera: CameraModel, rest: Pose, seed: int, moving: bool
    ) -> None:
        self._room, self._camera, self._rest = room, camera, rest
        self._wide = _widened(camera) if moving else camera
        self._picture = _paint(room, self._wide, rest, np.random.default_rng([seed, 0xF1]))
        self._still = None if moving else (self._picture, self._depth(rest))

    def view(self, pose: Pose) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return image uint8 H×W×3 BGR and depth float32 H×W metres; both belong to the caller."""
        if self._still is not None:
            image, depth = self._still
            return image.copy(), depth.copy()
        inverse = room_depth(pose, self._camera, self._room.wall)
        is_wall = inverse[1] > inverse[0]
        image = np.empty((*is_wall.shape, 3), np.uint8)
        for at, shown in ((None, ~is_wall), (self._room.wall, is_wall)):
            rows = np.flatnonzero(shown.any(1))
            if len(rows):
                part = slice(int(rows[0]), int(rows[-1]) + 1)
                cv2.copyTo(self._warped(pose, at, part), shown[part].view(np.uint8), image[part])
        return image, (1 / np.maximum(*inverse)).astype(np.float32)

    def motion(self, before: Pose, after: Pose) -> Array:
        """Return the 2×3 affine by which the backdrop's pixels move from one pose to the next."""
        if self._still is not None:
            return np.eye(2, 3)
        return image_motion(before, after, self._camera, self._room.wall)

    def _depth(self, pose: Pose) -> NDArray[np.float32]:
        planes = room_depth(pose, self._camera, self._room.wall)
        return (1 / np.maximum(*planes)).astype(np.float32)

    def _warped(self, pose: Pose, wall: float | None, rows: slice) -> NDArray[np.uint8]:
        """Return some rows of the painted picture as a pose sees them; right for one plane."""
        there = plane_to_pixel(pose, self._camera, wall)
        here = plane_to_pixel(self._rest, self._wide, wall)
        up = np.array([[1, 0, 0], [0, 1, -rows.start], [0, 0, 1.0]])
        view = cv2.warpPerspective(
            self._picture,
            up @ there @ np.linalg.inv(here),
            (self._camera.width, rows.stop - rows.start),
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(view, np.uint8)


def _widened(camera: CameraModel) -> CameraModel:
    x, y = int(_MARGIN * camera.width), int(_MARGIN * camera.height)
    return CameraModel(
        camera.width + 2 * x,
        camera.height + 2 * y,
        camera.fx,
        camera.fy,
        camera.cx + x,
        camera.cy + y,
    )


def _paint(
    room: Room, camera: CameraModel, pose: Pose, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Render floor and wall, each pixel the mean of several samples."""
    n = _SUPERSAMPLED
    fine = CameraModel(
        camera.width * n, camera.height * n, camera.fx * n, camera.fy * n,
        (camera.cx + 0.5) * n - 0.5, (camera.cy + 0.5) * n - 0.5,
    )  # fmt: skip
    floor, wall = room_depth(pose, fine, room.wall)
    u = (np.arange(fine.width) - fine.cx) / fine.fx
    v = (np.arange(fine.height) - fine.cy) / fine.fy
    ray_u, ray_v = np.meshgrid(u, v)
    colour = np.empty((fine.height, fine.width, 3), np.float32)
    is_wall = wall > floor
    for here in (~is_wall, is_wall):
        depth = 1 / np.maximum(floor[here], wall[here])
        ray = np.stack([ray_u[here] * depth, ray_v[here] * depth, depth])
        x, y, z = pose.rotation.T @ ray + pose.position[:, None]
        if here is is_wall:
            colour[here] = _wall(room, x, -y, random)
        else:
            colour[here] = _floor(room, x, z, random)
    size = (camera.width, camera.height)
    return np.rint(cv2.resize(colour, size, interpolation=cv2.INTER_AREA)).astype(np.uint8)


def _floor(room: Room, x: Array, z: Array, random: np.random.Generator) -> Array:
    """Return the colour of floor points: tiles in two shades, joints, and a court's lines."""
    column = np.floor(x / room.tile[0]).astype(int)
    row = np.floor(z / room.tile[1]).astype(int)
    shade = random.normal(1, 0.02, (64, 64))[row % 64, column % 64]
    light, dark = np.array(room.floor, float)
    colour = np.where(((column + row) % 2 == 0)[..., None], light, dark) * shade[..., None]
    joint = np.minimum(_to_edge(x, room.tile[0]), _to_edge(z, room.tile[1])) < 0.006
    colour = np.where(joint[..., None], colour * 0.82, colour)
    if room.lines is not None:
        half, near, far = room.lines
        inside = (np.abs(x) < half + 0.04) & (z > near - 0.04) & (z < far + 0.04)
        edge = np.minimum(half - np.abs(x), np.minimum(z - near, far - z)) < 0.04
        middle = np.abs(x) < 0.04
        circle = np.abs(np.hypot(x, z - (near + far) / 2) - 1.8) < 0.04
        colour = np.where((inside & (edge | middle | circle))[..., None], 236.0, colour)
    return np.asarray(colour)


def _wall(room: Room, x: Array, up: Array, random: np.random.Generator) -> Array:
    """Return the colour of wall points: a gradient, panels, a skirting board, and pictures."""
    foot, top = np.array(room.paint, float)
    share = np.clip(up / 3, 0, 1)[..., None]
    panel = np.floor(x / room.panel).astype(int)
    shade = random.normal(1, 0.03, 64)[panel % 64]
    colour = (foot * (1 - share) + top * share) * shade[..., None]
    colour = np.where((_to_edge(x, room.panel) < 0.012)[..., None], colour * 0.85, colour)
    colour = np.where((up < 0.12)[..., None], colour * 0.6, colour)
    within = np.abs(x / room.panel - panel - 0.5)
    picture = (within < 0.3) & (np.abs(up - 1.9) < 0.35) & (panel % 3 == 0)
    paints = random.uniform(70, 190, (64, 3))[panel % 64]
    frame = picture & ((within > 0.285) | (np.abs(up - 1.9) > 0.33))
    colour = np.where(
        picture[..., None], paints * (0.8 + 0.2 * np.cos(9 * up + x))[..., None], colour
    )
    return np.where(frame[..., None], 50.0, colour)


def _to_edge(value: Array, size: float) -> Array:
    """Return the distance to the nearest multiple of a size."""
    return np.asarray(np.abs(value - size * np.rint(value / size)))
