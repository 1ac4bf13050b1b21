"""Memory of one tracker over 100,000 frames, and replay of a set without images, end to end.

python benchmarks/endurance.py
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from sets import DATA, SETS

from mot_perception.cli.replay import replay
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import Detections, Frame

FRAMES = 100_000
OBJECTS = 20
PERIOD_NS = 33_333_333


def memory() -> None:
    """Print the peak memory as births and deaths go on."""
    rng = np.random.default_rng(0)
    tracker = SelfTrEncMotTracker()
    centre, velocity = rng.uniform(0, 1000, (OBJECTS, 2)), rng.normal(0, 3, (OBJECTS, 2))
    half, next_report, highest = np.array([20.0, 50.0]), 1000, 0
    for k in range(FRAMES + 1):
        if k == next_report:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f'{k:7d} frames: {peak:7.1f} MiB peak, {highest} identities so far')
            next_report *= 10
        centre += velocity
        gone = rng.random(OBJECTS) < 0.005
        centre[gone] = rng.uniform(0, 1000, (gone.sum(), 2))
        boxes = np.hstack([centre - half, centre + half])
        seen = rng.random(OBJECTS) > 0.05
        frame = Frame(k * PERIOD_NS, k, 1000, 1000)
        tracks = tracker.update(frame, Detections.of(boxes[seen], rng.uniform(0.3, 1, seen.sum())))
        highest = max(highest, int(tracks.tracks.id.max(initial=0)))


def replay_speed() -> None:
    """Print frames per second from `det.txt` to text, bag and report, without evaluation."""
    folder = DATA / SETS['dancetrack']
    if not folder.is_dir():
        print(f'{folder} is not there: no replay')
        return
    with tempfile.TemporaryDirectory() as scratch:
        for attempt in range(3):
            start = time.perf_counter()
            result = replay(
                folder,
                out=Path(scratch) / f'{attempt}',
                config='motion',
                evaluate=False,
                quiet=True,
            )
            spent = time.perf_counter() - start
            print(
                f'replay: {result.frames} frames in {spent:.1f} s, {result.frames / spent:.0f}/s'
            )


if __name__ == '__main__':
    memory()
    replay_speed()
