"""Times of the tracker and of each stage around it, on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from mot_perception.types import NANOSECONDS, Detections, Embeddings, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mot_perception.config import Config
    from mot_perception.trackers.fdta import FdtaTracker

WIDTH, HEIGHT, FPS = 640, 360, 30
WARM_UP = 10
CONFIGS = 'motion', 'selftrencmot'
FDTA = 'fdta (published size, random weights)'
"""Its tracker alone: the detector that it belongs to is timed by `benchmarks/fdta_cost.py`."""
WIDTH_OF_EMBEDDINGS, NOISE = 256, 0.1
"""Channels; standard deviation of an object's from frame to frame, where that of all is 1."""
WINDOW = 30
"""Frames that FDTA's history holds; they are filled before a clock starts."""


@dataclass(frozen=True)
class BenchResult:
    """Median time of one stage.

    Attributes:
        config: Name of the shipped configuration.
        objects: Objects in each frame.
        stage: Name of the stage; 'step' is all of a frame.
        milliseconds: Median over frames.
    """

    config: str
    objects: int
    stage: str
    milliseconds: float


def bench(
    *,
    objects: Annotated[
        list[int] | None, typer.Option(min=1, max=10000, help='Objects a frame; repeatable.')
    ] = None,
    frames: Annotated[int, typer.Option(min=20, help='Frames that are timed.')] = 100,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> list[BenchResult]:
    """Time the tracker and the stages around it, 640×360 pixels, on this machine."""
    from mot_perception.config import load_config

    counts = objects or [10, 50, 100, 1000]
    configs = {name: load_config(name) for name in CONFIGS}
    results = [
        result
        for name, config in configs.items()
        for n in counts
        for result in _time(name, config, n, frames)
    ]
    if find_spec('torch') is not None:
        tracker = fdta_tracker()
        results += [_time_fdta(tracker, n, frames) for n in counts if n <= len(tracker.slots)]
    if not quiet:
        Console().print(_table(results))
    return results


def _time(name: str, config: Config, objects: int, frames: int) -> Iterator[BenchResult]:
    from mot_perception.pipeline import Pipeline

    pipeline = Pipeline(config)
    steps = [
        pipeline.step(frame, detections).processing_ns
        for frame, detections in _crowd(objects, frames + WARM_UP)
    ]
    for stage, times in {**pipeline.timings, 'step': steps}.items():
        yield BenchResult(name, objects, stage, float(np.median(list(times)[WARM_UP:])) / 1e6)


def _time_fdta(tracker: FdtaTracker, objects: int, frames: int) -> BenchResult:
    """Return the time of an update whose history is full."""
    tracker.reset()
    times, crowd = [], _crowd(objects, frames + WINDOW)
    for (frame, detections), embeddings in zip(crowd, fdta_embeddings(objects), strict=False):
        start = perf_counter()
        tracker.update(frame, detections, embeddings)
        times.append(perf_counter() - start)
    return BenchResult(FDTA, objects, 'association', float(np.median(times[WINDOW:])) * 1e3)


def fdta_tracker() -> FdtaTracker:
    """Return FDTA's tracker, its network as large as published, random but for a first guess.

    By that guess (`start_by_likeness`) objects stay who they are, so that histories are full.
    """
    import torch

    from mot_perception.fdta.likeness import start_by_likeness
    from mot_perception.fdta.network import Fdta
    from mot_perception.fdta.settings import improved
    from mot_perception.trackers.fdta import FdtaTracker

    torch.manual_seed(0)
    network = Fdta(improved()).eval()
    start_by_likeness(network, torch.randn(1000, WIDTH_OF_EMBEDDINGS))
    return FdtaTracker(network)


def fdta_embeddings(objects: int) -> Iterator[Embeddings]:
    """Yield what objects look like in each frame, without end: always much as before."""
    rng = np.random.default_rng(0)
    looks = rng.standard_normal((objects, WIDTH_OF_EMBEDDINGS), np.float32)
    while True:
        noise = rng.standard_normal(looks.shape, np.float32)
        yield Embeddings(looks + np.float32(NOISE) * noise)


def _crowd(objects: int, frames: int) -> Iterator[tuple[Frame, Detections]]:
    """Yield boxes that walk over noise: as crowded with a thousand objects as with ten."""
    rng = np.random.default_rng(0)
    extent = np.array([WIDTH, HEIGHT]) * np.sqrt(objects / 10)
    shape = HEIGHT, WIDTH
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    depth = rng.uniform(2, 8, shape).astype(np.float32)
    corner = rng.uniform(0, extent, (objects, 2))
    size = rng.uniform((20, 60), (50, 150), (objects, 2))
    velocity = rng.normal(0, 2, (objects, 2))
    for index in range(frames):
        corner = (corner + velocity) % extent
        seen = corner + rng.normal(0, 1, corner.shape)
        frame = Frame(index * NANOSECONDS // FPS, index, WIDTH, HEIGHT, image, depth)
        yield frame, Detections.of(np.hstack([seen, seen + size]), rng.uniform(0.6, 1, objects))


def _table(results: list[BenchResult]) -> Table:
    """Return one row a stage, one column per number of objects."""
    counts = sorted({result.objects for result in results})
    table = Table(title='Median milliseconds a frame, by the number of objects')
    table.add_column('configuration')
    table.add_column('stage')
    for count in counts:
        table.add_column(f'{count}', justify='right')
    times = {(r.config, r.stage, r.objects): r.milliseconds for r in results}
    for config, stage in dict.fromkeys((r.config, r.stage) for r in results):
        row = [times.get((config, stage, count)) for count in counts]
        table.add_row(config, stage, *('–' if it is None else f'{it:.2f}' for it in row))
    return table
