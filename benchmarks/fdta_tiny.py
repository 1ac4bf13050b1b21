"""How well the shipped FDTA sees and tracks rendered people that it has not learned from.

    python benchmarks/fdta_tiny.py [WEIGHTS]

Prints, of staged scenes that no training and no choice of weights looked at, and of scenes that
move as DanceTrack's ground truth (where ../shared/data is): average precision of the boxes, scores
of the tracks from pixels, and the share of different objects of a frame whose embeddings have a
cosine above 0.9.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mot_perception.config import load_config
from mot_perception.fdta.checkpoint import open_network
from mot_perception.fdta.detector import FdtaDetector
from mot_perception.resources import weights
from mot_perception.training.detector_images import Labelled
from mot_perception.training.detector_scores import score_detector
from mot_perception.training.fdta.scene_footage import refilled_footages, staged_footages
from mot_perception.training.fdta.scoring import score

FIRST, SCENES, FRAMES = 100, 6, 150
EVERY = 10
"""Frames from one whose boxes are scored to the next."""
DANCETRACK = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'dancetrack' / 'val'


def main() -> None:
    """Print the scores of a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('weights', nargs='?', default='fdta_tiny')
    torch.set_num_threads(1)
    file = weights(parser.parse_args().weights)
    network = open_network(file).eval()
    config = load_config('fdta').fdta
    for name, footages in sets(network.settings.shorter).items():
        print(name, json.dumps(boxes(network, footages), indent=1))
        tracks = score(network, footages, config)
        print(name, json.dumps({key: round(it, 2) for key, it in tracks.items()}, indent=1))


def sets(height: int) -> dict[str, list]:
    """Return what is looked at, rendered as high as the network sees it."""
    size = round(height * 16 / 9), height
    numbers = range(FIRST, FIRST + SCENES)
    found = {
        f'staged, {SCENES} scenes of {FRAMES} frames': staged_footages(
            numbers, size=size, orientation='depth', held_out=True, frames=FRAMES
        )
    }
    if DANCETRACK.is_dir():
        folders = sorted(path for path in DANCETRACK.iterdir() if path.is_dir())[:SCENES]
        found[f'moving as DanceTrack, {SCENES} sequences of {FRAMES} frames'] = [
            replace(it, peopled=it.peopled[:FRAMES])
            for it in refilled_footages(folders, height=height, orientation='depth')
        ]
    return found


def boxes(network: torch.nn.Module, footages: list) -> dict[str, float]:
    """Return how well boxes are found, and how alike their embeddings are."""
    detector = FdtaDetector(network)
    seen, found, alike = [], [], []
    for footage in footages:
        for number in range(0, len(footage), EVERY):
            view = footage.view(number)
            objects, embeddings = detector.detect(view.image)
            seen.append(Labelled(view.image, view.xyxy, np.empty((0, 4))))
            found.append(objects)
            alike.append(cosines(embeddings[objects.score > 0.3]))
    scores = score_detector(found, seen)
    values = np.concatenate(alike)
    return {
        'ap50': round(scores.ap50, 4),
        'ap': round(scores.ap, 4),
        'cosines of different objects above 0.9': round(float((values > 0.9).mean()), 4),
    }


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of N×D vectors."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


if __name__ == '__main__':
    main()
