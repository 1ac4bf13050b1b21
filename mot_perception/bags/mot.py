"""MOTChallenge text files: `frame,id,left,top,width,height,score or consider,class,…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mot_perception.bags.mot_table import MOST_COLUMNS, read_table
from mot_perception.bags.outputs import whole
from mot_perception.bags.rows import MotRows
from mot_perception.boxes import xywh_to_xyxy, xyxy_to_xywh
from mot_perception.messages.scores import ADVICE, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mot_perception.bags.mot_table import MotTable

    Array = NDArray[np.float64]

Kind = Literal['det', 'gt', 'tracks']

MAX_FRAME = 10_000_000
MAX_PIXEL = 1e6
MAX_ID = 2**32 - 1
"""What `TrackedObject.id` holds."""
MAX_CLASS = 2**31 - 1
PEDESTRIAN = 1

ROWS_AT_ONCE = 10_000
ROW = '%d,%d,%.3f,%.3f,%.3f,%.3f,%.6g,-1,-1,-1\n'


def read_mot(
    path: Path | str, *, kind: Kind, score_range: tuple[float, float] | None = None
) -> MotRows:
    """Read detections, ground truth, or tracks.

    Rows have 6 to 10 columns, split by commas or spaces. They may come in any order; frames count
    from 1. What columns 7 and 8 mean depends on `kind`:

    - 'det': score in [0, 1]; 1 where the file has no scores (no column, or −1 in all rows).
      A row that repeats an earlier one in frame, box, and score is read once.
    - 'gt': consider flag (0: ignored by the benchmark) and class. The ten-column files of MOT15
      have world coordinates in place of the class; their class is 1 (pedestrian).
    - 'tracks': score, any finite number; 1 where the file has none.

    Args:
        path: The text file.
        kind: What it holds.
        score_range: (low, high) of a detector whose scores are not in [0, 1], as ACF's and DPM's;
            its scores are mapped to [0, 1] linearly, and cut there.

    Returns:
        The rows, sorted by frame.

    Raises:
        UserError: With file and line: unreadable, malformed, or impossible values.
    """
    table = read_table(Path(path))
    for good, rule in row_rules(table, kind):
        table.require(good, rule)
    if kind == 'gt':
        return ground_truth(table)
    frame, identity, xyxy = table.values[:, 0], table.values[:, 1], _corners(table)
    scores = _scores(table)
    if kind == 'tracks':
        return MotRows.of(frame, identity, xyxy, scores)
    scores = _normalised(table, scores, score_range)
    return _without_repeats(MotRows.of(frame, identity, xyxy, scores))


def write_mot(path: Path | str, rows: MotRows, *, force: bool = False) -> None:
    """Write tracks as rows `frame,id,left,top,width,height,score,-1,-1,-1`, the real score kept.

    Boxes have three decimals: what is read back differs by at most 0.001 px.

    Args:
        path: The text file to make.
        rows: What to write, in this order.
        force: Replace an existing file.

    Raises:
        UserError: The file exists and `force` is off, or it cannot be written.
    """
    columns = np.column_stack([rows.frame, rows.id, xyxy_to_xywh(rows.xyxy), rows.score])
    with whole(Path(path), force=force) as part, part.open('w', encoding='ascii') as stream:
        for start in range(0, len(columns), ROWS_AT_ONCE):
            block = columns[start : start + ROWS_AT_ONCE]
            stream.write(ROW * len(block) % tuple(block.ravel().tolist()))


def _corners(table: MotTable) -> Array:
    return xywh_to_xyxy(table.values[:, 2:6])


def row_rules(table: MotTable, kind: Kind) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """Yield what must hold of each row for a tracker or metric to make sense of it.

    Args:
        table: What a file says.
        kind: What it holds.

    Yields:
        Of which rows it holds, bool N; and the rule, for people.
    """
    frame, identity, box = table.values[:, 0], table.values[:, 1], table.values[:, 2:6]
    least_id = -1 if kind == 'det' else 0
    yield _whole(frame, 1, MAX_FRAME), f'the frame must be a whole number from 1 to {MAX_FRAME}'
    yield _whole(identity, least_id, MAX_ID), f'the id must be a whole number from {least_id} on'
    yield np.all(np.isfinite(box), axis=1), 'the box must be finite'
    yield np.all(box[:, 2:] > 0, axis=1), 'width and height must be more than 0'
    yield np.all(np.abs(box) <= MAX_PIXEL, axis=1), 'the box reaches beyond a million pixels'
    yield np.isfinite(table.values[:, 6]) | (table.columns < 7), 'the score must be finite'
    if kind != 'det':
        yield _first_of_its_id(table), 'this frame has a box of this id already'
    if kind == 'gt':
        yield _whole(_classes(table), 0, MAX_CLASS), 'the class must be a whole number from 0 on'


def ground_truth(table: MotTable, rows: Any = slice(None)) -> MotRows:
    """Return a ground truth.

    Args:
        table: What a file says.
        rows: Those that all rules hold of.
    """
    values = table.values[rows]
    labels = _classes(table)[rows].astype(np.int32)
    corners = _corners(table)[rows]
    return MotRows.of(values[:, 0], values[:, 1], corners, None, labels, values[:, 6] != 0)


def _whole(values: Array, low: float, high: float) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (values >= low) & (values <= high) & (values == np.floor(values))
    return good


def _first_of_its_id(table: MotTable) -> NDArray[np.bool_]:
    """Return which rows do not show an id for the second time in one frame."""
    frame, identity = table.values[:, 0], table.values[:, 1]
    order = np.lexsort((identity, frame))
    again = (np.diff(frame[order]) == 0) & (np.diff(identity[order]) == 0)
    good = np.ones(len(order), np.bool_)
    good[order[1:][again]] = False
    return good


def _classes(table: MotTable) -> Array:
    given = (table.columns > 7) & (table.columns < MOST_COLUMNS) & (table.values[:, 7] != -1)
    return np.where(given, table.values[:, 7], PEDESTRIAN)


def _scores(table: MotTable) -> Array:
    scores = np.where(table.columns > 6, table.values[:, 6], 1)
    return np.ones(len(scores)) if (scores == -1).all() else scores


def _normalised(table: MotTable, scores: Array, score_range: tuple[float, float] | None) -> Array:
    if score_range is not None:
        return normalised(scores, score_range)
    if len(scores):
        table.require(
            (scores >= 0) & (scores <= 1),
            f'scores must be in [0, 1], but span {scores.min():g} to {scores.max():g} here',
            ADVICE,
        )
    return scores


def _without_repeats(rows: MotRows) -> MotRows:
    """Drop rows that are equal in frame, box, and score to an earlier one."""
    values = np.column_stack([rows.frame, rows.xyxy, rows.score])
    order = np.lexsort(values.T)
    again = (np.diff(values[order], axis=0) == 0).all(1)
    if not again.any():
        return rows
    keep = np.ones(len(rows), np.bool_)
    keep[order[1:][again]] = False
    return rows.select(keep)
