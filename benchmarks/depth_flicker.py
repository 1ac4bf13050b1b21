"""How much of the scale noise of a depth network `depth.align` takes away on rendered scenes.

    python benchmarks/depth_flicker.py

Ten people a scene, three seeds each, 30 frames/s. The true depth is multiplied by one factor per
frame (3 % from frame to frame) and by noise per pixel (2 %), as a network would see it. Of the
factor that is left on each estimate: standard deviation, from one estimate to the next, and the
largest ever. With every 5th frame there are 6 estimates a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from mot_perception.perception.depth_stream import DepthStream
from mot_perception.perception.protocols import Depth
from mot_perception.scenes.scene import make_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = 20, 21, 22
PEOPLE, FRAMES, SETTLED = 10, 240, 60
SCALE_NOISE, PIXEL_NOISE = 0.03, 0.02


class Flickering:
    """Returns the depth that it was shown, off by a factor that is another one each time."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.true = np.empty((0, 0), np.float32)
        self.factor = 1.0

    def estimate(self, image: NDArray[np.uint8], focal: float | None = None) -> Depth:
        """Return what is true, but for noise."""
        self.factor = float(np.exp(self._random.normal(0, SCALE_NOISE)))
        noise = self._random.standard_normal(self.true.shape, np.float32)
        off = np.exp(np.float32(PIXEL_NOISE) * noise) * np.float32(self.factor)
        return Depth(self.true * off, metric=True)


def factors(motion: str, seed: int, every: int, moving: bool) -> NDArray[np.float64]:
    """Return log factors K×2 of each estimate: as the network made it, and as it was left."""
    scene = make_scene(
        motion=motion,
        figures=PEOPLE,
        frames=FRAMES,
        width=320,
        height=180,
        seed=seed,
        camera_motion=moving,
        depth_noise=False,
    )
    network = Flickering(seed)
    stream = DepthStream(network, every=every, align=True)
    found = []
    for each in scene:
        network.true = each.frame.depth
        depth = stream.estimate(each.frame)
        if stream.age_ns == 0:
            left = float(np.median(np.log(depth.map / each.frame.depth)))
            found.append((np.log(network.factor), left))
    return np.array(found)[SETTLED // every :]


def main() -> None:
    """Print the table."""
    table = Table(title='scale of depth, % (network → aligned)')
    table.add_column('scene')
    for name in ('every', 'standard deviation', 'from one to the next', 'largest'):
        table.add_column(name, justify='right')
    rows = [
        (motion, moving, every)
        for motion in ('walk', 'dance', 'sport')
        for moving in (False, True)
        for every in (1, 5)
    ]
    for motion, moving, every in progress(rows):
        runs = [100 * factors(motion, seed, every, moving) for seed in SEEDS]
        spread = np.mean([run.std(0) for run in runs], 0)
        steps = np.mean([np.diff(run, axis=0).std(0) for run in runs], 0)
        largest = np.max([np.abs(run).max(0) for run in runs], 0)
        pairs = [f'{before:.2f} → {after:.2f}' for before, after in (spread, steps, largest)]
        camera = ', camera sways' if moving else ''
        table.add_row(f'{motion}{camera}', str(every), *pairs)
    Console(width=100).print(table)


if __name__ == '__main__':
    main()
