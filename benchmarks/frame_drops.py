"""What dropped frames cost: HOTA when a share of the frames never arrives, stamps kept.

    python benchmarks/frame_drops.py

Frames are dropped at random (seeded); only those that arrive are tracked and scored. 'by stamps'
and 'by frames' are the `improved` preset with either clock. Motion only.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table
from sets import Footage, load, score, track

from mot_perception.bags.rows import MotRows
from mot_perception.trackers.settings import TrackerConfig

SHARES = 0.0, 0.1, 0.3, 0.5, 0.7
CONFIGS = {
    'by stamps': TrackerConfig(),
    'by frames': TrackerConfig(clock='frames'),
    'OC-SORT (release, gate 0.3)': TrackerConfig(preset='release', gate=0.3, recovery_gate=0.3),
}


def thinned(footage: Footage, share: float, seed: int) -> Footage:
    """Return a sequence of which a share of the frames is missing; the rest is renumbered."""
    kept = np.random.default_rng(seed).random(len(footage.frames)) >= share
    number = np.append(0, np.cumsum(kept))
    truth = footage.ground_truth
    truth = truth.select(kept[np.minimum(truth.frame, len(kept)) - 1])
    rows = MotRows(
        number[truth.frame], truth.id, truth.xyxy, truth.score, truth.label, truth.consider
    )
    frames = [pair for pair, keep in zip(footage.frames, kept, strict=True) if keep]
    return Footage(footage.name, frames, rows)


def main() -> None:
    """Print one table a set."""
    for name in ('dancetrack', 'mot17', 'sportsmot'):
        whole = load(name)
        table = Table('HOTA', *(f'{share:.0%} dropped' for share in SHARES), title=name)
        rows: dict[str, list[str]] = {label: [] for label in CONFIGS}
        for share in SHARES:
            footages = [thinned(each, share, seed) for seed, each in enumerate(whole)]
            for label, config in CONFIGS.items():
                scores = score(footages, [track(each, config) for each in footages])
                rows[label].append(f'{scores.HOTA:.1f}')
        for label, cells in rows.items():
            table.add_row(label, *cells)
        Console().print(table)


if __name__ == '__main__':
    main()
