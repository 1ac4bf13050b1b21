"""Time to write what a tracker publishes of one frame.

    python benchmarks/messages.py

'ours' is the time from a tracked frame to bytes. The reference is rosbags' serialiser, which is
given the finished message: the time to build it out of a frame comes on top, and is in none of
its numbers but those of 'tracks by mapping', the way of messages with embeddings. Both take turns;
medians; milliseconds.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from mot_perception.messages.typestore import DETECTIONS, IMAGE, TRACKS, typestore
from mot_perception.runtime.annotations import image_annotations
from mot_perception.runtime.markers import Markers
from mot_perception.runtime.outputs import DebugImage, matched_detections, tracked_objects
from mot_perception.runtime.topics import ANNOTATIONS, MARKERS
from mot_perception.types import CameraModel, Frame, TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = 10, 100, 1000
ROUNDS = 60
WIDTH, HEIGHT = 1920, 1080
NAMES = 'person', 'bicycle', 'car', 'motorcycle', 'bus'


def crowd(objects: int) -> TrackedFrame:
    """Return a frame full of objects of all classes, all of them seen and placed in 3D."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, (WIDTH, HEIGHT), (objects, 2))
    ages, stamps = rng.integers(1, 999, objects), rng.integers(0, 2**60, objects)
    tracks = Tracks(
        id=np.arange(1, objects + 1),
        state=np.full(objects, TrackState.CONFIRMED, np.int8),
        xyxy=np.hstack([corner, corner + rng.uniform(20, 200, (objects, 2))]),
        score=rng.random(objects),
        association_score=rng.random(objects),
        label=rng.integers(0, len(NAMES), objects).astype(np.int32),
        detection=np.arange(objects),
        velocity=rng.normal(0, 90, (objects, 2)),
        age=ages,
        hits=ages,
        misses=np.zeros(objects, np.int64),
        first_seen_ns=stamps,
        last_seen_ns=stamps,
        depth=rng.uniform(1, 20, objects),
        depth_stddev=rng.random(objects),
        position=rng.uniform((-9, -2, 1), (9, 2, 20), (objects, 3)),
        linear_velocity=rng.normal(0, 1, (objects, 3)),
        position_covariance=rng.random((objects, 9)),
    )
    frame = Frame(
        1_700_000_000_000_000_007,
        0,
        WIDTH,
        HEIGHT,
        rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        camera=CameraModel(WIDTH, HEIGHT, 1400, 1400, 960, 540),
        frame_id='camera_optical_frame',
    )
    return TrackedFrame(frame, tracks, depth_is_metric=True)


def medians(calls: list[Callable[[], object]]) -> list[float]:
    """Return the median milliseconds of each call; they take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, spent in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
    return [statistics.median(spent[5:]) * 1e3 for spent in times]


def outputs(tracked: TrackedFrame) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Return the type of each output, and what writes it."""
    markers, debug_image = Markers(), DebugImage()
    nothing = [np.empty(0, np.float32)] * len(tracked.tracks)
    return {
        'tracks': (TRACKS, lambda: tracked_objects(tracked, NAMES)),
        'tracks by mapping': (TRACKS, lambda: tracked_objects(tracked, NAMES, nothing)),
        'detections': (DETECTIONS, lambda: matched_detections(tracked, NAMES)),
        'annotations': (ANNOTATIONS, lambda: image_annotations(tracked, NAMES)),
        'markers': (MARKERS, lambda: markers(tracked, NAMES)),
        'debug image 1080p': (IMAGE, lambda: debug_image(tracked)),
    }


def main() -> None:
    """Print the table."""
    table = Table('output', 'objects', 'kB', 'ours ms', 'rosbags ms', 'ratio')
    store = typestore()
    for objects in OBJECTS:
        for name, (msgtype, write) in outputs(crowd(objects)).items():
            data = write()
            message = store.deserialize_cdr(data, msgtype)

            def reference(message: object = message, msgtype: str = msgtype) -> object:
                return store.serialize_cdr(message, msgtype)

            ours, theirs = medians([write, reference])
            table.add_row(
                name, f'{objects}', f'{len(data) / 1e3:.0f}', f'{ours:.2f}', f'{theirs:.2f}',
                f'{theirs / ours:.1f}',
            )  # fmt: skip
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
