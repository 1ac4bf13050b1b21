"""Many trackers on the same frames, detections, depth, masks and looks; each is scored."""

from __future__ import annotations

import csv
import io
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import sem

from mot_perception.bags.rows import MotRows
from mot_perception.config import DepthSegConfig, DetectorConfig
from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.methods.selftrencmot import SelfTrEncMot
from mot_perception.models import load_models
from mot_perception.perception.depth_stream import DepthStream
from mot_perception.presence import RunningIds, counted
from mot_perception.training.ablation_cues import SEEDED
from mot_perception.training.ablation_once import AppearanceOnce, CueOnce, MasksOnce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mot_perception.bags.sequence import Item
    from mot_perception.config import Config
    from mot_perception.models import Models
    from mot_perception.training.ablation_cues import Cues
    from mot_perception.training.ablation_footage import Footage
    from mot_perception.training.ablation_rows import Row
    from mot_perception.types import Detections, Frame

METRICS = 'HOTA', 'AssA', 'IDF1'
PATIENCE = 30
"""Frames without depth from the start after which nobody waits for it any more."""


@dataclass(frozen=True)
class Score:
    """How one row did on one footage; rates in percent."""

    row: str
    footage: str
    seed: int
    frames: int
    HOTA: float
    AssA: float
    DetA: float
    IDF1: float
    IDSW: int


@dataclass(frozen=True)
class Summary:
    """A row over all footage and seeds.

    Attributes:
        row: Its name.
        runs: How many scores there are.
        mean: Mean of each of `METRICS`; every footage counts alike.
        gain: Mean difference to the baseline's score of the same footage.
        error: Standard error of this mean: standard deviation over the root of the runs.
    """

    row: str
    runs: int
    mean: dict[str, float]
    gain: dict[str, float]
    error: dict[str, float]


def models_for(config: Config, *, detect: bool) -> Models:
    """Load what all rows share: depth, masks and appearance; a detector if wanted.

    Raises:
        UserError: The configuration has no depth or masks, or `load_models` says what is wrong.
    """
    if config.depth.backend == 'none' or config.masks.backend == 'none':
        raise UserError(
            "depth.backend and masks.backend must be set for an ablation; such as 'topic' and "
            "'depth', or 'transformers' and 'sam2'"
        )
    update: dict[str, Any] = {'depthseg': DepthSegConfig()}
    if not detect:
        update['detector'] = DetectorConfig(backend='topic')
    return load_models(config.model_copy(update=update))


def ablate(
    footages: Iterable[Footage],
    rows: list[Row],
    config: Config,
    models: Models,
    cues: Cues,
    follow: Callable[[Iterable[Item], str, int | None], Iterable[Item]] = lambda items, *_: items,
) -> list[Score]:
    """Track all footage in all ways.

    Args:
        footages: One is looked at after the other.
        rows: The ways.
        config: Where depth and detections come from.
        models: Of `models_for`.
        cues: Has those of the rows.
        follow: Passes items on, given name and number; shows progress.

    Returns:
        One score for each row and footage, of recordings and rows in which something is random
        for each seed.

    Raises:
        UserError: Footage without depth, without detections, or that cannot be scored.
    """
    shared = replace(
        models,
        detector=None,
        depth=None,
        appearance=models.appearance and AppearanceOnce(models.appearance),
    )
    scores = []
    for footage in footages:
        once: dict[tuple[str, int], CueOnce] = {}
        known = footage.masks or models.masks
        masks = known and MasksOnce(known)
        lanes = [
            _Lane(row, seed, replace(shared, masks=masks, depthseg=_once(cues, row, seed, once)))
            for row in rows
            for seed in (footage.seeds if row.cue in SEEDED else footage.seeds[:1])
        ]
        scores += _scored(footage, lanes, config, models, follow)
    return scores


def summarise(scores: list[Score], baseline: str) -> list[Summary]:
    """Return each row's means and differences, in the order of the rows' first scores."""
    base = {score.footage: score for score in scores if score.row == baseline}
    summaries = []
    for name in dict.fromkeys(score.row for score in scores):
        of_row = [score for score in scores if score.row == name]
        mean, gain, error = {}, {}, {}
        for metric in METRICS:
            values = np.array([getattr(score, metric) for score in of_row])
            others = np.array([getattr(base[score.footage], metric) for score in of_row])
            mean[metric] = float(values.mean())
            gain[metric] = float((values - others).mean())
            error[metric] = float(sem(values - others)) if len(of_row) > 1 else 0.0
        summaries.append(Summary(name, len(of_row), mean, gain, error))
    return summaries


def to_csv(scores: list[Score]) -> str:
    """Return all scores, a line each, under a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Score.__annotations__), lineterminator='\n')
    writer.writeheader()
    for score in scores:
        values = asdict(score)
        writer.writerow(
            {key: f'{it:.4f}' if isinstance(it, float) else it for key, it in values.items()}
        )
    return text.getvalue()


class _Lane:
    """One tracker and its results."""

    def __init__(self, row: Row, seed: int, models: Models) -> None:
        self.row, self.seed = row, seed
        # Not a whole pipeline: frames come with depth, and nobody asks for positions in 3D.
        self._method = SelfTrEncMot(row.config, models, row.tracker(row.config.tracker))
        self._running = RunningIds()
        self._found: list[tuple[Any, Any, Any]] = []

    def step(self, frame: Frame, detections: Detections, number: int) -> None:
        """Track frame `number`, from 1."""
        tracked = self._method.step(frame, detections, lambda _: nullcontext()).tracked
        tracks = counted(tracked)
        ids = self._running(tracks.id, tracked.reset_count)
        self._found.append((np.full(len(tracks), number), ids, tracks.xyxy))

    def score(self, footage: str, truth: MotRows, frames: int) -> Score:
        """Return how well it did."""
        tracks = MotRows.of(*map(np.concatenate, zip(*self._found, strict=True)))
        it = evaluate([SequencePair(footage, truth, tracks, frames)]).combined
        return Score(
            self.row.name,
            footage,
            self.seed,
            frames,
            it.HOTA,
            it.AssA,
            it.DetA,
            it.IDF1,
            it.IDSW,
        )


def _once(cues: Cues, row: Row, seed: int, once: dict[tuple[str, int], CueOnce]) -> CueOnce | None:
    """Return the cue of a row; rows with the same one share what it says."""
    key = row.cue, seed if row.cue in SEEDED else 0
    if key not in once:
        cue = cues.get(row.cue, seed)
        if cue is None:
            return None
        once[key] = CueOnce(cue)
    return once[key]


def _scored(
    footage: Footage,
    lanes: list[_Lane],
    config: Config,
    models: Models,
    follow: Callable[[Iterable[Item], str, int | None], Iterable[Item]],
) -> list[Score]:
    """Run all lanes over a footage, frame by frame."""
    truths, number = [], 0
    items = follow(footage.items(), footage.name, footage.frames)
    for number, (item, frame, found) in enumerate(_seen(footage, items, config, models), 1):
        if item.ground_truth is not None:
            truth = item.ground_truth
            truths.append((np.full(len(truth.ids), number), truth.ids, truth.xyxy))
        for lane in lanes:
            lane.step(frame, found, number)
    if not number:
        raise UserError(f'{footage.name}: has no frames')
    rows = footage.truth
    if rows is None:
        rows = MotRows.of(*map(np.concatenate, zip(*truths, strict=True)))
    rows = rows.select(rows.frame <= number)
    return [lane.score(footage.name, rows, number) for lane in lanes]


def _seen(
    footage: Footage, items: Iterable[Item], config: Config, models: Models
) -> Iterator[tuple[Item, Frame, Detections]]:
    """Add depth and detections to each frame, if they do not come with it."""
    stream = None
    if models.depth is not None:
        stream = DepthStream(models.depth, every=config.depth.every, align=config.depth.align)
    deep, number = False, 0
    for number, item in enumerate(items, 1):
        frame = item.frame
        if stream is not None:
            depth = stream.estimate(frame)
            frame = replace(frame, depth=None if depth is None else depth.map)
        deep |= frame.depth is not None
        if number == PATIENCE and not deep:
            break
        yield item, frame, _detections(footage, item, models)
    if number and not deep:
        raise UserError(
            f'{footage.name}: no depth; give a bag with depth images, or --config with '
            'depth.backend transformers and images'
        )


def _detections(footage: Footage, item: Item, models: Models) -> Detections:
    if item.detections is not None:
        return item.detections
    if models.detector is None or item.frame.image is None:
        raise UserError(
            f'{footage.name}: neither detections nor images to look for them; give both, or '
            'add det/det.txt'
        )
    (found,) = models.detector.detect([item.frame.image])
    return found
