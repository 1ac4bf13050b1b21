"""What the report draws of one sequence: picture with trails, timeline, count over time."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.evaluation import figures
from mot_perception.evaluation.colours import identity_colours
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.timeline import Runs, match_timeline, track_runs
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.evaluation.report import SequenceReport

    Ints = NDArray[np.int64]

MAX_LINES = 150
COUNT_HEIGHT = 40
_FAINT = 100
"""Added to the colour of a run whose track was tentative or coasting."""
_STATES = ['tentative', 'confirmed', 'predicted', 'removed']


@dataclass(frozen=True)
class Detail:
    """How much may be drawn of one sequence, so that the whole file stays small.

    Attributes:
        picture_width: Widest picture, pixels.
        trail_points: Points of all trails together.
        trails: Number of trails.
    """

    picture_width: int
    trail_points: int
    trails: int

    @classmethod
    def for_sequences(cls, count: int) -> Detail:
        """Share the file among `count` sequences."""
        width = 960 if count <= 4 else 640 if count <= 24 else 400
        return cls(width, min(9000, 150_000 // max(count, 1)), min(400, 6000 // max(count, 1)))


@dataclass(frozen=True)
class _Lines:
    """The lines of a timeline before they are drawn: what each run shows, and whose it is."""

    kind: str
    runs: Runs
    ids: Ints
    places: dict[int, int]
    left_out: int
    present: Runs | None
    switches: Any
    about: str


def sequence_panel(sequence: SequenceReport, anchor: str, detail: Detail) -> dict[str, Any]:
    """Return the values that the template places for one sequence."""
    tracks, truth = sequence.tracks, sequence.ground_truth
    length = _length(sequence)
    lines = _tracks_alone(sequence) if truth is None else _against_truth(sequence, length)
    colours = identity_colours(track_runs(tracks), lines.switches)
    height = _line_height(len(lines.places))
    peak, counts = _counts(lines, sequence, length)
    step, trails = figures.trails(tracks, sequence.fps or 25.0, detail.trail_points, detail.trails)
    boxes = (
        figures.boxes_at(tracks, sequence.picture_frame) if sequence.picture is not None else []
    )
    return {
        'anchor': anchor,
        'name': sequence.name,
        'about': lines.about,
        'length': length,
        'width': sequence.width,
        'height': sequence.height,
        'label_size': max(round(sequence.width / 28), 6),
        'picture': _picture(sequence.picture, detail.picture_width),
        'caption': _caption(sequence),
        'trails': [(i, first, colours[i], path) for i, first, path in trails],
        'boxes': [box | {'colour': colours[box['id']]} for box in boxes],
        'line': height,
        'labels': list(lines.places),
        'drawn_height': max(height * len(lines.places), height),
        **_bars(lines, colours, height),
        **counts,
        'peak': peak,
        'ticks': figures.axis_ticks(length, sequence.fps),
        'below': _below(lines, truth is not None),
        'ids': len(colours),
        'rows': len(tracks),
        'hover': _hover(sequence, lines, colours, height, length, step),
    }


def _line_height(lines: int) -> int:
    steps = (6, 24), (12, 18), (32, 14), (80, 9)
    return next((height for limit, height in steps if lines <= limit), 5)


def _length(sequence: SequenceReport) -> int:
    truth = sequence.ground_truth
    last = max(sequence.tracks.last_frame, truth.last_frame if truth is not None else 0)
    return max(sequence.frames or 0, last, 1)


def _against_truth(sequence: SequenceReport, length: int) -> _Lines:
    truth = sequence.ground_truth
    assert truth is not None
    timeline = match_timeline(SequencePair(sequence.name, truth, sequence.tracks, length))
    order, left_out = figures.row_order(timeline.present, MAX_LINES)
    there, found = (_frames_of(runs) for runs in (timeline.present, timeline.covered))
    people = len(np.unique(timeline.present.row))
    about = (
        f'{spaced(length)} frames · {_many(people, "person", "people")} ·'
        f' {_many(timeline.ids, "identity", "identities")} ·'
        f' {_many(len(timeline.switches), "switch", "switches")} ·'
        f' {100 * (1 - found / max(there, 1)):.1f} % missed'
    )
    places = {row: k for k, row in enumerate(order)}
    return _Lines(
        'person', timeline.covered, timeline.covered.value, places, left_out,
        timeline.present, timeline.switches, about,
    )  # fmt: skip


def _tracks_alone(sequence: SequenceReport) -> _Lines:
    runs = track_runs(sequence.tracks, sequence.states)
    order, left_out = figures.row_order(runs, MAX_LINES)
    places = {row: k for k, row in enumerate(order)}
    ids = len(np.unique(sequence.tracks.id))
    about = f'{spaced(_length(sequence))} frames · {_many(ids, "track", "tracks")}'
    return _Lines('track', runs, runs.row, places, left_out, None, None, about)


def _frames_of(runs: Runs) -> int:
    return int((runs.last - runs.first + 1).sum())


def _bars(lines: _Lines, colours: dict[int, int], height: int) -> dict[str, Any]:
    group = np.array([colours[i] for i in lines.ids.tolist()], np.int64)
    if lines.kind == 'track':
        group = group + _FAINT * (lines.runs.value != TrackState.CONFIRMED)
    bars = figures.bar_paths(lines.runs, lines.places, height, group)
    shown: dict[str, Any] = {
        'bars': [(key % _FAINT, key >= _FAINT, path) for key, path in bars.items()],
        'present': '',
        'switches': '',
    }
    if lines.present is not None:
        nothing = np.zeros(len(lines.present), np.int64)
        paths = figures.bar_paths(lines.present, lines.places, height, nothing)
        shown['present'] = paths.get(0, '')
        shown['switches'] = figures.switch_path(lines.switches, lines.places, height)
    return shown


def _counts(lines: _Lines, sequence: SequenceReport, length: int) -> tuple[int, dict[str, str]]:
    frames = [sequence.tracks.frame]
    if lines.present is not None:
        spans = zip(lines.present.first.tolist(), lines.present.last.tolist(), strict=True)
        annotated = [np.arange(first, last + 1) for first, last in spans]
        frames.append(np.concatenate([np.empty(0, np.int64), *annotated]))
    peak = max(int(np.bincount(f, minlength=2).max()) for f in frames)
    paths = [figures.count_path(f, length, COUNT_HEIGHT, peak) for f in frames]
    truth = paths[1] if len(paths) > 1 else ''
    return peak, {'tracks_count': paths[0], 'truth_count': truth}


def _hover(
    sequence: SequenceReport,
    lines: _Lines,
    colours: dict[int, int],
    height: int,
    length: int,
    step: int,
) -> dict[str, Any]:
    confirmed = np.full(len(lines.runs), int(TrackState.CONFIRMED))
    states = lines.runs.value if lines.kind == 'track' else confirmed
    return {
        'kind': lines.kind,
        'length': length,
        'fps': sequence.fps,
        'height': height,
        'step': step,
        'lines': list(lines.places),
        'states': _STATES if sequence.states is not None and lines.kind == 'track' else None,
        'colours': {str(i): colours[i] for i in np.unique(lines.ids).tolist()},
        'runs': figures.hover_table(lines.runs, lines.places, lines.ids, states),
    }


def _caption(sequence: SequenceReport) -> str:
    size = f'{sequence.width} × {sequence.height}'
    where = 'where the feet of each track went'
    if sequence.picture is None:
        return f'{size}, no image: {where}.'
    return f'{size}, frame {sequence.picture_frame}: {where}.'


def _below(lines: _Lines, has_truth: bool) -> str:
    text = 'Tracks per frame' + ('; line: people there.' if has_truth else '.')
    if lines.left_out:
        text += f' The {lines.left_out} lines seen shortest are not drawn.'
    return text


def _many(count: int, one: str, many: str) -> str:
    return f'{spaced(count)} {one if count == 1 else many}'


def spaced(number: int) -> str:
    """Return a whole number with its thousands set apart by narrow spaces."""
    return f'{number:,}'.replace(',', '\u202f')


def _picture(picture: NDArray[np.uint8] | None, width: int) -> str | None:
    """Return the picture as a JPEG data URI, shrunk to a width."""
    if picture is None:
        return None
    scale = min(1.0, width / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        return None
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode('ascii')
