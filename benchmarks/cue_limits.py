"""What limits depth × mask: how much it gains with each weight, and cues that know more.

    python benchmarks/cue_limits.py [ENCODER]

Generated scenes with masks of the mask model, as those of `calibrate_cue.py`, of other seeds; the
tracker with box IoU and colours alone, and with each cue. Two cues know the truth: whose each mask
is (most of its cells), and whose each detection is. The former is what a perfect encoder could do
with these masks, the latter what perfect masks and a perfect encoder could. Prints the mean
differences in HOTA and their standard errors. None of these scenes is learned from.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import sem
from train_depthseg_crop import filled

from mot_perception.bags.rows import MotRows
from mot_perception.boxes import iou
from mot_perception.config import ModelsConfig
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.perception.appearance import ColourStripes
from mot_perception.perception.grid import sample
from mot_perception.presence import RunningIds, counted
from mot_perception.resources import weights
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.trackers.settings import TrackerConfig
from mot_perception.training.ablation_cues import Cues
from mot_perception.training.ablation_rows import CALIBRATED
from mot_perception.training.scene_masks import SceneMasks
from mot_perception.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.perception.protocols import DepthSegCue, ObjectMasks
    from mot_perception.scenes.scene import Scene, SceneFrame
    from mot_perception.types import Detections

    Ids = NDArray[np.int64]

SCENES = [
    (motion, people, seed)
    for motion, people in (('dance', 10), ('walk', 12), ('sport', 12))
    for seed in (32_000, 32_001, 32_002)
]
"""Motion, people and seed; each staged, and its boxes filled."""
FRAMES, FPS = 250, 20.0
SAME_PERSON, LEAST_VISIBLE = 0.5, 0.1
MASKS, DETECTIONS = 'whose mask it is', 'whose detection it is'
SHARES = 0.5, 1.0, 2.0, 3.0, 4.5
"""Weights, as multiples of a cue's own."""


def scenes() -> Iterator[tuple[Scene, int]]:
    """Yield the scenes and their seeds."""
    for motion, people, seed in SCENES:
        scene = make_scene(motion=motion, figures=people, frames=FRAMES, fps=FPS, seed=seed)
        yield scene, seed
        yield filled(scene, seed), seed


class Lane:
    """One tracker and what it found.

    Args:
        cue: Whose vectors it is given.
        share: Weight, as a multiple of the cue's own.
    """

    def __init__(self, cue: str, share: float) -> None:
        usual = TrackerConfig()
        own = usual.depthseg_weight, usual.depthseg_middle
        weight, middle = CALIBRATED.get(cue, own)
        settings = TrackerConfig(depthseg_weight=share * weight, depthseg_middle=middle)
        self.cue, self.share = cue, share
        self._tracker, self._running, self._rows = SelfTrEncMotTracker(settings), RunningIds(), []

    def step(self, number: int, shot: SceneFrame, boxes: Detections, seen: Embeddings) -> None:
        """Track a frame, from 1."""
        tracked = self._tracker.update(shot.frame, boxes, seen)
        tracks = counted(tracked)
        ids = self._running(tracks.id, tracked.reset_count)
        self._rows.append((np.full(len(tracks), number), ids, tracks.xyxy))

    def hota(self, truth: MotRows) -> float:
        """Return the score."""
        rows = MotRows.of(*map(np.concatenate, zip(*self._rows, strict=True)))
        return evaluate([SequencePair('scene', truth, rows, FRAMES)]).combined.HOTA


def look(scene: Scene, seed: int, cues: dict[str, DepthSegCue]) -> dict[tuple[str, float], float]:
    """Return the HOTA of every cue and weight; ('', 0) is without."""
    detector, masks, looks = DetectorModel(seed), SceneMasks(), ColourStripes()
    masks.begin(seed)
    lanes = [Lane(cue, share) for cue in (*cues, MASKS, DETECTIONS) for share in SHARES]
    lanes.append(Lane('', 0))
    truth, before = [], None
    for number, shot in enumerate(scene, 1):
        frame = shot.frame
        masks.see(shot)
        boxes = detector(shot.boxes, shot.visibility, frame.width, frame.height, ids=shot.ids)
        colours = looks.embed(frame.image, boxes.xyxy)
        seen = masks.step((before or shot).frame, frame, boxes.xyxy)
        described = {'': Embeddings(colours)}
        for name, (past, now, valid) in views(
            cues, before or shot, shot, seen, boxes.xyxy
        ).items():
            described[name] = Embeddings(colours, now, past, valid)
        for lane in lanes:
            lane.step(number, shot, boxes, described[lane.cue])
        there = shot.visibility >= LEAST_VISIBLE
        truth.append((np.full(there.sum(), number), shot.ids[there], shot.boxes[there]))
        before = shot
    rows = MotRows.of(*map(np.concatenate, zip(*truth, strict=True)))
    return {(lane.cue, lane.share): lane.hota(rows) for lane in lanes}


def views(
    cues: dict[str, DepthSegCue],
    before: SceneFrame,
    now: SceneFrame,
    masks: ObjectMasks,
    xyxy: NDArray[np.float64],
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]]:
    """Return of every cue the vectors one step back and now, and which say something."""
    found = {}
    for name, cue in cues.items():
        past, known = cue.embed(sample(before.frame.depth), masks.previous)
        current, said = cue.embed(sample(now.frame.depth), masks.current)
        found[name] = past, current, known & said & masks.reliable
    past, current = (
        owners(it, sample(shot.masks.astype(np.float32)).astype(np.int64))
        for it, shot in ((masks.previous, before), (masks.current, now))
    )
    found[MASKS] = one_hot(past), one_hot(current), masks.reliable
    overlap = iou(xyxy, now.boxes)
    whose = np.where(overlap.max(1, initial=0) > SAME_PERSON, now.ids[overlap.argmax(1)], 0)
    found[DETECTIONS] = one_hot(whose), one_hot(whose), whose > 0
    return found


def owners(masks: NDArray[np.bool_], owner: Ids) -> Ids:
    """Return who has most cells of each mask, N; 0 for nobody."""
    cells = [owner[mask] for mask in masks]
    return np.array([np.bincount(it[it > 0], minlength=1).argmax() for it in cells], np.int64)


def one_hot(ids: Ids, most: int = 64) -> NDArray[np.float32]:
    """Return unit vectors, one direction an id; zero for nobody."""
    vectors = np.eye(most, dtype=np.float32)[ids]
    vectors[ids == 0] = 0
    return vectors


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else weights('depthseg_crop')
    made = Cues(ModelsConfig(device='cpu'), file)
    cues = {name: made.get(name, 9000) for name in ('trained', 'raw', 'untrained')}
    scores = [look(*it, cues) for it in track(scenes(), 'scenes', 2 * len(SCENES))]
    base = np.array([each['', 0] for each in scores])
    title = f'{len(scores)} scenes; without the cue HOTA {base.mean():.2f}'
    table = Table('cue', *(f'{share:g} × its weight' for share in SHARES), title=title)
    for name in (*cues, MASKS, DETECTIONS):
        gains = [np.array([it[name, share] for it in scores]) - base for share in SHARES]
        table.add_row(name, *(f'{it.mean():+.2f} ± {sem(it):.2f}' for it in gains))
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
