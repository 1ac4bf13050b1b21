"""Depth of one camera's frames, by an estimator that many share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.perception.depth_scale import SteadyScale
from mot_perception.perception.protocols import Depth
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.perception.protocols import DepthEstimator
    from mot_perception.types import Frame

OLDEST = 0.5
"""Seconds after which depth is estimated again, however few the frames were."""
FOCAL_RANGE = 0.1, 100.0
"""Focal lengths, in image widths, that lenses have; with others a camera is not calibrated."""


class DepthStream:
    """Estimates depth in every k-th frame; in between, the last image of depth is returned.

    A frame that is older than the estimate (a clock that jumped back, a bag that starts again) or
    of another size starts anew.

    Args:
        estimator: What sees depth in one image.
        every: The k, from 1.
        align: Scale each estimate to the one before; see `SteadyScale`.

    Attributes:
        age_ns: Nanoseconds from the frame in which depth was estimated to the last one.
    """

    def __init__(self, estimator: DepthEstimator, *, every: int = 1, align: bool = False) -> None:
        self._estimator = estimator
        self._every = every
        self._scale = SteadyScale() if align else None
        self.reset()

    def reset(self) -> None:
        """Forget what was seen; the next frame is looked at."""
        self.age_ns = 0
        self._depth: Depth | None = None
        self._stamp_ns = 0
        self._frames = 0
        if self._scale is not None:
            self._scale.reset()

    def estimate(self, frame: Frame) -> Depth | None:
        """Return the depth of a frame, of its image's size; None where there is no image.

        Raises:
            UserError: The estimator says what is wrong.
        """
        if frame.image is None:
            return None
        if not self._continues(frame, frame.image):
            self.reset()
        self._frames += 1
        self.age_ns = frame.stamp_ns - self._stamp_ns
        if (
            self._depth is None
            or self._frames >= self._every
            or self.age_ns > OLDEST * NANOSECONDS
        ):
            self._depth = self._look(frame, frame.image)
            self._stamp_ns, self._frames, self.age_ns = frame.stamp_ns, 0, 0
        return self._depth

    def _continues(self, frame: Frame, image: NDArray[np.uint8]) -> bool:
        """Return whether the frame may follow the one in which depth was estimated."""
        if self._depth is None:
            return True
        return frame.stamp_ns >= self._stamp_ns and self._depth.map.shape == image.shape[:2]

    def _look(self, frame: Frame, image: NDArray[np.uint8]) -> Depth:
        depth = self._estimator.estimate(image, focal_of(frame, image.shape[1]))
        if self._scale is None:
            return depth
        factor = self._scale.factor(depth.map, image, frame.stamp_ns)
        return Depth(depth.map * np.float32(factor), depth.metric)


def focal_of(frame: Frame, width: int) -> float | None:
    """Return the focal length in pixels of an image of this width, if it is known."""
    camera = frame.camera
    if camera is None or camera.width <= 0:
        return None
    widths = camera.fx / camera.width
    return widths * width if FOCAL_RANGE[0] <= widths <= FOCAL_RANGE[1] else None
