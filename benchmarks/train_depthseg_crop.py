"""Makes the encoder that the package ships, `depthseg_crop`: renders, extracts, trains.

    python benchmarks/train_depthseg_crop.py FOLDER

Twelve scenes of people in similar clothing who walk, dance and play, seen by an RGB-D camera with
noise and holes; boxes are those of the detector model, with the identity of the person they fit
best; masks are the pixels as deep as the object. None of these scenes is evaluated anywhere.
FOLDER gets the maps and the training; run it again to go on. What is shipped is
`FOLDER/run/encoder.safetensors`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from scipy.optimize import linear_sum_assignment

from mot_perception.bags.sequence import GroundTruth, Item, Sequence
from mot_perception.boxes import iou
from mot_perception.config import Config
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene
from mot_perception.training.extract import extract, models_for, store_for
from mot_perception.training.split import split
from mot_perception.training.store import open_store
from mot_perception.training.train_encoder import EncoderTraining, train_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

MOTIONS = 'dance', 'walk', 'sport'
SEEDS = 30_000, 30_001, 30_002, 30_003
PEOPLE = 6, 10, 16, 8
FRAMES, FPS = 300, 20.0
LEAST_SCORE, LEAST_OVERLAP = 0.5, 0.5
CONFIG = {
    'depth': {'backend': 'topic'},
    'masks': {'backend': 'depth'},
    'depthseg': {'backend': 'raw'},
}
TRAINING = {'epochs': 6, 'longest_gap': 8, 'seed': 0}


def items(motion: str, seed: int, people: int) -> Iterator[Item]:
    """Yield frames with the detector's boxes and whose they are."""
    detector = DetectorModel(seed)
    for shot in make_scene(motion=motion, figures=people, frames=FRAMES, fps=FPS, seed=seed):
        frame = shot.frame
        found = detector(shot.boxes, shot.visibility, frame.width, frame.height, shot.ids)
        found = found.select(found.score > LEAST_SCORE)
        overlap = iou(found.xyxy, shot.boxes)
        rows, columns = linear_sum_assignment(-overlap)
        good = overlap[rows, columns] >= LEAST_OVERLAP
        truth = GroundTruth(shot.ids[columns[good]], found.xyxy[rows[good]])
        yield Item(frame, found, truth)


def main() -> None:
    """Render and extract what is not there yet; train."""
    torch.set_num_threads(1)
    folder, console = Path(sys.argv[1]), Console()
    config = Config.model_validate(CONFIG)
    models = models_for(config, detect=False)
    store = store_for(folder / 'maps', config, models, 'cropped', 'truth', None)
    for motion in MOTIONS:
        for seed, people in zip(SEEDS, PEOPLE, strict=True):
            frames = partial(items, motion, seed, people)
            sequence = Sequence(f'{motion}-{seed}', FPS, 640, 360, None, True, True, [], frames)
            extract([sequence], store, config, models)
            console.print(sequence.name)
    data = split([open_store(folder / 'maps')], [], 'identity', TRAINING['seed'])
    settings = EncoderTraining.usual('improved', **TRAINING)
    run, command = folder / 'run', f'python {sys.argv[0]} FOLDER'
    resume = (run / 'checkpoint').is_dir()
    result = train_encoder(run, data, settings, device='cpu', resume=resume, command=command)
    console.print(result)


if __name__ == '__main__':
    main()
