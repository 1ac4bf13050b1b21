"""The people of a scene in one frame, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mot_perception.scenes.camera import project
from mot_perception.scenes.skeleton import joints, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.scenes.camera import Pose
    from mot_perception.scenes.motions import Choreography
    from mot_perception.types import CameraModel

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Posed:
    """N people before one camera.

    Attributes:
        ids: int64 N, from 1.
        joints: float64 N×J×3, pixel (u, v) and depth in metres of each joint.
        scale: float64 N×J, pixels per body height at each joint.
        spots: float64 N×4, their shadows: pixel (u, v) and half axes in pixels.
        positions: float64 N×3, middle of each body in the optical frame, metres.
    """

    ids: NDArray[np.int64]
    joints: Array
    scale: Array
    spots: Array
    positions: Array


class Cast(Protocol):
    """People who know where they are in every frame."""

    @property
    def colours(self) -> Array:
        """Return what each wears, N×5×3; row k is the person with id k + 1."""

    def posed(self, number: int, pose: Pose) -> Posed:
        """Return who is there in frame `number` (from 0), as a camera at `pose` sees them."""


class StagedCast:
    """People who move as a choreography says.

    Args:
        choreography: Their places and gestures, one row a frame.
        tall: N, body heights in metres.
        colours: N×5×3 BGR, see `wardrobe`.
        camera: Intrinsics.
    """

    def __init__(
        self, choreography: Choreography, tall: Array, colours: Array, camera: CameraModel
    ) -> None:
        self.colours = colours
        self._choreography, self._tall, self._camera = choreography, tall, camera

    def posed(self, number: int, pose: Pose) -> Posed:
        """Return who is there in frame `number`, as a camera at `pose` sees them."""
        c, tall = self._choreography, self._tall
        bodies = turned(joints(c.gesture(number)), c.heading[number]) * tall[:, None, None]
        ground = np.stack([c.x[number], 0 * tall, c.z[number]], axis=-1)
        seen = project(bodies + ground[:, None], pose, self._camera)
        feet = project(ground, pose, self._camera)
        middle = ground - np.stack([0 * tall, tall / 2, 0 * tall], axis=-1)
        across = self._camera.fx * 0.38 / np.maximum(feet[:, 2], 0.3)
        slant = np.clip(-pose.position[1] / np.maximum(feet[:, 2], 0.3), 0.08, 1)
        return Posed(
            ids=np.arange(1, len(tall) + 1),
            joints=seen,
            scale=tall[:, None] * self._camera.fx / np.maximum(seen[..., 2], 0.1),
            spots=np.column_stack([feet[:, :2], across, across * slant]),
            positions=(middle - pose.position) @ pose.rotation.T,
        )
