"""What the cues that need no weights are worth on rendered scenes, beside motion alone.

    python benchmarks/cues.py

Ten people a scene, three motions, three seeds each, RGB-D with sensor noise, detections by the
detector model. 'spread' is the standard deviation over scenes of the difference to motion alone:
a mean difference below a third of it (nine scenes) says nothing.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from mot_perception.bags.rows import MotRows
from mot_perception.config import Config
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.pipeline import Pipeline
from mot_perception.presence import counted
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene

MOTIONS = 'walk', 'dance', 'sport'
SEEDS = 20, 21, 22
PEOPLE, FRAMES = 10, 300
STRIPES = {'appearance': {'backend': 'stripes'}}
DEPTHSEG = {
    'depth': {'backend': 'topic'},
    'masks': {'backend': 'depth'},
    'depthseg': {'backend': 'raw'},
}
CONFIGS = {
    'motion': {},
    '+ colour stripes': STRIPES,
    '+ depth × mask': DEPTHSEG,
    '+ both': STRIPES | DEPTHSEG,
}


def hota(motion: str, seed: int, same_clothing: bool) -> list[float]:
    """Return the HOTA of each configuration on one scene."""
    scene = make_scene(
        motion=motion, figures=PEOPLE, frames=FRAMES, seed=seed, same_clothing=same_clothing
    )
    detector = DetectorModel(seed)
    pipelines = [Pipeline(Config.model_validate(config)) for config in CONFIGS.values()]
    columns: list[list[tuple]] = [[] for _ in range(len(pipelines) + 1)]
    for each in scene:
        frame, number = each.frame, each.frame.index + 1
        shown = each.visibility > 0
        truth = each.ids[shown], each.boxes[shown]
        columns[0].append((np.full(shown.sum(), number), *truth))
        found = detector(each.boxes, each.visibility, frame.width, frame.height, each.ids)
        for pipeline, column in zip(pipelines, columns[1:], strict=True):
            tracks = counted(pipeline.step(frame, found))
            column.append((np.full(len(tracks), number), tracks.id, tracks.xyxy))
    truth, *results = (MotRows.of(*map(np.concatenate, zip(*c, strict=True))) for c in columns)
    return [
        evaluate([SequencePair('scene', truth, rows, FRAMES)]).combined.HOTA for rows in results
    ]


def main() -> None:
    """Print one table for the same, one for different clothing."""
    for same_clothing in (True, False):
        scenes = [(motion, seed) for motion in MOTIONS for seed in SEEDS]
        values = np.array([hota(*scene, same_clothing) for scene in progress(scenes)])
        gain = values - values[:, :1]
        name = 'the same clothing' if same_clothing else 'different clothing'
        table = Table(name, 'HOTA', 'to motion', 'spread')
        for k, label in enumerate(CONFIGS):
            table.add_row(
                label,
                f'{values[:, k].mean():.1f}',
                f'{gain[:, k].mean():+.1f}',
                f'{gain[:, k].std():.1f}',
            )
        Console().print(table)


if __name__ == '__main__':
    main()
