"""All that is wrong in a ground truth, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.mot import ground_truth, row_rules
from mot_perception.bags.mot_table import read_table
from mot_perception.bags.motchallenge import TRUTH
from mot_perception.training.fdta.doctor_findings import runs
from mot_perception.training.fdta.mot_footage import counted, cut
from mot_perception.training.fdta.sampler import clip_starts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mot_perception.bags.mot_table import MotTable
    from mot_perception.bags.rows import MotRows
    from mot_perception.training.fdta.doctor_findings import Chart, Demands

    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]


def examine_truth(chart: Chart, size: tuple[int, int], demands: Demands) -> None:
    """Note what is wrong in `gt/gt.txt`, and count what is right.

    Args:
        chart: Of a sequence whose number of frames is known; 0: the rows say it.
        size: Width and height of the images; 0 where unknown.
        demands: Of the training.
    """
    file = chart.path / TRUTH
    if not file.exists():
        chart.error('no ground truth; training needs it', [TRUTH])
        return
    table = None
    with chart.noting():
        table = read_table(file)
    if table is None:
        return
    good = np.ones(len(table.values), np.bool_)
    for holds, rule in row_rules(table, 'gt'):
        chart.error(rule, _lines(table, good & ~holds))
        good &= holds
    chart.frames = chart.frames or int(table.values[good, 0].max(initial=0))
    beyond = good & (table.values[:, 0] > chart.frames)
    chart.error(f'frame beyond the {chart.frames} of the sequence', _lines(table, beyond))
    rows = counted(ground_truth(table, good & ~beyond))
    if all(size):
        inside = cut(rows, *size)
        chart.warn('box outside of the image; it is left out', runs(_missing(rows, inside)))
        rows = inside
    _count(chart, rows, demands)


def _count(chart: Chart, rows: MotRows, demands: Demands) -> None:
    """Note how much can be learned."""
    chart.boxes = len(rows)
    each = np.bincount(rows.frame - 1, minlength=chart.frames)
    full = each > demands.objects
    chart.warn(f'more than {demands.objects} objects; such frames are left out', runs(full))
    chart.warn('no objects; such frames are left out', runs(each == 0))
    legal = (each > 0) & ~full
    note_clips(chart, legal, demands)
    note_identities(chart, rows.frame, rows.id, demands)


def note_clips(chart: Chart, legal: Mask, demands: Demands) -> None:
    """Count what clips can be made of, and note if none can.

    Args:
        chart: Of a sequence.
        legal: Which frames can be learned from.
        demands: Of the training.
    """
    chart.usable = int(legal.sum())
    chart.clips = int(clip_starts(legal, demands.length).sum())
    if not chart.clips:
        chart.warn(
            f'nowhere {demands.length} frames in a row that can be learned from; it is left out',
            [chart.path.name],
        )


def note_identities(chart: Chart, frames: Index, ids: Index, demands: Demands) -> None:
    """Count identities, and note if there are too many at a time.

    Args:
        chart: Of a sequence whose number of frames is known.
        frames: R, of each box, from 1.
        ids: R, the same.
        demands: Of the training.
    """
    chart.identities = len(np.unique(ids))
    most, first = most_identities(frames, ids, chart.frames, demands.length)
    if most > demands.identities:
        chart.warn(
            f'{most} identities in one clip, more than the {demands.identities} that can be told '
            'apart; some are left out each time',
            [f'frames {first + 1} to {first + demands.length}'],
        )


def most_identities(frames: Index, ids: Index, count: int, window: int) -> tuple[int, int]:
    """Return how many identities there are at most in some frames in a row, and where.

    Args:
        frames: R, of each box, from 1.
        ids: R, the same.
        count: Frames of the sequence.
        window: How many in a row.

    Returns:
        The number, and the first of the frames, from 0.
    """
    known, column = np.unique(ids, return_inverse=True)
    seen = np.zeros((count + 1, len(known)), np.int32)
    seen[frames, column] = 1
    total = seen.cumsum(0)
    width = min(window, count)
    there = (total[width:] > total[: count + 1 - width]).sum(1)
    return int(there.max(initial=0)), int(there.argmax()) if len(known) else 0


def _lines(table: MotTable, rows: Mask) -> Iterable[str]:
    return (f'{TRUTH}:{line}' for line in table.line_numbers[rows].tolist()) if rows.any() else ()


def _missing(rows: MotRows, kept: MotRows) -> Mask:
    """Return in which frames, from 0, rows are missing."""
    frames = rows.last_frame
    count = np.bincount(rows.frame, minlength=frames + 1) - np.bincount(
        kept.frame, minlength=frames + 1
    )
    return np.asarray(count[1:] > 0)
