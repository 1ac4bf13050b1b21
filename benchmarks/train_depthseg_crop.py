"""Makes the encoder that the package ships, `depthseg_crop`: renders, extracts, trains.

    python benchmarks/train_depthseg_crop.py FOLDER

Scenes of people in similar clothing who walk, dance and play, seen by an RGB-D camera with noise
and holes: staged in 3D, and the boxes of other ones filled by people, as real motion is. Boxes are
those of the detector model, with the identity of the person they fit best. Each scene is looked
at with masks of the mask model, and once more with the pixels as deep as the object. None of these
scenes is evaluated anywhere else. FOLDER gets the maps and the training; run it again to go on.
What is shipped is `FOLDER/run/encoder.safetensors`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from scipy.optimize import linear_sum_assignment

from mot_perception.bags.sequence import GroundTruth, Item, Sequence
from mot_perception.boxes import iou
from mot_perception.config import Config
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene, scene_from_boxes
from mot_perception.training.extract import extract, models_for, store_for
from mot_perception.training.scene_masks import SceneMasks
from mot_perception.training.split import split
from mot_perception.training.store import open_store
from mot_perception.training.train_encoder import EncoderTraining, train_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.perception.protocols import ObjectMasks
    from mot_perception.scenes.scene import Scene
    from mot_perception.types import Frame

MOTIONS = 'dance', 'walk', 'sport'
STAGED = {30_000: 6, 30_001: 10, 30_002: 16, 30_003: 8}
"""Seeds of staged scenes and how many people are in them."""
FILLED = {30_004: 14, 30_005: 9}
"""The same of scenes whose boxes are filled."""
HELD_OUT = 30_003, 30_005
"""Those that nothing is learned from."""
FRAMES, FPS = 170, 20.0
LEAST_SCORE, LEAST_OVERLAP = 0.5, 0.5
CONFIG = {
    'depth': {'backend': 'topic'},
    'masks': {'backend': 'depth'},
    'depthseg': {'backend': 'raw'},
}
TRAINING = {'epochs': 5, 'batch': 32, 'longest_gap': 3, 'seed': 0}


class EitherMasks:
    """A `MaskPropagator` that is one of two."""

    name = 'depth, and the mask model'

    def __init__(self) -> None:
        self.model = SceneMasks()
        self.chosen: DepthConsistentMasks | SceneMasks = self.model

    def choose(self, *, modelled: bool) -> None:
        """Take the mask model or depth."""
        self.chosen = self.model if modelled else DepthConsistentMasks()

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return masks at t and t−1 of the objects with boxes `xyxy` at t."""
        return self.chosen.step(previous, current, xyxy)

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks of the objects with these boxes in one frame."""
        return self.chosen.outline(frame, xyxy)

    def gpu_bytes(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def scene_of(motion: str, seed: int) -> Scene:
    """Return a scene, staged or filled."""
    people = {**STAGED, **FILLED}[seed]
    scene = make_scene(motion=motion, figures=people, frames=FRAMES, fps=FPS, seed=seed)
    return filled(scene, seed) if seed in FILLED else scene


def filled(scene: Scene, seed: int) -> Scene:
    """Return a scene in which other people fill the boxes of a scene."""
    shots = [(number, shot.ids, shot.boxes) for number, shot in enumerate(scene, 1)]
    width, height = scene.camera.width, scene.camera.height
    return scene_from_boxes(
        np.concatenate([np.full(len(ids), number) for number, ids, _ in shots]),
        np.concatenate([ids for _, ids, _ in shots]),
        np.concatenate([boxes for _, _, boxes in shots]),
        width=width,
        height=height,
        fps=scene.fps,
        frames=len(scene),
        seed=seed,
    )


def items(motion: str, seed: int, masks: EitherMasks) -> Iterator[Item]:
    """Yield frames with the detector's boxes and whose they are."""
    detector = DetectorModel(seed)
    masks.model.begin(seed)
    for shot in scene_of(motion, seed):
        masks.model.see(shot)
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
    config, masks = Config.model_validate(CONFIG), EitherMasks()
    models = replace(models_for(config, detect=False), masks=masks)
    learned, held_out = (
        store_for(folder / name, config, models, 'cropped', 'truth', None)
        for name in ('maps', 'held-out')
    )
    for modelled in (True, False):
        masks.choose(modelled=modelled)
        for motion in MOTIONS:
            for seed in (*STAGED, *FILLED):
                name = f'{motion}-{seed}-{masks.chosen.name.replace(" ", "-")}'
                frames = partial(items, motion, seed, masks)
                sequence = Sequence(name, FPS, 640, 360, None, True, True, [], frames)
                store = held_out if seed in HELD_OUT else learned
                extract([sequence], store, config, models)
                console.print(sequence.name)
    stores = ([open_store(folder / name)] for name in ('maps', 'held-out'))
    data = split(*stores, 'identity', TRAINING['seed'])
    settings = EncoderTraining.usual('improved', **TRAINING)
    run, command = folder / 'run', f'python {sys.argv[0]} FOLDER'
    resume = (run / 'checkpoint').is_dir()
    result = train_encoder(run, data, settings, device='cpu', resume=resume, command=command)
    console.print(result)


if __name__ == '__main__':
    main()
