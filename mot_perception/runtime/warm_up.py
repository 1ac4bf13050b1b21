"""Let a tracker run for a moment before it counts: its loops are compiled when first used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.config import DepthConfig, MasksConfig
from mot_perception.depthseg.fusion import RawMap
from mot_perception.messages.rvl import decode_rvl, encode_rvl
from mot_perception.perception.appearance import ColourStripes
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.pipeline import Pipeline
from mot_perception.types import CameraModel, Detections, Embeddings, Frame

if TYPE_CHECKING:
    from mot_perception.config import Config
    from mot_perception.fdta.detector import FdtaDetector
    from mot_perception.models import Models

WIDTH, HEIGHT = 160, 120
FRAMES = 24
PERIOD_NS = 50_000_000
PEOPLE, SIZE = 4, np.array([20, 50])


def warm_up(config: Config, models: Models) -> None:
    """Track some walking boxes that come, cross, tremble, hide and go, and forget them.

    Compiled loops come from numba's cache in a second; the first time after an installation they
    take up to a minute. A node does that while it is configured, not when the first image comes; a
    replay before it takes the time. Networks are left out: loading them has warmed them up.
    """
    if config.stream.depth_transport == 'compressedDepth':
        wall = encode_rvl(np.full((8, 8), 3000, np.uint16))
        decode_rvl(np.frombuffer(wall, np.uint8), 'a wall')
    if models.fdta is not None:
        _warm_up_fdta(config, models.fdta)
        return
    models = _without_networks(models)
    if config.depth.backend == 'none':
        models = replace(models, masks=None)  # these would look at depth
    else:
        replaced = {'depth': DepthConfig(backend='topic'), 'masks': MasksConfig(backend='depth')}
        config = config.model_copy(update=replaced)
    pipeline = Pipeline(config, models)
    camera = CameraModel(WIDTH, HEIGHT, WIDTH, WIDTH, WIDTH / 2, HEIGHT / 2)
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    start = generator.uniform(0, 60, (PEOPLE, 2))
    step = generator.uniform(-2, 4, (PEOPLE, 2))
    for number in range(FRAMES):
        corner = start + number * step
        seen = generator.random(PEOPLE) > 0.2
        boxes = np.concatenate([corner, corner + SIZE], axis=1)[seen]
        score = generator.uniform(0.15, 1, len(boxes))
        frame = Frame(number * PERIOD_NS, number, WIDTH, HEIGHT, image, depth, camera)
        pipeline.step(frame, Detections.of(boxes, score))


def _warm_up_fdta(config: Config, detector: FdtaDetector) -> None:
    """Tell random objects apart for a few frames: so that the first real frames are fast."""
    from mot_perception.trackers.fdta import FdtaTracker

    tracker = FdtaTracker(detector.network, config.fdta)
    width = detector.network.settings.detector.width
    boxes = Detections.of(np.tile([0, 0, *SIZE], (PEOPLE, 1)), np.ones(PEOPLE))
    generator = np.random.default_rng(0)
    for number in range(3):
        embeddings = generator.standard_normal((PEOPLE, width), np.float32)
        frame = Frame(number * PERIOD_NS, number, WIDTH, HEIGHT)
        tracker.update(frame, boxes, Embeddings(embeddings))


def _without_networks(models: Models) -> Models:
    """Return models that stand in for those that are there."""
    return replace(
        models,
        masks=None if models.masks is None else DepthConsistentMasks(),
        depthseg=None if models.depthseg is None else RawMap(),
        appearance=None if models.appearance is None else ColourStripes(),
    )
