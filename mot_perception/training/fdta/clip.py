"""Clips: what FDTA learns from, before and after they become tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mot_perception.fdta.losses.detection_loss import Objects


@dataclass(frozen=True, slots=True)
class View:
    """One frame of a clip, with all M objects that are learned from.

    Attributes:
        image: uint8 H×W×3 BGR.
        xyxy: float64 M×4, pixels; within the image.
        ids: int64 M, each once.
        labels: int64 M, classes.
        depth: float32 H×W, pseudo-depth in [0, 255] of the orientation that the network learns,
            NaN where unknown; None: there are no labels of depth.
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float64]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    depth: NDArray[np.float32] | None


class Footage(Protocol):
    """A sequence that clips are cut from; it may be asked by several processes at once."""

    @property
    def name(self) -> str:
        """Name of the sequence, one of its own."""

    @property
    def period(self) -> float:
        """Seconds from frame to frame."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def legal(self) -> NDArray[np.bool_]:
        """Return which frames can be learned from, without reading images."""

    def view(self, number: int) -> View:
        """Return frame `number`, from 0.

        Raises:
            UserError: A file is missing or damaged: which.
        """


class Clip(NamedTuple):
    """T frames after augmentation, all of one size."""

    images: Tensor
    """uint8 (T, 3, H, W), RGB."""
    depth: Tensor | None
    """float32 (T, H, W), as `View.depth`."""
    objects: list[Objects]
    """Of each frame; boxes are shares of H and W, identities are the clip's own."""
    times: Tensor
    """float64 (T), from 0, in frame periods of the network's settings."""
