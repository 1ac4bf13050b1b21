"""Tracks and timelines as SVG paths and as the small tables that hovering reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.evaluation.timeline import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.evaluation.timeline import Switches

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

GAP_SECONDS = 1.0
"""A trail is broken where a track was not seen for longer."""
_WIDEST_GAP = 1024


def row_order(runs: Runs, limit: int) -> tuple[list[int], int]:
    """Return the rows to draw, by first appearance, and how many are left out.

    Where there are more than `limit`, the ones seen longest stay.
    """
    rows, start = np.unique(runs.row, return_index=True)
    if not len(rows):
        return [], 0
    seen = np.add.reduceat(runs.last - runs.first + 1, start)
    kept = np.sort(np.argsort(-seen, kind='stable')[:limit])
    order = kept[np.lexsort((rows[kept], runs.first[start[kept]]))]
    return rows[order].tolist(), len(rows) - len(kept)


def bar_paths(runs: Runs, places: dict[int, int], height: int, group: Ints) -> dict[int, str]:
    """Return one path of horizontal strokes per group of runs; frame f spans f−1 to f.

    Args:
        runs: What to draw.
        places: Line number by row; other rows are skipped.
        height: Height of a line in pixels.
        group: int64 N, what the runs are grouped by: their colour.
    """
    paths: dict[int, list[str]] = {}
    columns = (c.tolist() for c in (runs.row, runs.first, runs.last, group))
    for row, first, last, key in zip(*columns, strict=True):
        if row in places:
            y = places[row] * height + height / 2
            paths.setdefault(key, []).append(f'M{first - 1} {y:g}h{last - first + 1}')
    return {key: ''.join(parts) for key, parts in sorted(paths.items())}


def switch_path(switches: Switches, places: dict[int, int], height: int, limit: int) -> str:
    """Return a path of vertical ticks, one per switch; an even sample if there are too many."""
    shown = np.unique(np.linspace(0, len(switches) - 1, min(len(switches), limit)).astype(int))
    rows, frames = switches.row[shown].tolist(), switches.frame[shown].tolist()
    return ''.join(
        f'M{frame - 1} {places[row] * height}v{height}'
        for row, frame in zip(rows, frames, strict=True)
        if row in places
    )


def thinned(runs: Runs, limit: int) -> Runs:
    """Return at most `limit` runs: short gaps are closed first, then the shortest runs dropped."""
    gap = 1
    while len(runs) > limit and gap < _WIDEST_GAP:
        gap *= 2
        runs = _closed(runs, gap)
    if len(runs) <= limit:
        return runs
    longest = np.sort(np.argsort(runs.first - runs.last, kind='stable')[:limit])
    return Runs(*(c[longest] for c in (runs.row, runs.value, runs.first, runs.last)))


def _closed(runs: Runs, gap: int) -> Runs:
    """Join neighbours of one row and value that are at most `gap` frames apart."""
    same = (np.diff(runs.row) == 0) & (np.diff(runs.value) == 0)
    near = same & (runs.first[1:] - runs.last[:-1] <= gap)
    start = np.concatenate([[True], ~near])
    end = np.concatenate([~near, [True]])
    return Runs(runs.row[start], runs.value[start], runs.first[start], runs.last[end])


def hover_table(runs: Runs, places: dict[int, int], ids: Ints, states: Ints) -> list[int]:
    """Return line, id, first, last, state of every drawn run, one after the other."""
    columns = (c.tolist() for c in (runs.row, ids, runs.first, runs.last, states))
    flat: list[int] = []
    for row, *numbers in zip(*columns, strict=True):
        if row in places:
            flat += [places[row], *numbers]
    return flat


def count_path(frames: Ints, length: int, height: float, peak: float, bins: int = 400) -> str:
    """Return the outline of the number of rows per frame, as steps over `bins` means at most."""
    counts = np.bincount(frames, minlength=length + 1)[1 : length + 1]
    edges = np.unique(np.linspace(0, length, min(bins, length) + 1).astype(int))
    means = np.add.reduceat(counts, edges[:-1]) / np.diff(edges)
    ys = height * (1 - means / max(peak, 1))
    steps = (f'V{y:.4g}H{x}' for y, x in zip(ys.tolist(), edges[1:].tolist(), strict=True))
    return f'M0 {height:g}' + ''.join(steps)


def trails(
    tracks: MotRows, fps: float, points: int, limit: int
) -> tuple[int, list[tuple[int, int, str]]]:
    """Return the way of every track's foot point, evenly sampled in time.

    Args:
        tracks: The tracks.
        fps: Frames per second.
        points: How many points may be drawn in all.
        limit: How many tracks may be drawn; the longest are.

    Returns:
        The number of frames between two points of a trail, and (id, first frame, path) of every
        trail: `Mx yl` and steps in whole pixels.
    """
    order = np.lexsort((tracks.frame, tracks.id))
    frame, ids, box = tracks.frame[order], tracks.id[order], tracks.xyxy[order]
    foot = np.column_stack([(box[:, 0] + box[:, 2]) / 2, box[:, 3]])
    gap = max(2, round(GAP_SECONDS * fps))
    cuts = 1 + np.flatnonzero((np.diff(ids) != 0) | (np.diff(frame) > gap))
    pieces = [piece for piece in np.split(np.arange(len(ids)), cuts) if len(piece) > 1]
    pieces = sorted(sorted(pieces, key=len, reverse=True)[:limit], key=lambda piece: piece[0])
    step = max(1, -(-sum(map(len, pieces)) // points))
    drawn = (_trail(frame[piece], foot[piece], step) for piece in pieces)
    return step, [
        (int(ids[piece[0]]), int(frame[piece[0]]), path)
        for piece, path in zip(pieces, drawn, strict=True)
    ]


def _trail(frame: Ints, foot: Floats, step: int) -> str:
    # A last sample past the end repeats the end: every trail has at least two points.
    at = np.arange(frame[0], frame[-1] + step, step)
    xy = np.column_stack([np.interp(at, frame, foot[:, k]) for k in (0, 1)]).round().astype(int)
    moves = ' '.join(f'{x} {y}' for x, y in np.diff(xy, axis=0).tolist())
    return f'M{xy[0, 0]} {xy[0, 1]}l{moves}'


def axis_ticks(length: int, fps: float, wanted: int = 7) -> list[tuple[float, str]]:
    """Return place in percent and text of the ticks of a time axis: seconds, or frames."""
    unit, per_unit = (' s', fps) if fps > 0 else ('', 1.0)
    span = length / per_unit
    step = next((s for s in _nice_steps() if span / s <= wanted), span)
    ticks = np.arange(0, span + step * 1e-6, step)
    return [(100 * float(t) / span, f'{t:g}{unit}') for t in ticks]


def _nice_steps() -> Iterable[float]:
    return (base * 10.0**k for k in range(-2, 9) for base in (1, 2, 5))


def boxes_at(tracks: MotRows, frame: int) -> list[dict[str, Any]]:
    """Return id and left, top, width, height of the tracks of one frame, whole pixels."""
    rows = tracks.select(tracks.frame == frame)
    corners = rows.xyxy.round().astype(int).tolist()
    return [
        {'id': identity, 'x': x0, 'y': y0, 'w': x1 - x0, 'h': y1 - y0}
        for identity, (x0, y0, x1, y1) in zip(rows.id.tolist(), corners, strict=True)
    ]
