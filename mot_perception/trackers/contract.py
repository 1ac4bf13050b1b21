"""What every tracker of this package offers: `update` and `reset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.trackers.settings import TrackerConfig
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

    def reconfigure(self, config: TrackerConfig) -> None:
        """Go on with other settings, all tracks kept.

        Raises:
            UserError: A setting differs that cannot change while the tracker runs.
        """

    def seen_boxes(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows and boxes (K×4, the filter's) of the tracks seen in the latest frame."""

    def learn_depthseg(
        self,
        rows: NDArray[np.int64],
        vectors: NDArray[np.float32],
        valid: NDArray[np.bool_],
    ) -> None:
        """Teach the tracks in `rows` of `seen_boxes` depth-segmentation vectors.

        Args:
            rows: K, before the next `update`.
            vectors: K×E unit vectors.
            valid: bool K; the others become unknown.
        """

    def appearance_of(self, ids: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return the appearance vector of each of these tracks, D; empty where there is none."""
