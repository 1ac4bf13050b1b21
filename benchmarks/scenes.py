"""Frames per second of the synthetic scenes on one core.

    OMP_NUM_THREADS=1 python benchmarks/scenes.py

Each row is a scene of 640×360 with image, noisy depth, masks, boxes and visibility. The median of
the CPU time of single frames counts (other programs on the machine slow it down less than wall
time); compiling and making the scene are shown apart.
"""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING

import cv2

from mot_perception.scenes.scene import Scene, make_scene, scene_from_boxes

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = 200
WANTED = 60


def measure(name: str, make: Callable[[], Scene]) -> None:
    """Print one row."""
    start = time.process_time()
    scene = make()
    made = time.process_time() - start
    spent, wall = [], []
    for number in range(FRAMES):
        cpu, clock = time.process_time(), time.perf_counter()
        frame = scene[number]
        spent.append(time.process_time() - cpu)
        wall.append(time.perf_counter() - clock)
    cpu, clock = statistics.median(spent), statistics.median(wall)
    print(
        f'{name:<34}{len(frame.ids):>8}{1000 * made:>12.0f}'
        f'{1000 * cpu:>12.2f}{1000 * clock:>12.2f}{1 / cpu:>10.0f}'
        f'{"yes" if 1 / cpu >= WANTED else "NO":>8}'
    )


def boxes(figures: int) -> Scene:
    """Return a scene driven by boxes that walk to and fro."""
    walk = make_scene(figures=figures, frames=FRAMES, depth_noise=False)
    rows = [
        (n + 1, i, *b) for n, f in enumerate(walk) for i, b in zip(f.ids, f.boxes, strict=True)
    ]
    frame, ids, *corners = zip(*rows, strict=True)
    xyxy = list(zip(*corners, strict=True))
    return scene_from_boxes(frame, ids, xyxy, width=640, height=360, fps=30, frames=FRAMES)


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    start = time.perf_counter()
    for moving in (False, True):
        make_scene(frames=2, camera_motion=moving)[0]
    print(f'first frames, compiled or loaded: {time.perf_counter() - start:.1f} s\n')
    head = ('figures', 'make ms', 'CPU ms', 'wall ms', 'frames/s', f'>= {WANTED}')
    widths = (8, 12, 12, 12, 10, 8)
    cells = ''.join(f'{text:>{wide}}' for text, wide in zip(head, widths, strict=True))
    print(f'{"scene":<34}{cells}')
    for motion, moving in itertools.product(('walk', 'dance', 'sport'), (False, True)):
        measure(
            f'{motion}{", moving camera" if moving else ""}',
            lambda motion=motion, moving=moving: make_scene(
                motion=motion, figures=10, frames=FRAMES, camera_motion=moving
            ),
        )
    given = boxes(10)
    measure('from boxes', lambda: given)
    measure('walk', lambda: make_scene(figures=50, frames=FRAMES))


if __name__ == '__main__':
    main()
