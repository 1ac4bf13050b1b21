"""The mask model as a `MaskPropagator`, for scenes while they are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.perception.disputed import undisputed
from mot_perception.perception.grid import GRID, sample
from mot_perception.perception.protocols import ObjectMasks
from mot_perception.scenes.mask_model import MaskModel, Silhouettes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.scenes.scene import SceneFrame
    from mot_perception.types import Frame


class SceneMasks:
    """Masks of scenes whose silhouettes are known, as `MaskModel` errs about them.

    Whoever renders the scene shows it each frame before somebody asks for its masks.
    """

    name = 'mask model'

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Begin a scene.

        Args:
            seed: Of the errors.
        """
        self._model = MaskModel(seed)
        self._seen: dict[int, Silhouettes] = {}

    def see(self, shot: SceneFrame) -> None:
        """Remember who is where in the next frame of the scene; two frames are remembered."""
        frame = shot.frame
        scale = np.tile([GRID[1] / frame.width, GRID[0] / frame.height], 2)
        owner = sample(shot.masks.astype(np.float32)).astype(np.uint16)
        latest = dict(list(self._seen.items())[-1:])
        silhouettes = Silhouettes(owner, shot.ids, shot.boxes * scale, shot.visibility)
        self._seen = {**latest, frame.index: silhouettes}

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return the masks; see `MaskPropagator`. Both frames are of the two latest seen."""
        scale = np.tile([GRID[1] / current.width, GRID[0] / current.height], 2)
        before, now = self._seen[previous.index], self._seen[current.index]
        seen, past = self._model(before, now, xyxy * scale)
        own = undisputed(seen, past, xyxy, current.width, current.height)
        return ObjectMasks(seen, past, own & seen.any((1, 2)) & past.any((1, 2)))

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the masks of one frame."""
        return self.step(frame, frame, xyxy).current

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""
