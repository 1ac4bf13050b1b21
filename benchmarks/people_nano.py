"""How well a detector's weights see rendered people that it has not learned from, and real ones.

    python benchmarks/people_nano.py [WEIGHTS] [192x320 256x416 …]

Without weights those that the package ships. Rendered: 240 frames of 60 scenes that are neither
learned from nor scored while training. Real: every fifth frame of TUD-Stadtmitte and KITTI-17,
where these are (see `sets.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from sets import DATA

from mot_perception.bags.motchallenge import open_motchallenge
from mot_perception.resources import weights
from mot_perception.training.detector_images import Labelled, held_out_frames
from mot_perception.training.train_detector import detector_scores

FIRST_SCENE, FRAMES, PER_SCENE = 21_000, 240, 4
EVERY = 5
INPUTS = '192x320', '256x416', '416x416'
COLUMNS = 'AP at 0.5', 'AP 0.5:0.95', 'precision from 0.6', 'recall from 0.6', 'recall from 0.8'


def real(folder: Path) -> list[Labelled]:
    """Return every fifth frame of a sequence with the people in it."""
    seen = []
    sequence = open_motchallenge(folder, score_range=(-1, 140))  # its own detector's, not used
    for number, item in enumerate(sequence.frames()):
        if number % EVERY == 0 and item.frame.image is not None and item.ground_truth is not None:
            xyxy = item.ground_truth.xyxy
            seen.append(Labelled(item.frame.image, xyxy, xyxy[:0]))
    return seen


def main(arguments: list[str]) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    inputs = [it for it in arguments if it[0].isdigit()] or list(INPUTS)
    file = next((Path(it) for it in arguments if not it[0].isdigit()), weights('people_nano'))
    sets = {'rendered': held_out_frames(FIRST_SCENE, FRAMES, PER_SCENE)}
    for name in ('TUD-Stadtmitte', 'KITTI-17'):
        if (folder := DATA / 'frames' / name).is_dir():
            sets[name] = real(folder)
    table = Table('images', 'input', *COLUMNS, title=file.name)
    for name, images in sets.items():
        for text in inputs:
            height, width = map(int, text.split('x'))
            scores = detector_scores(file, height, width, images, 'cpu')
            table.add_row(name, text, *(f'{value:.4f}' for value in scores))
    Console(width=120).print(table)


if __name__ == '__main__':
    main(sys.argv[1:])
