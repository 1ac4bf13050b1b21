"""What the report draws of one sequence: picture with trails, timeline, count over time."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.evaluation import figures
from mot_perception.evaluation.colours import identity_colours
from mot_perception.evaluation.lanes import lane_figure, lanes_of_people, lanes_of_tracks
from mot_perception.evaluation.timeline import track_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.evaluation.lanes import Lanes
    from mot_perception.evaluation.report import SequenceReport

COUNT_HEIGHT = 40
USUAL_FPS = 25.0


@dataclass(frozen=True)
class Detail:
    """How much may be drawn of one sequence, so that the whole file stays small.

    Attributes:
        picture_width: Widest picture, pixels.
        trail_points: Points of all trails together.
        trails: Number of trails.
        runs: Number of bars of the timeline, and of switches.
    """

    picture_width: int
    trail_points: int
    trails: int
    runs: int

    @classmethod
    def for_sequences(cls, count: int) -> Detail:
        """Share the file among `count` sequences."""
        count = max(count, 1)
        widths = (4, 960), (24, 640), (100, 320)
        return cls(
            picture_width=next((width for most, width in widths if count <= most), 160),
            trail_points=min(9000, 150_000 // count),
            trails=min(400, 6000 // count + 1),
            runs=min(20_000, 60_000 // count + 1),
        )


def sequence_panel(sequence: SequenceReport, anchor: str, detail: Detail) -> dict[str, Any]:
    """Return the values that the template places for one sequence."""
    tracks, truth = sequence.tracks, sequence.ground_truth
    length = _length(sequence)
    lanes = (
        lanes_of_tracks(tracks, sequence.states, length)
        if truth is None
        else lanes_of_people(sequence.name, truth, tracks, length)
    )
    colours = identity_colours(track_runs(tracks), lanes.switches)
    panel = {
        'anchor': anchor,
        'name': sequence.name,
        'length': length,
        'ids': len(colours),
        'rows': len(tracks),
        'ticks': figures.axis_ticks(length, sequence.fps),
        **_picture_figure(sequence, colours, detail),
        **lane_figure(lanes, colours, detail.runs),
        **_counts(sequence, lanes, length),
    }
    panel['hover'] |= {'length': length, 'fps': sequence.fps, 'step': panel['step']}
    return panel


def _length(sequence: SequenceReport) -> int:
    truth = sequence.ground_truth
    last = max(sequence.tracks.last_frame, truth.last_frame if truth is not None else 0)
    return max(sequence.frames or 0, last, 1)


def _counts(sequence: SequenceReport, lanes: Lanes, length: int) -> dict[str, Any]:
    frames = [sequence.tracks.frame]
    if lanes.present is not None:
        spans = zip(lanes.present.first.tolist(), lanes.present.last.tolist(), strict=True)
        annotated = [np.arange(first, last + 1) for first, last in spans]
        frames.append(np.concatenate([np.empty(0, np.int64), *annotated]))
    peak = max(int(np.bincount(f, minlength=2).max()) for f in frames)
    paths = [figures.count_path(f, length, COUNT_HEIGHT, peak) for f in frames]
    return {
        'peak': peak,
        'tracks_count': paths[0],
        'truth_count': paths[1] if len(paths) > 1 else '',
    }


def _picture_figure(
    sequence: SequenceReport, colours: dict[int, int], detail: Detail
) -> dict[str, Any]:
    tracks, picture = sequence.tracks, sequence.picture
    width, height = _size(sequence)
    fps = sequence.fps or USUAL_FPS
    step, trails = figures.trails(tracks, fps, detail.trail_points, detail.trails)
    boxes = [] if picture is None else figures.boxes_at(tracks, sequence.picture_frame)
    shown = 'no image' if picture is None else f'frame {sequence.picture_frame}'
    return {
        'width': width,
        'height': height,
        'label_size': max(round(width / 28), 6),
        'picture': None if picture is None else jpeg_uri(picture, detail.picture_width),
        'caption': f'{width} × {height}, {shown}: where the feet of each track went.',
        'step': step,
        'trails': [(i, first, colours[i], path) for i, first, path in trails],
        'boxes': [box | {'colour': colours[box['id']]} for box in boxes],
    }


def _size(sequence: SequenceReport) -> tuple[int, int]:
    """Return the size of the image; where it is unknown, one that holds all boxes."""
    if sequence.width > 0 and sequence.height > 0:
        return sequence.width, sequence.height
    if sequence.picture is not None:
        return sequence.picture.shape[1], sequence.picture.shape[0]
    right, bottom = np.ceil(sequence.tracks.xyxy[:, 2:].max(axis=0, initial=1)).astype(int)
    return int(right), int(bottom)


def jpeg_uri(picture: NDArray[np.uint8], width: int) -> str | None:
    """Return a BGR picture as a JPEG data URI, shrunk to a width; None if it cannot be encoded."""
    scale = min(1.0, width / picture.shape[1])
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        return None
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode('ascii')
