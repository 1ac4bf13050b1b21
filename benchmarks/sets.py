"""The real sequences that benchmarks run on, and one way to track and score them.

They lie in `../shared/data` beside the checkout (or in $MOT_DATA) and are not part of the project.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.rows import MotRows
from mot_perception.bags.source import open_source
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.presence import counted
from mot_perception.scenes.detector_model import simulate_detections
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker

if TYPE_CHECKING:
    from mot_perception.bags.sequence import Sequence
    from mot_perception.evaluation.scores import SequenceScores
    from mot_perception.trackers.settings import TrackerConfig
    from mot_perception.types import Detections, Frame

DATA = Path(os.environ.get('MOT_DATA', Path(__file__).parents[2] / 'shared' / 'data'))
SETS = {
    'dancetrack': 'dancetrack/val',
    'mot17': 'mot17/val_half',
    'sportsmot': 'sportsmot/val',
}
MIN_AREA = 10
"""Pixels²: the benchmarks' own tools drop smaller boxes."""


@dataclass(frozen=True)
class Footage:
    """One sequence in memory: its frames with detections, and its ground truth."""

    name: str
    frames: list[tuple[Frame, Detections]]
    ground_truth: MotRows


def load(name: str, seed: int = 0) -> list[Footage]:
    """Return the sequences of a set; the detector model stands in where there are no detections.

    `sportsmot` has ground truth only: its detections are simulated, seeded by `seed`.
    """
    folder = DATA / SETS[name]
    if not folder.is_dir():
        sys.exit(f'{folder} is not there: these benchmarks need the real sequences')
    return [_footage(sequence, seed + k) for k, sequence in enumerate(open_source(folder))]


def _footage(sequence: Sequence, seed: int) -> Footage:
    items = list(sequence)
    if sequence.has_detections:
        detections = [item.detections for item in items]
    else:
        rows = list(sequence.ground_truth.by_frame(len(items)))
        detections = simulate_detections(
            [row.xyxy for row in rows],
            sequence.width,
            sequence.height,
            seed=seed,
            ids=[row.id for row in rows],
        )
    frames = [(item.frame, found) for item, found in zip(items, detections, strict=True)]
    return Footage(sequence.name, frames, sequence.ground_truth)


def track(footage: Footage, config: TrackerConfig, *, hidden: bool = True) -> MotRows:
    """Return what the tracker makes of a sequence, as rows of a results file.

    Args:
        footage: The sequence.
        config: Settings of the tracker.
        hidden: Whether safely hidden objects count as present.
    """
    tracker = SelfTrEncMotTracker(config)
    tracked = [tracker.update(frame, found) for frame, found in footage.frames]
    tracks = [counted(each) if hidden else each.tracks.confirmed() for each in tracked]
    return MotRows.of(
        np.repeat(np.arange(1, len(tracks) + 1), [len(t) for t in tracks]),
        np.concatenate([t.id for t in tracks]),
        np.concatenate([t.xyxy for t in tracks]),
        np.concatenate([t.score for t in tracks]),
    )


def score(footages: list[Footage], results: list[MotRows]) -> SequenceScores:
    """Return the combined scores of a set."""
    pairs = (
        SequencePair(footage.name, footage.ground_truth, rows, len(footage.frames))
        for footage, rows in zip(footages, results, strict=True)
    )
    return evaluate(pairs).combined
