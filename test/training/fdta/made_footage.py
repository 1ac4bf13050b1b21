"""Footage without files: frames whose content says which they are."""

from __future__ import annotations

import numpy as np

from mot_perception.training.fdta.clip import View


class MadeFootage:
    """Frames of one grey value each, with objects that stand still, and depth 1, 2, … columns."""

    def __init__(self, name='made', frames=10, *, legal=None, size=(40, 64), boxes=None):
        self.name, self.period, self.size = name, 0.1, size
        self._legal = np.ones(frames, np.bool_) if legal is None else np.asarray(legal, np.bool_)
        self.boxes = np.array([[10.0, 8, 30, 32]]) if boxes is None else np.asarray(boxes, float)

    def __len__(self):
        return len(self._legal)

    def legal(self):
        return self._legal

    def view(self, number):
        height, width = self.size
        count = len(self.boxes)
        return View(
            np.full((height, width, 3), number, np.uint8),
            self.boxes,
            7 + 2 * np.arange(count),
            np.zeros(count, np.int64),
            np.tile(np.arange(1, width + 1, dtype=np.float32), (height, 1)),
        )
