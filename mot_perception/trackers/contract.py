"""What every tracker of this package offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.types import Detections, Embeddings, Frame, TrackedFrame


class Tracker(Protocol):
    """Follows objects from frame to frame; two trackers in one process share nothing."""

    def update(
        self,
        frame: Frame,
        detections: Detections,
        embeddings: Embeddings | None = None,
        camera_motion: NDArray[np.float64] | None = None,
    ) -> TrackedFrame:
        """Step one frame; an empty frame is stepped like any other.

        Args:
            frame: Gives the time (`stamp_ns`); images are only read by end-to-end trackers.
            detections: N boxes; rows that are not `valid()` are never matched.
            embeddings: Cues of the same N rows, or None.
            camera_motion: 2×3 affine from pixels of the previous frame to pixels of this one.

        Returns:
            All live tracks, tentative and coasting ones too, each with its detection's row.
        """

    def reset(self) -> None:
        """Forget all tracks; ids start again at 1 and `reset_count` grows by one."""

    def appearance_of(self, ids: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return the appearance vector of each of these tracks, D; empty where there is none."""
