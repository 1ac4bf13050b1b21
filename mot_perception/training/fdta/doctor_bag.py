"""What is wrong with a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.training.fdta.bag_footage import is_sound, open_bag_footage
from mot_perception.training.fdta.doctor_findings import Chart, runs
from mot_perception.training.fdta.doctor_truth import note_clips, note_identities
from mot_perception.training.fdta.metric_depth import LOOKS

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.training.fdta.bag_footage import BagFootage
    from mot_perception.training.fdta.doctor_findings import Demands, Follow


def examine_bag(path: Path, demands: Demands, follow: Follow) -> Chart:
    """Return what is found of a recording.

    Args:
        path: The bag.
        demands: Of the training.
        follow: Passes frames on; shows progress.
    """
    chart = Chart(path.resolve().stem if path.is_file() else path.resolve().name, path)
    footage = None
    asked: Orientation | None = 'depth' if demands.depth else None
    with chart.noting():
        footage = open_bag_footage(path, asked, demands.objects, demands.labels)
    if footage is None:
        return chart
    chart.frames = len(footage)
    if demands.depth and footage.labels is None and 'depth' not in footage.frames.roles:
        chart.warn('no topic of depth; none is learned from this recording', [path.name])
    _look(chart, footage, demands, follow)
    _count(chart, footage, demands)
    footage.frames.close()
    return chart


def _look(chart: Chart, footage: BagFootage, demands: Demands, follow: Follow) -> None:
    """Decode frames, all of them or a few; note what cannot be read."""
    count = len(footage) if demands.images else min(LOOKS, len(footage))
    numbers = np.unique(np.linspace(0, len(footage) - 1, count).astype(int)).tolist()
    sizes: dict[int, tuple[int, int]] = {}
    for number in follow(numbers, chart.name, len(numbers)):
        with chart.noting():
            height, width = footage.view(number).image.shape[:2]
            sizes[number] = width, height
    first = next(iter(sizes.values()), (0, 0))
    chart.error(
        f'not {first[0]}×{first[1]} pixels, as the first; record each size on its own',
        [f'frame {number + 1} {w}×{h}' for number, (w, h) in sizes.items() if (w, h) != first],
    )


def _count(chart: Chart, footage: BagFootage, demands: Demands) -> None:
    """Note how much can be learned."""
    truths = footage.frames.truths
    count = np.array([0 if truth is None else len(truth.ids) for truth in truths])
    unsound = np.array([truth is not None and not is_sound(truth) for truth in truths])
    chart.boxes = int(count.sum())
    if demands.depth:
        measured = sum('depth' in roles for roles in footage.frames.found)
        chart.depth = measured if footage.labels is None else len(footage)
    chart.warn('no objects; such frames are left out', runs(count == 0))
    chart.warn(
        f'more than {demands.objects} objects; such frames are left out',
        runs(count > demands.objects),
    )
    chart.warn(
        'an id twice, or a box that is not finite or not upright; such frames are left out',
        runs(unsound),
    )
    note_clips(chart, footage.legal(), demands)
    frames = np.repeat(np.arange(1, len(truths) + 1), count)
    ids = [truth.ids for truth in truths if truth is not None]
    note_identities(chart, frames, np.concatenate([np.empty(0, np.int64), *ids]), demands)
