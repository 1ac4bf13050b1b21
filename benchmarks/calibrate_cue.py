"""Weight and middle of each depth × mask cue, from how well it tells generated people apart.

    python benchmarks/calibrate_cue.py [ENCODER]

A logistic regression, on pairs that the association has to tell apart: a detection one step back,
and the last view of anybody whose box overlaps its box, up to ten frames ago; the same person or
another, both counted alike. Where its log odds are 0 is the cue's middle, and their slope times
`UNIT` is its weight. So every cue speaks in the same unit and none is favoured by its scale.
ENCODER: weights; else the shipped ones. None of these scenes is learned from or evaluated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from scipy.stats import rankdata
from train_depthseg_crop import filled

from mot_perception.boxes import iou
from mot_perception.config import ModelsConfig
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.resources import weights
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene
from mot_perception.training.ablation_cues import Cues
from mot_perception.training.scene_masks import SceneMasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.perception.protocols import DepthSegCue, ObjectMasks
    from mot_perception.scenes.scene import Scene

    Array = NDArray[np.float64]

CUES = 'trained', 'raw', 'untrained', 'depth only', 'mask only', 'trained, mask only'
SCENES = (
    ('dance', 12, 31_000),
    ('walk', 12, 31_001),
    ('sport', 12, 31_002),
    ('dance', 8, 31_003),
)
"""Motion, people and seed; each staged, and its boxes filled."""
FRAMES, FPS = 120, 20.0
LEAST_SCORE, SAME_PERSON, CANDIDATE, OLDEST = 0.6, 0.5, 0.05, 10
UNIT = 0.025
"""Overlap that is worth as much as odds of e; chosen on other generated scenes."""


def scenes() -> Iterator[tuple[Scene, int]]:
    """Yield the scenes and their seeds."""
    for motion, people, seed in SCENES:
        scene = make_scene(motion=motion, figures=people, frames=FRAMES, fps=FPS, seed=seed)
        yield scene, seed
        yield filled(scene, seed), seed


@dataclass
class Pairs:
    """Cosines of a cue, of the same people and of others, and the vectors that are waiting."""

    cue: DepthSegCue
    same: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    last: dict[int, tuple[int, Array, NDArray[np.float32]]] = field(default_factory=dict)

    def see(
        self,
        number: int,
        boxes: Array,
        owners: NDArray[np.int64],
        depths: tuple[NDArray[np.float32], NDArray[np.float32]],
        masks: ObjectMasks,
    ) -> None:
        """Compare the detections of a frame with the last view of others, and remember them."""
        past, valid = self.cue.embed(depths[0], masks.previous)
        now, said = self.cue.embed(depths[1], masks.current)
        good = np.flatnonzero(valid & said & masks.reliable & (owners > 0))
        recent = {k: it for k, it in self.last.items() if number - it[0] <= OLDEST}
        if recent and len(good):
            overlap = iou(boxes[good], np.array([it[1] for it in recent.values()]))
            cosine = past[good] @ np.array([it[2] for it in recent.values()]).T
            same = owners[good, None] == np.array(list(recent))
            self.same += cosine[same & (overlap > CANDIDATE)].tolist()
            self.other += cosine[~same & (overlap > CANDIDATE)].tolist()
        for row in good:
            self.last[int(owners[row])] = number, boxes[row], now[row]

    def fit(self) -> tuple[float, float, float]:
        """Return middle, slope, and the chance that the same is more alike than another."""
        values = np.array(self.same + self.other)
        sign = np.repeat([1.0, -1.0], [len(self.same), len(self.other)])
        share = np.repeat([0.5 / len(self.same), 0.5 / len(self.other)], [*map(len, self.sides)])

        def loss(line: Array) -> float:
            return float(share @ np.logaddexp(0, -sign * (line[0] * values + line[1])))

        slope, shift = minimize(loss, (5.0, -2.5)).x
        ranks = rankdata(values)[: len(self.same)].sum()
        wins = ranks - len(self.same) * (len(self.same) + 1) / 2
        return -shift / slope, slope, wins / len(self.same) / len(self.other)

    @property
    def sides(self) -> tuple[list[float], list[float]]:
        """The two lists."""
        return self.same, self.other


def look(scene: Scene, seed: int, found: dict[str, list[Pairs]]) -> None:
    """Let all cues see a scene, with either kind of masks."""
    detector, model = DetectorModel(seed), SceneMasks()
    model.begin(seed)
    kinds = {'mask model': model, 'depth': DepthConsistentMasks()}
    for pairs in chain(*found.values()):
        pairs.last.clear()
    before = None
    for number, shot in enumerate(scene):
        frame = shot.frame
        model.see(shot)
        boxes = detector(shot.boxes, shot.visibility, frame.width, frame.height, shot.ids)
        boxes = boxes.select(boxes.score > LEAST_SCORE).xyxy
        overlap = iou(boxes, shot.boxes)
        best = overlap.argmax(1)
        owners = np.where(overlap.max(1, initial=0) > SAME_PERSON, shot.ids[best], 0)
        depths = sample((before or frame).depth), sample(frame.depth)
        for kind, masks in kinds.items():
            seen = masks.step(before or frame, frame, boxes)
            for pairs in found[kind]:
                pairs.see(number, boxes, owners, depths, seen)
        before = frame


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else weights('depthseg_crop')
    cues = Cues(ModelsConfig(device='cpu'), file)
    found = {
        kind: [Pairs(cues.get(name, 9000)) for name in CUES] for kind in ('mask model', 'depth')
    }
    for scene, seed in scenes():
        look(scene, seed, found)
    columns = 'same', 'others', 'right order', 'middle', 'slope', 'weight'
    table = Table('masks', 'cue', *columns)
    for kind, of_kind in found.items():
        for name, pairs in zip(CUES, of_kind, strict=True):
            middle, slope, order = pairs.fit()
            numbers = f'{order:.3f}', f'{middle:.2f}', f'{slope:.1f}', f'{UNIT * slope:.2f}'
            table.add_row(kind, name, *(str(len(it)) for it in pairs.sides), *numbers)
    Console(width=110).print(table)


if __name__ == '__main__':
    main()
