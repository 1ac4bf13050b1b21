"""Trains FDTA in many ways, and says how each tracks what it has not learned from."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.fdta.checkpoint import open_network
from mot_perception.perception.device import choose_device
from mot_perception.training.fdta.scoring import METRICS, score
from mot_perception.training.fdta.settings import changed
from mot_perception.training.fdta.train import train_fdta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mot_perception.training.fdta.ablation_rows import Row
    from mot_perception.training.fdta.clip import Footage
    from mot_perception.training.fdta.settings import FdtaTraining
    from mot_perception.training.run import Progress

SCORES = 'scores.json'
"""What a row's folder gets when it is done."""


@dataclass(frozen=True)
class Outcome:
    """How one row did with one seed; `METRICS` by name."""

    row: str
    seed: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """A row over all seeds; `METRICS` by name.

    Attributes:
        row: Its name.
        seeds: How many.
        mean: Over seeds.
        spread: Standard deviation over seeds; NaN of one.
        gain: Mean difference to the baseline with the same seed.
    """

    row: str
    seeds: int
    mean: dict[str, float]
    spread: dict[str, float]
    gain: dict[str, float]


def ablate(
    out: Path,
    rows: Sequence[Row],
    seeds: Sequence[int],
    open_footages: Callable[[FdtaTraining], tuple[Sequence[Footage], Sequence[Footage]]],
    *,
    detector: Path | None = None,
    device: str = 'auto',
    workers: int = 0,
    progress: Callable[[str], Callable[[Progress], None]] = lambda _: lambda _: None,
) -> list[Outcome]:
    """Train and score all rows with all seeds; what is done already is not done again.

    Args:
        out: Each row and seed gets a folder in it.
        rows: The ways.
        seeds: Of weights and clips.
        open_footages: Gives what a training learns from, and what is held out.
        detector: Weights that all start from; what they know nothing of is new.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        workers: Processes that read clips.
        progress: Given a name, gives what is called after each step.

    Raises:
        UserError: As `train_fdta`, or a folder holds another training.
    """
    outcomes = []
    for seed in seeds:  # a whole table first, its spread later
        for row in rows:
            folder = out / f'{row.name}-{seed}'
            training = changed(row.training, seed=seed)
            learned, held_out = open_footages(training)
            train_fdta(
                folder,
                training,
                learned,
                detector=detector,
                device=device,
                workers=workers,
                resume=True,
                on_step=progress(f'{row.name}, seed {seed}'),
            )
            outcomes.append(Outcome(row.name, seed, _scores(folder, row, held_out, device)))
    return outcomes


def _scores(folder: Path, row: Row, held_out: Sequence[Footage], device: str) -> dict[str, float]:
    """Return the scores of a trained row, from the folder if they are known."""
    file = folder / SCORES
    about = {
        'tracker': row.training.tracker.model_dump(mode='json'),
        'of': [it.name for it in held_out],
    }
    if file.is_file():
        known = json.loads(file.read_bytes())
        if {name: known.get(name) for name in about} == about:
            return {name: float(known['scores'][name]) for name in METRICS}
    network = open_network(folder / 'fdta.safetensors', choose_device(device))
    scores = score(network, held_out, row.training.tracker)
    part = file.with_suffix('.part')
    part.write_text(json.dumps({**about, 'scores': scores}, indent=1), 'utf-8')
    part.replace(file)
    return scores


def summarise(outcomes: Sequence[Outcome], baseline: str) -> list[Summary]:
    """Return each row's means, spreads and gains, in the order of the rows."""
    base = {outcome.seed: outcome.scores for outcome in outcomes if outcome.row == baseline}
    summaries = []
    for row in dict.fromkeys(outcome.row for outcome in outcomes):
        of_row = [outcome for outcome in outcomes if outcome.row == row]
        values = {name: np.array([it.scores[name] for it in of_row]) for name in METRICS}
        others = {name: np.array([base[it.seed][name] for it in of_row]) for name in METRICS}
        several = len(of_row) > 1
        summaries.append(
            Summary(
                row,
                len(of_row),
                {name: float(it.mean()) for name, it in values.items()},
                {
                    name: float(it.std(ddof=1)) if several else np.nan
                    for name, it in values.items()
                },
                {name: float((it - others[name]).mean()) for name, it in values.items()},
            )
        )
    return summaries


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """Return all scores, a line each, under a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['row', 'seed', *METRICS])
    for it in outcomes:
        writer.writerow([it.row, it.seed, *(f'{it.scores[name]:.4f}' for name in METRICS)])
    return text.getvalue()
