"""Perception that many trackers ask for in the same frame, computed for the first that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.perception.protocols import (
        AppearanceEncoder,
        DepthSegCue,
        MaskPropagator,
        ObjectMasks,
    )
    from mot_perception.types import Frame

LOOKS = 4
"""Calls that a cue remembers: now and one step back, of depth of either time."""


class MasksOnce:
    """Masks that are looked for once a frame, if all who ask give the same arrays.

    Args:
        masks: Who looks for them.
    """

    def __init__(self, masks: MaskPropagator) -> None:
        self._masks, self.name = masks, masks.name
        self._last: tuple[Frame, Frame, NDArray[np.float64], ObjectMasks] | None = None

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return the masks; see `MaskPropagator`."""
        if self._last is not None:
            before, now, boxes, seen = self._last
            if before is previous and now is current and boxes is xyxy:
                return seen
        seen = self._masks.step(previous, current, xyxy)
        self._last = previous, current, xyxy, seen
        return seen

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the masks of one frame; boxes are each tracker's own."""
        return self._masks.outline(frame, xyxy)

    def gpu_bytes(self) -> int:
        """Return the bytes of the masks' weights on a GPU."""
        return self._masks.gpu_bytes()

    def close(self) -> None:
        """Free the masks' memory."""
        self._masks.close()


class AppearanceOnce:
    """Appearance that is looked at once a frame.

    Args:
        appearance: Who looks at it.
    """

    def __init__(self, appearance: AppearanceEncoder) -> None:
        self._appearance, self.name = appearance, appearance.name
        self._last: tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float32]] | None
        self._last = None

    def embed(self, image: NDArray[np.uint8], xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the vectors; see `AppearanceEncoder`."""
        if self._last is not None and self._last[0] is image and self._last[1] is xyxy:
            return self._last[2]
        vectors = self._appearance.embed(image, xyxy)
        self._last = image, xyxy, vectors
        return vectors

    def gpu_bytes(self) -> int:
        """Return the bytes of its weights on a GPU."""
        return self._appearance.gpu_bytes()

    def close(self) -> None:
        """Free its memory."""
        self._appearance.close()


class CueOnce:
    """Depth × mask that is looked at once for the same masks over the same depth.

    Args:
        cue: Who looks at it.
    """

    def __init__(self, cue: DepthSegCue) -> None:
        self._cue, self.name = cue, cue.name
        self._looks: list[
            tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32], NDArray[np.bool_]]
        ] = []

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors; see `DepthSegCue`. What says something may be changed by others."""
        for looked_at, of, vectors, valid in self._looks:
            if of is masks and np.array_equal(looked_at, depth, equal_nan=True):
                return vectors, valid.copy()
        vectors, valid = self._cue.embed(depth, masks)
        self._looks = [(depth, masks, vectors, valid.copy()), *self._looks[: LOOKS - 1]]
        return vectors, valid

    def gpu_bytes(self) -> int:
        """Return the bytes of its weights on a GPU."""
        return self._cue.gpu_bytes()

    def close(self) -> None:
        """Free its memory."""
        self._cue.close()
