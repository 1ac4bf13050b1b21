"""Errors of positions in 3D on rendered scenes, beside plain back-projection of the same depths.

    python benchmarks/positions.py

True is the middle of each body. 'plain' puts the box centre at the frame's depth, 'filtered' is
what is published; both for objects that are seen with a depth. NEES is the squared error over its
covariance: for a perfect filter its median is 2.4, and 99.9 % are below 16.3. 'depth' is how far
the median depth lies before the middle of the body, 'spread' that of depth over its surface; both
medians. Simulated detector, depth sensor with noise and holes; every fifth frame of one scene in
three is lost, and the camera of another one moves. The lower half of the table is without masks.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from mot_perception.boxes import iou
from mot_perception.config import Config, load_config
from mot_perception.pipeline import Pipeline
from mot_perception.scenes.detector_model import DetectorModel
from mot_perception.scenes.scene import make_scene
from mot_perception.trackers.spatial import measure

if TYPE_CHECKING:
    from mot_perception.scenes.scene import Scene, SceneFrame
    from mot_perception.types import Tracks

SEEDS = 3
FRAMES = 240
SIZE = 640, 360


def scene_of(motion: str, seed: int) -> Scene:
    """Return a scene with lost frames, one with a moving camera, or a plain one."""
    return make_scene(
        motion=motion, figures=8, frames=FRAMES, width=SIZE[0], height=SIZE[1], seed=seed,
        drop_rate=0.2 * (seed == 1), camera_motion=seed == 2,
    )  # fmt: skip


def compare(item: SceneFrame, speeds: dict[int, np.ndarray], tracks: Tracks, rows: dict) -> None:
    """Add the errors of one frame to `rows`."""
    plain = measure(tracks.xyxy, tracks.depth, tracks.depth_stddev, item.frame.camera)
    overlap = iou(tracks.xyxy, item.boxes)
    for k in np.flatnonzero(overlap.max(1, initial=0) > 0.5):
        who = overlap[k].argmax()
        truth, error = item.positions[who], tracks.position[k] - item.positions[who]
        if not np.isfinite(error).all():
            continue
        covariance = tracks.position_covariance[k].reshape(3, 3)
        kind = 'unseen' if tracks.misses[k] else 'seen'
        if tracks.misses[k] or plain.usable[k]:
            rows[kind].append(np.linalg.norm(error))
            rows[f'NEES {kind}'].append(error @ np.linalg.solve(covariance, error))
        if plain.usable[k] and not tracks.misses[k]:
            rows['plain'].append(np.linalg.norm(plain.point[k] - truth))
            rows['before'].append(truth[2] - tracks.depth[k])
            rows['spread'].append(tracks.depth_stddev[k])
            if item.ids[who] in speeds and np.isfinite(tracks.linear_velocity[k]).all():
                rows['speed'].append(np.linalg.norm(speeds[item.ids[who]]))
                miss = tracks.linear_velocity[k] - speeds[item.ids[who]]
                rows['speed error'].append(np.linalg.norm(miss))


def measured(motion: str, config: Config) -> dict[str, np.ndarray]:
    """Track the scenes of a motion; return errors by what they are of."""
    rows: dict[str, list[float]] = defaultdict(list)
    for seed in range(SEEDS):
        detector, pipeline = DetectorModel(seed), Pipeline(config)
        items = list(scene_of(motion, seed))
        for k, item in enumerate(items):
            found = detector(item.boxes, item.visibility, *SIZE, item.ids)
            tracks = pipeline.step(item.frame, found).tracks
            before, after = items[max(k - 2, 0)], items[min(k + 2, len(items) - 1)]
            seconds = after.frame.stamp - before.frame.stamp
            places = dict(zip(before.ids.tolist(), before.positions, strict=True))
            speeds = {
                who: (place - places[who]) / seconds
                for who, place in zip(after.ids.tolist(), after.positions, strict=True)
                if who in places
            }
            compare(item, speeds, tracks, rows)
    return {name: np.array(values) for name, values in rows.items()}


def cells(found: dict[str, np.ndarray]) -> list[str]:
    """Return the numbers of one line of the table."""

    def errors(name: str) -> str:
        values = found[name]
        high = np.percentile(values, 95)
        return f'{np.median(values):.2f} {high:.2f} {np.sqrt((values**2).mean()):.2f}'

    nees = found['NEES seen']
    return [
        errors('plain'),
        errors('seen'),
        f'{np.median(nees):.1f}',
        f'{(nees < 16.3).mean():.1%}',
        f'{np.median(found["unseen"]):.2f}',
        f'{np.median(found["NEES unseen"]):.1f}',
        f'{np.median(found["speed error"]):.2f} of {np.median(found["speed"]):.2f}',
        f'{np.median(found["before"]):.2f}',
        f'{np.median(found["spread"]):.2f}',
    ]


def main() -> None:
    """Print the table."""
    table = Table(
        'scene', 'plain m\nmedian p95 rms', 'filtered m\nmedian p95 rms', 'NEES\nmedian', '< 16.3',
        'unseen m\nmedian', 'NEES\nmedian', 'speed error\nm/s', 'depth', 'spread',
    )  # fmt: skip
    full = load_config('selftrencmot')
    none = {'backend': 'none'}
    boxes = Config.model_validate(full.model_dump() | {'masks': none, 'depthseg': none})
    for name, config in (('masks', full), ('boxes', boxes)):
        for motion in ('walk', 'dance', 'sport'):
            table.add_row(f'{motion}, {name}', *cells(measured(motion, config)))
    Console(width=140).print(table)


if __name__ == '__main__':
    main()
