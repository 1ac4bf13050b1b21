"""Time to write what a tracker publishes of one frame.

    python benchmarks/messages.py

'ours' is the time from a tracked frame to bytes. The reference is rosbags' serialiser, which is
given the finished message: the time to build it out of a frame comes on top, and is in none of
its numbers. The second table is of the run lengths alone; their reference is pycocotools, which is
given each mask as a picture. Both take turns; medians; milliseconds of CPU time.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco
from rich.console import Console
from rich.table import Table

from mot_perception.messages.mapping import ObjectExtras
from mot_perception.messages.mask_rle import cells_of_pixels, run_lengths, track_runs
from mot_perception.messages.tracks_cdr import tracked_frame_to_cdr
from mot_perception.messages.typestore import DETECTIONS, IMAGE, TRACKS, typestore
from mot_perception.runtime.annotations import image_annotations
from mot_perception.runtime.markers import Markers
from mot_perception.runtime.outputs import DebugImage, mask_image, matched_detections
from mot_perception.runtime.topics import ANNOTATIONS, MARKERS
from mot_perception.types import CameraModel, Frame, TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OBJECTS = 10, 100, 1000
ROUNDS = 60
WIDTH, HEIGHT = 1920, 1080
GRID = 256
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
    return TrackedFrame(frame, tracks, depth_is_metric=True, masks=ellipses(tracks.xyxy))


def ellipses(xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return an ellipse in each box, on a grid as SAM 2 makes it."""
    cells = (np.arange(GRID) + 0.5) / GRID
    centre, half = (xyxy[:, :2] + xyxy[:, 2:]) / 2, (xyxy[:, 2:] - xyxy[:, :2]) / 2
    x = ((cells * WIDTH - centre[:, :1]) / half[:, :1]) ** 2
    y = ((cells * HEIGHT - centre[:, 1:]) / half[:, 1:]) ** 2
    inside: NDArray[np.bool_] = y[:, :, None] + x[:, None, :] < 1
    return inside


def medians(calls: list[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Return the median milliseconds of each call; they take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, spent in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            spent.append(time.process_time() - start)
    return [statistics.median(spent[rounds // 12 :]) * 1e3 for spent in times]


def outputs(tracked: TrackedFrame) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Return the type of each output, and what writes it."""
    markers, debug_image = Markers(), DebugImage()
    return {
        'tracks': (TRACKS, lambda: tracked_frame_to_cdr(tracked, NAMES)),
        'tracks with masks': (
            TRACKS,
            lambda: tracked_frame_to_cdr(tracked, NAMES, ObjectExtras(track_runs(tracked))),
        ),
        'mask image 1080p': (IMAGE, lambda: mask_image(tracked)),
        'detections': (DETECTIONS, lambda: matched_detections(tracked, NAMES)),
        'annotations': (ANNOTATIONS, lambda: image_annotations(tracked, NAMES)),
        'markers': (MARKERS, lambda: markers(tracked, NAMES)),
        'debug image 1080p': (IMAGE, lambda: debug_image(tracked)),
    }


def run_length_table() -> Table:
    """Return the time from masks to run lengths of 1080p."""
    table = Table('run lengths', 'objects', 'ours ms', 'pycocotools ms', 'ratio')
    pixels = cells_of_pixels(HEIGHT, GRID)[:, None], cells_of_pixels(WIDTH, GRID)
    for objects in OBJECTS[:2]:
        masks = ellipses(crowd(objects).tracks.xyxy)

        def ours(masks: NDArray[np.bool_] = masks) -> object:
            return run_lengths(masks, WIDTH, HEIGHT)

        def reference(masks: NDArray[np.bool_] = masks) -> object:
            return [coco.encode(np.asfortranarray(mask[pixels].view('u1'))) for mask in masks]

        fast, slow = medians([ours, reference], rounds=7)
        size = f'{GRID}×{GRID} to 1080p'
        table.add_row(size, f'{objects}', f'{fast:.2f}', f'{slow:.1f}', f'{slow / fast:.0f}')
    return table


def main() -> None:
    """Print the tables."""
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
    Console(width=100).print(table, run_length_table())


if __name__ == '__main__':
    main()
