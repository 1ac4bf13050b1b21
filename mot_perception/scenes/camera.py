"""A pinhole camera in a room: poses, projection, and the exact depth of floor and back wall.

World frame: x right, y down, z forward, origin on the floor below the resting camera, metres. At
rest the optical frame (REP 103: z forward, x right, y down) is turned by its pitch only. Pixel
centres lie at whole numbers, as in `sensor_msgs/CameraInfo` and OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import CameraModel

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a camera stands and looks.

    Attributes:
        rotation: 3×3, world axes to optical axes.
        position: 3, camera centre in the world, metres; −y is its height above the floor.
    """

    rotation: Array
    position: Array

    @classmethod
    def at(cls, height: float, pitch: float = 0.0, yaw: float = 0.0, side: float = 0.0) -> Pose:
        """Stand `side` right of the origin, `height` above; look down by pitch, right by yaw."""
        c, s = np.cos(pitch), np.sin(pitch)
        down = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        c, s = np.cos(yaw), np.sin(yaw)
        right = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        return cls(down @ right, np.array([side, -height, 0.0]))


def intrinsics(camera: CameraModel) -> Array:
    """Return the 3×3 matrix K."""
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])


def project(points: Array, pose: Pose, camera: CameraModel) -> Array:
    """Return (u, v, depth) of world points, ...×3; depth is along the optical axis, metres."""
    local = (points - pose.position) @ pose.rotation.T
    depth = local[..., 2]
    safe = np.where(np.abs(depth) > 1e-6, depth, 1e-6)
    u = camera.fx * local[..., 0] / safe + camera.cx
    v = camera.fy * local[..., 1] / safe + camera.cy
    return np.stack([u, v, depth], axis=-1)


def room_depth(pose: Pose, camera: CameraModel, wall: float) -> tuple[Array, Array]:
    """Return the inverse depth of floor and of back wall at every pixel, H×W each.

    Both are linear in the pixel: a plane's inverse depth always is. The larger one is seen.

    Args:
        pose: Camera pose.
        camera: Intrinsics and size.
        wall: World z of the wall, metres.
    """
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    # Ray of pixel (x, y, 1) in world axes, one component at a time: columns of the rotation.
    down, forward = pose.rotation[:, 1], pose.rotation[:, 2]
    floor = (down[1] * y + down[2])[:, None] + (down[0] * x)[None]
    back = (forward[1] * y + forward[2])[:, None] + (forward[0] * x)[None]
    return floor / -pose.position[1], back / (wall - pose.position[2])


def plane_to_pixel(pose: Pose, camera: CameraModel, wall: float | None = None) -> Array:
    """Return the homography from floor (x, z) or, given its z, wall (x, y) metres to pixels."""
    axes = np.eye(3)
    if wall is None:
        columns = (axes[0], axes[2], -pose.position)
    else:
        columns = (axes[0], axes[1], np.array([0, 0, wall]) - pose.position)
    return np.asarray(intrinsics(camera) @ pose.rotation @ np.stack(columns, axis=1))


def image_motion(before: Pose, after: Pose, camera: CameraModel, wall: float) -> Array:
    """Return the 2×3 affine that best moves the still room's pixels from one view to the next."""
    u, v = np.meshgrid(np.linspace(0, camera.width, 9), np.linspace(0, camera.height, 7))
    ray = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)
    ray = (ray @ before.rotation).reshape(-1, 3)
    inverse = np.maximum(ray[:, 1] / -before.position[1], ray[:, 2] / (wall - before.position[2]))
    points = before.position + ray / inverse[:, None]
    old = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1)
    new = project(points, after, camera)[:, :2]
    return np.asarray(np.linalg.lstsq(old, new, rcond=None)[0].T)
