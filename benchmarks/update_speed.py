"""Time of one update, beside roboflow/trackers' OC-SORT in the same run.

    python benchmarks/update_speed.py

A crowd of N objects at constant crowding, detector noise, 3 % misses, scores 0.3 … 1; one
thread. The trackers take turns frame by frame, so that whatever else the machine does slows all.
Medians; milliseconds of the processor, which others' work hardly changes; 'ratio' is how many
times faster than OC-SORT. FDTA's tracker is a network of the published size with random weights,
on embeddings that are made, without its detector. It would empty the others' caches, so it takes
turns with an OC-SORT of its own; 'ratio' is how many times slower it is.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv
from rich.console import Console
from rich.table import Table
from trackers import OCSORTTracker

from mot_perception.cli.bench import FDTA, fdta_embeddings, fdta_tracker
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.trackers.settings import TrackerConfig
from mot_perception.types import Detections, Embeddings, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mot_perception.trackers.fdta import FdtaTracker

OBJECTS = 10, 50, 100, 200, 500, 1000
FRAMES = 150
WARM_UP = 40
PERIOD_NS = 50_000_000
DIMENSIONS = 2048


def crowd(objects: int, seed: int = 0) -> Iterator[tuple[Detections, NDArray[np.bool_]]]:
    """Yield the detections of people who wander about a square, and who of them is seen."""
    rng = np.random.default_rng(seed)
    side = 160 * objects**0.5
    centre, velocity = rng.uniform(0, side, (objects, 2)), rng.normal(0, 3, (objects, 2))
    half = rng.uniform((20, 50), (30, 70), (objects, 2))
    for _ in range(FRAMES):
        velocity += rng.normal(0, 0.5, (objects, 2))
        velocity = np.where((centre < 0) | (centre > side), -velocity, velocity)
        centre = centre + velocity
        boxes = np.hstack([centre - half, centre + half]) + rng.normal(0, 1, (objects, 4))
        seen = rng.random(objects) > 0.03
        yield Detections.of(boxes[seen], rng.uniform(0.3, 1, seen.sum())), seen


def vectors(count: int, rng: np.random.Generator) -> Embeddings:
    """Return two cues of 2048 dimensions for each detection."""
    found = []
    for _ in range(3):
        new = rng.standard_normal((count, DIMENSIONS), np.float32)
        found.append(new / np.linalg.norm(new, axis=1, keepdims=True))
    return Embeddings(*found, np.ones(count, np.bool_))


def take_turns(frames: list[Detections], updates: list[Callable[[int], object]]) -> list[float]:
    """Return the median milliseconds of each update."""
    times: list[list[float]] = [[] for _ in updates]
    for k in range(len(frames)):
        for update, spent in zip(updates, times, strict=True):
            start = time.process_time()
            update(k)
            spent.append(time.process_time() - start)
    return [statistics.median(spent[WARM_UP:]) * 1e3 for spent in times]


def oc_sort(frames: list[Detections]) -> Callable[[int], object]:
    """Return the reference's update."""
    wrapped = [
        sv.Detections(f.xyxy.astype(np.float32), confidence=f.score.astype(np.float32))
        for f in frames
    ]
    tracker = OCSORTTracker()
    return lambda k: tracker.update(wrapped[k])


def frame_of(k: int) -> Frame:
    """Return frame k of a camera."""
    return Frame(k * PERIOD_NS, k, 1920, 1080)


def measure(objects: int) -> list[float]:
    """Return medians of OC-SORT, improved, release, and both with two cues."""
    frames = [found for found, _ in crowd(objects)]
    rng = np.random.default_rng(1)
    cues = [vectors(len(f), rng) for f in frames] if objects <= 200 else []

    def ours(preset: str, given: list[Embeddings]) -> Callable[[int], object]:
        tracker = SelfTrEncMotTracker(TrackerConfig(preset=preset))
        return lambda k: tracker.update(frame_of(k), frames[k], given[k] if given else None)

    updates = [oc_sort(frames), ours('improved', []), ours('release', [])]
    if cues:
        updates += [ours('improved', cues), ours('release', cues)]
    return take_turns(frames, updates)


def measure_fdta(tracker: FdtaTracker, objects: int) -> list[float]:
    """Return medians of OC-SORT and FDTA."""
    frames, seen = zip(*crowd(objects), strict=True)
    looks = [it.select(mask) for it, mask in zip(fdta_embeddings(objects), seen, strict=False)]
    tracker.reset()
    return take_turns(
        [*frames], [oc_sort([*frames]), lambda k: tracker.update(frame_of(k), frames[k], looks[k])]
    )


def main() -> None:
    """Print the tables."""
    start = time.perf_counter()
    tracker = SelfTrEncMotTracker()
    for k, (found, _) in enumerate(list(crowd(10))[:3]):
        tracker.update(frame_of(k), found)
    print(f'first three updates: {time.perf_counter() - start:.2f} s (compiling, or its cache)')
    table = Table(
        'objects', 'OC-SORT ms', 'improved', 'ratio', 'release', 'ratio',
        'improved + cues', 'ratio', 'release + cues', 'ratio',
    )  # fmt: skip
    for objects in OBJECTS:
        reference, *times = measure(objects)
        cells = [text for t in times for text in (f'{t:.3f}', f'{reference / t:.1f}')]
        table.add_row(f'{objects}', f'{reference:.3f}', *cells)
    console = Console(width=130)
    console.print(table)
    fdta = fdta_tracker()
    table = Table('objects', 'OC-SORT ms', FDTA, 'ratio')
    for objects in (10, 20, len(fdta.slots)):
        reference, spent = measure_fdta(fdta, objects)
        table.add_row(f'{objects}', f'{reference:.3f}', f'{spent:.1f}', f'{spent / reference:.0f}')
    console.print(table)


if __name__ == '__main__':
    one_thread = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    if one_thread.items() <= os.environ.items():
        main()
    else:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | one_thread)
