"""Depth × mask with real masks and real depth: how alike vectors are, and what trackers gain.

    python benchmarks/real_masks.py

KITTI-17: real masks of 9 people, depth from their 3D labels (`kitti_masks.py`: flat people on a
flat ground). The masks one step back are an oracle: the same person's real mask of then, where a
network has to follow it; so a tracker compares a vector with the very same one.

Kinect: one person in 30 frames, real depth with holes, masks by `DepthConsistentMasks` beside the
real ones.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from kitti_masks import FPS, RealMasks, crowded, jittered, read_kitti
from rich.console import Console
from rich.table import Table
from sets import DATA

from mot_perception.bags.mot import read_mot
from mot_perception.bags.rows import MotRows
from mot_perception.config import Config
from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.depthseg.encoder import DepthSegEncoder
from mot_perception.depthseg.full_frame_autoencoder import FullFrameAutoencoder
from mot_perception.depthseg.fusion import RawMap
from mot_perception.depthseg.similarity import Similarity, similarity_sums
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.models import Models
from mot_perception.perception.depth import object_depth
from mot_perception.perception.grid import GRID, sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.pipeline import Pipeline
from mot_perception.presence import counted
from mot_perception.resources import weights
from mot_perception.types import NANOSECONDS, Detections, Frame

if TYPE_CHECKING:
    from pathlib import Path

    from kitti_masks import Labelled
    from numpy.typing import NDArray

    from mot_perception.evaluation.scores import SequenceScores
    from mot_perception.perception.protocols import DepthSegCue

SHIPPED = 'depthseg_crop'
CROWDED = 0.3
GAPS = 1, 10
SEEDS = 0, 1, 2
JITTER = 0.05
ACF_SCORES = 0.0, 60.0
"""What is mapped to 0 … 1 of the scores in `det.txt`."""
COLUMNS = 'HOTA', 'AssA', 'DetA', 'IDF1', 'IDSW'
CUE = {
    'detector': {'backend': 'topic'},
    'depth': {'backend': 'topic'},
    'masks': {'backend': 'depth'},
    'depthseg': {'backend': 'raw'},
}
"""Which settings a pipeline needs to use masks and vectors; ours are handed to it."""


class Untrained:
    """A network with random weights as a `DepthSegCue`."""

    def __init__(self, network: CropAutoencoder | FullFrameAutoencoder) -> None:
        self.name = f'untrained {type(network).__name__}'
        self._network = network.eval()

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors of N masks (N×h×w) over a depth (h×w)."""
        with torch.inference_mode():
            shown = self._network.represent(torch.tensor(depth), torch.tensor(masks))
            vectors = self._network.encode(shown.maps, shown.place)
            vectors = torch.where(shown.seen[:, None], vectors, 0)
        return vectors.numpy(), shown.seen.numpy()

    def gpu_bytes(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def cues(*, large: bool) -> dict[str, DepthSegCue]:
    """Return what is compared; the shipped encoder only where it is there."""
    torch.manual_seed(0)
    found: dict[str, DepthSegCue] = {
        'raw map': RawMap(),
        'crop, untrained': Untrained(CropAutoencoder()),
    }
    if large:
        found['full frame, untrained'] = Untrained(FullFrameAutoencoder())
    if (file := weights(SHIPPED)).is_file():
        found['crop, shipped'] = DepthSegEncoder(str(file), device='cpu')
    return found


def alike(frames: list[Labelled], cue: DepthSegCue, gap: int) -> tuple[Similarity, Similarity]:
    """Return how alike vectors `gap` frames apart are: of everybody, and of the crowded ones.

    Of the crowded ones only these are there to be mistaken for.
    """
    vectors = [
        dict(zip(each.ids.tolist(), cue.embed(each.frame.depth, each.masks)[0], strict=True))
        for each in frames
    ]
    sums = [torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)]
    for t, each in enumerate(frames[gap:], gap):
        for only, total in zip((None, CROWDED), sums, strict=True):
            shown = each.masks.any((1, 2))
            if only is not None:
                shown &= crowded(each.boxes, only)
            both = [
                (vectors[t][k], vectors[t - gap][k])
                for k in each.ids[shown].tolist()
                if np.any(vectors[t - gap].get(k, 0))
            ]
            if both:
                now, then = (torch.tensor(np.array(side)) for side in zip(*both, strict=True))
                total += similarity_sums(now, then, torch.zeros(len(both), dtype=torch.long))
    return Similarity.of(sums[0]), Similarity.of(sums[1])


def print_alike(grid: tuple[int, int]) -> None:
    """Print how well vectors tell the people of KITTI-17 apart."""
    frames = read_kitti(DATA / 'kitti_0017', grid=grid)
    title = f'KITTI-17, real masks on {grid[0]}×{grid[1]} cells'
    table = Table('', 'frames apart', 'who', 'objects', *_SIMILARITY, title=title)
    for label, cue in cues(large=True).items():
        for gap in GAPS:
            found = zip(('all', f'IoU > {CROWDED}'), alike(frames, cue, gap), strict=True)
            for who, said in found:
                values = said.match, said.hardest, said.margin, said.different
                cells = (f'{value:.3f}' for value in values)
                rank1 = f'{100 * said.rank1:.1f} %'
                table.add_row(label, str(gap), who, str(said.objects), *cells, rank1)
    Console(width=110).print(table)


_SIMILARITY = 'match', 'hardest', 'margin', 'others', 'rank 1'


def track(
    frames: list[Labelled], found: list[Detections], cue: DepthSegCue | None, weight: float | None
) -> MotRows:
    """Return what the whole pipeline makes of a sequence; frames are counted from 1."""
    settings = {} if weight is None else {'depthseg_weight': weight}
    config = Config.model_validate({'tracker': settings, **(CUE if cue else {})})
    models = Models(masks=RealMasks(frames), depthseg=cue) if cue else Models()
    pipeline = Pipeline(config, models)
    columns = []
    for number, (each, boxes) in enumerate(zip(frames, found, strict=True), 1):
        tracks = counted(pipeline.step(each.frame, boxes))
        columns.append((np.full(len(tracks), number), tracks.id, tracks.xyxy))
    return MotRows.of(*map(np.concatenate, zip(*columns, strict=True)))


def scored(truth: MotRows, tracks: MotRows, length: int) -> list[float]:
    """Return the scores of `COLUMNS`."""
    scores: SequenceScores = evaluate([SequencePair('KITTI-17', truth, tracks, length)]).combined
    return [float(getattr(scores, column)) for column in COLUMNS]


def labelled_rows(frames: list[Labelled]) -> MotRows:
    """Return the people as ground truth, frames counted from 1."""
    return MotRows.of(
        np.repeat(np.arange(1, len(frames) + 1), [len(each.ids) for each in frames]),
        np.concatenate([each.ids for each in frames]),
        np.concatenate([each.boxes for each in frames]),
    )


def runs(frames: list[Labelled]) -> dict[str, list[tuple[list, list, MotRows]]]:
    """Return frames, detections and ground truth of what is tracked; several: mean over them."""
    folder = DATA / 'frames' / 'KITTI-17'
    rows = read_mot(folder / 'det' / 'det.txt', kind='det', score_range=ACF_SCORES)
    acf = [Detections(it.xyxy, it.score, it.label) for it in rows.by_frame(len(frames))]
    found = {'det.txt': [(frames, acf, read_mot(folder / 'gt' / 'gt.txt', kind='gt'))]}
    for every in (1, 3):
        some = frames[::every]
        name = f'jittered boxes, {FPS / every:.1f} frames/s'
        found[name] = [
            (
                some,
                [
                    jittered(each, np.random.default_rng((s, k)), JITTER)
                    for k, each in enumerate(some)
                ],
                labelled_rows(some),
            )
            for s in SEEDS
        ]
    return found


def print_tracked() -> None:
    """Print the scores of the whole tracker on KITTI-17 with and without the cue."""
    frames = read_kitti(DATA / 'kitti_0017')
    title = 'KITTI-17 tracked (improved); masks one step back are an oracle'
    table = Table('detections', 'cue', 'weight', *COLUMNS, title=title)
    default = Config().tracker.depthseg_weight
    for name, material in runs(frames).items():
        choices = [('none', None, None)]
        choices += [
            (label, cue, weight)
            for label, cue in cues(large=False).items()
            for weight in dict.fromkeys((default, 1.0))
        ]
        for label, cue, weight in choices:
            values = np.array(
                [scored(truth, track(f, d, cue, weight), len(f)) for f, d, truth in material]
            )
            cells = (_cell(column) for column in values.T)
            table.add_row(name, label, '' if weight is None else f'{weight:g}', *cells)
        table.add_section()
    Console(width=130).print(table)


def _cell(values: NDArray[np.float64]) -> str:
    spread = f' ± {values.std(ddof=1):.2f}' if len(values) > 1 else ''
    return f'{values.mean():.2f}{spread}'


def read_kinect(folder: Path) -> list[tuple[Frame, NDArray[np.bool_]]]:
    """Return frames with depth in metres, 0 in holes, and the person's masks H×W."""
    found = []
    for index, file in enumerate(sorted(folder.glob('*_depth.png'))):
        depth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        mask = cv2.imread(str(file).replace('_depth.png', '_mask.jpg'), cv2.IMREAD_GRAYSCALE)
        height, width = depth.shape
        frame = Frame(index * NANOSECONDS // 30, index, width, height, depth=depth)
        found.append((frame, mask >= 128))
    return found


def extent(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the box around a mask, 1×4."""
    rows, columns = mask.nonzero()
    return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)


def print_kinect() -> None:
    """Print what real depth does."""
    frames = read_kinect(DATA / 'rgbd' / 'kinect_person')
    holes = np.mean([(frame.depth == 0).mean() for frame, _ in frames])
    inside = np.mean([(frame.depth[mask] == 0).mean() for frame, mask in frames])
    title = f'Kinect, {len(frames)} frames; holes: {holes:.1%} of the image, {inside:.1%} of masks'
    outlined = DepthConsistentMasks()
    found = [outlined.outline(frame, extent(mask))[0] for frame, mask in frames]
    true = [sample(mask, GRID) for _, mask in frames]
    depth = [sample(frame.depth, GRID) for frame, _ in frames]
    table = Table('', 'mean', 'lowest', 'highest', title=title)

    def add(label: str, values: list[float], form: str) -> None:
        table.add_row(label, *(format(of(values), form) for of in (np.mean, min, max)))

    overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(found, true, strict=True)]
    add('IoU of depth masks with the real ones', overlap, '.3f')
    deep = [np.log(frame.depth[mask & (frame.depth > 0)]) for frame, mask in frames]
    spans = [float(np.subtract(*np.percentile(values, (95, 5)))) for values in deep]
    add('log depth in real masks, from 5 % to 95 % of it', spans, '.3f')
    for label, masks in (('real', true), ('depth', found)):
        off = [
            object_depth(cells, mask[None])[0][0]
            / np.median(whole.depth[real & (whole.depth > 0)])
            for cells, mask, (whole, real) in zip(depth, masks, frames, strict=True)
        ]
        add(f'object depth / median in the image, {label} masks', off, '.4f')
    for name, cue in cues(large=True).items():
        for label, masks in (('real', true), ('depth', found)):
            u = [cue.embed(d, m[None])[0][0] for d, m in zip(depth, masks, strict=True)]
            steps = [float(a @ b) for a, b in pairwise(u)]
            add(f'cosine of consecutive frames, {name}, {label} masks', steps, '.4f')
    Console(width=110).print(table)
    pipeline = Pipeline(
        Config.model_validate(CUE), Models(masks=DepthConsistentMasks(), depthseg=RawMap())
    )
    tracked = [pipeline.step(frame, Detections.of(extent(mask))) for frame, mask in frames]
    print('identities of the one person:', {int(k) for each in tracked for k in each.tracks.id})


def main() -> None:
    """Print the tables."""
    if not (DATA / 'kitti_0017').is_dir():
        sys.exit(f'{DATA / "kitti_0017"} is not there: this needs the real sequences')
    for grid in (GRID, (256, 256)):
        print_alike(grid)
    print_tracked()
    print_kinect()


if __name__ == '__main__':
    main()
