"""How well a network tracks footage from pixels, while it still learns or afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.bags.rows import MotRows
from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.fdta.detector import FdtaDetector
from mot_perception.presence import RunningIds, counted
from mot_perception.trackers.fdta import FdtaTracker
from mot_perception.types import NANOSECONDS, Embeddings, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mot_perception.fdta.network import Fdta
    from mot_perception.trackers.fdta_settings import FdtaConfig
    from mot_perception.training.fdta.clip import Footage

METRICS = 'HOTA', 'DetA', 'AssA', 'IDF1', 'MOTA', 'IDSW'

Row = tuple[Any, Any, Any]
"""Frame numbers, ids and boxes of one frame."""


def score(network: Fdta, footages: Sequence[Footage], config: FdtaConfig) -> dict[str, float]:
    """Track all frames of footage, and compare with who truly is where.

    Args:
        network: Where it computes; it is switched to use for the time being.
        footages: Each with a name of its own; each frame's truth is what its view shows.
        config: Of the tracker.

    Returns:
        `METRICS` of all together: rates in percent, counts as they are.

    Raises:
        UserError: There is none, one without frames, a name comes twice, or a file is damaged.
    """
    training = network.training
    network.eval()
    try:
        scores = evaluate(_tracked(network, footage, config) for footage in footages)
    finally:
        network.train(training)
    return {name: float(getattr(scores.combined, name)) for name in METRICS}


def _tracked(network: Fdta, footage: Footage, config: FdtaConfig) -> SequencePair:
    if not len(footage):
        raise UserError(f'{footage.name}: has no frames; give longer footage')
    detector, tracker = FdtaDetector(network), FdtaTracker(network, config)
    running = RunningIds()
    truths: list[Row] = []
    found: list[Row] = []
    for frame, ids, boxes in _frames(footage):
        assert frame.image is not None
        objects, embeddings = detector.detect(frame.image)
        tracked = tracker.update(frame, objects, Embeddings(embeddings))
        tracks, number = counted(tracked), frame.index + 1
        truths.append((np.full(len(ids), number), ids, boxes))
        own = running(tracks.id, tracked.reset_count)
        found.append((np.full(len(tracks), number), own, tracks.xyxy))
    return SequencePair(footage.name, _rows(truths), _rows(found), len(footage))


def _frames(footage: Footage) -> Iterator[tuple[Frame, Any, Any]]:
    """Yield each frame with the ids and boxes in it."""
    for number in range(len(footage)):
        view = footage.view(number)
        height, width = view.image.shape[:2]
        stamp = round(number * footage.period * NANOSECONDS)
        yield Frame(stamp, number, width, height, view.image), view.ids, view.xyxy


def _rows(frames: list[Row]) -> MotRows:
    return MotRows.of(*map(np.concatenate, zip(*frames, strict=True)))
