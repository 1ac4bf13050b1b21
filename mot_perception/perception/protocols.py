"""What the pipeline asks of models: small protocols, each with one method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.types import Detections, Frame


@dataclass(frozen=True, slots=True)
class Depth:
    """A depth image.

    Attributes:
        map: float32 H×W, larger is farther; 0 or NaN where unknown.
        metric: Whether the unit is metres; else only ratios mean something.
    """

    map: NDArray[np.float32]
    metric: bool


@dataclass(frozen=True, slots=True)
class ObjectMasks:
    """Where N objects are, on a grid of h×w cells that covers the whole frame.

    Attributes:
        current: bool N×h×w, the objects at t.
        previous: bool N×h×w, the same objects at t−1; equal rows belong together.
        reliable: bool N; False where too little is seen to tell who it is by its shape.
    """

    current: NDArray[np.bool_]
    previous: NDArray[np.bool_]
    reliable: NDArray[np.bool_]


class Model(Protocol):
    """Something with weights, perhaps on a GPU."""

    @property
    def name(self) -> str:
        """What it is and, by a hash, with which weights."""

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""


class Detector(Model, Protocol):
    """Finds boxes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of class 0, 1, …."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the boxes of each H×W×3 BGR image."""


class DepthEstimator(Model, Protocol):
    """Sees depth in one image."""

    def estimate(self, image: NDArray[np.uint8], focal: float | None = None) -> Depth:
        """Return the depth of an H×W×3 BGR image.

        Args:
            image: What is looked at.
            focal: Its focal length in pixels, where it is known: metres may depend on it.
        """


class MaskPropagator(Model, Protocol):
    """Outlines objects now and one step back."""

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks of the N objects whose boxes at t are `xyxy`; N in, N out, same order."""

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks N×h×w of the N objects with these boxes in one frame."""


class DepthSegCue(Model, Protocol):
    """Makes a vector of an object's outline and depth."""

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return N×E unit vectors, and which of them say something (bool N).

        Args:
            depth: h×w, 0 or NaN where unknown.
            masks: N×h×w, on the same grid.
        """


class AppearanceEncoder(Model, Protocol):
    """Describes how objects look."""

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return N×D unit vectors for the N boxes of an H×W×3 BGR image."""
