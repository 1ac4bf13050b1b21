"""The timeline of one sequence: a lane per person, or per track where there is no truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.evaluation import figures
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.timeline import Runs, match_timeline, track_runs
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.evaluation.timeline import Switches

    Ints = NDArray[np.int64]

MAX_LANES = 150
_HEIGHTS = (6, 24), (12, 18), (32, 14), (80, 9)
"""Up to how many lanes have which height in pixels; more have 5."""
_FAINT = 100
"""Added to the colour of a run whose track was tentative or predicted."""
_STATES = ['tentative', 'confirmed', 'predicted', 'removed']


@dataclass(frozen=True)
class Lanes:
    """What a timeline shows.

    Attributes:
        kind: Whose the lanes are: 'person' or 'track'.
        runs: The bars; a row is a lane.
        ids: int64 N, tracker id of each bar.
        states: int64 N, `TrackState` of each bar.
        present: When each person is there; None without truth.
        switches: Changes of identity; None without truth.
        places: Lane number by row, in the order of first appearance.
        left_out: Number of rows without a lane.
        about: What the sequence holds, in words.
    """

    kind: str
    runs: Runs
    ids: Ints
    states: Ints
    present: Runs | None
    switches: Switches | None
    places: dict[int, int]
    left_out: int
    about: str

    @property
    def height(self) -> int:
        """Height of a lane in pixels."""
        return next((high for most, high in _HEIGHTS if len(self.places) <= most), 5)

    def thinned(self, limit: int) -> Lanes:
        """Return the same lanes with at most `limit` bars."""
        if len(self.runs) <= limit:
            return self
        runs = figures.thinned(self.runs, limit)
        person = self.kind == 'person'
        confirmed = np.full(len(runs), int(TrackState.CONFIRMED))
        return replace(
            self,
            runs=runs,
            ids=runs.value if person else runs.row,
            states=confirmed if person else runs.value,
        )


def lanes_of_people(name: str, truth: MotRows, tracks: MotRows, length: int) -> Lanes:
    """Return a lane per person, coloured by the identity it had."""
    timeline = match_timeline(SequencePair(name, truth, tracks, length))
    covered, present, switches = timeline.covered, timeline.present, timeline.switches
    places, left_out = _places(present)
    there, found = (int((runs.last - runs.first + 1).sum()) for runs in (present, covered))
    about = [
        many(length, 'frame'),
        many(len(places) + left_out, 'person', 'people'),
        many(timeline.ids, 'identity', 'identities'),
        many(len(switches), 'switch', 'switches'),
        f'{100 * (1 - found / max(there, 1)):.1f} % missed',
    ]
    states = np.full(len(covered), int(TrackState.CONFIRMED))
    return Lanes(
        'person', covered, covered.value, states, present, switches, places, left_out,
        ' · '.join(about),
    )  # fmt: skip


def lanes_of_tracks(tracks: MotRows, states: NDArray[np.int8] | None, length: int) -> Lanes:
    """Return a lane per track, faint where it is tentative or predicted."""
    runs = track_runs(tracks, states)
    places, left_out = _places(runs)
    about = f'{many(length, "frame")} · {many(len(places) + left_out, "track")}'
    return Lanes('track', runs, runs.row, runs.value, None, None, places, left_out, about)


def _places(runs: Runs) -> tuple[dict[int, int], int]:
    order, left_out = figures.row_order(runs, MAX_LANES)
    return {row: k for k, row in enumerate(order)}, left_out


def many(count: int, one: str, more: str = '') -> str:
    """Return a number and its noun."""
    return f'{spaced(count)} {one if count == 1 else more or one + "s"}'


def spaced(number: int) -> str:
    """Return a whole number with its thousands set apart by narrow spaces."""
    return f'{number:,}'.replace(',', '\u202f')


def lane_figure(lanes: Lanes, colours: dict[int, int], limit: int) -> dict[str, Any]:
    """Return the values of the template that draw the lanes."""
    lanes, height = lanes.thinned(limit), lanes.height
    colour = np.array([colours[i] for i in lanes.ids.tolist()], np.int64)
    group = colour + _FAINT * (lanes.states != TrackState.CONFIRMED)
    bars = figures.bar_paths(lanes.runs, lanes.places, height, group)
    return {
        'about': lanes.about,
        'line': height,
        'labels': list(lanes.places),
        'drawn_height': max(height * len(lanes.places), height),
        'bars': [(key % _FAINT, key >= _FAINT, path) for key, path in bars.items()],
        'present': _present(lanes, limit),
        'switches': _switches(lanes, limit),
        'below': _below(lanes),
        'hover': {
            'kind': lanes.kind,
            'height': height,
            'lines': list(lanes.places),
            'states': _STATES if (lanes.states != TrackState.CONFIRMED).any() else None,
            'colours': {str(i): colours[i] for i in np.unique(lanes.ids).tolist()},
            'runs': figures.hover_table(lanes.runs, lanes.places, lanes.ids, lanes.states),
        },
    }


def _present(lanes: Lanes, limit: int) -> str:
    if lanes.present is None:
        return ''
    present = figures.thinned(lanes.present, limit)
    nothing = np.zeros(len(present), np.int64)
    return figures.bar_paths(present, lanes.places, lanes.height, nothing).get(0, '')


def _switches(lanes: Lanes, limit: int) -> str:
    if lanes.switches is None:
        return ''
    return figures.switch_path(lanes.switches, lanes.places, lanes.height, limit)


def _below(lanes: Lanes) -> str:
    text = 'Tracks per frame' + ('; line: people there.' if lanes.kind == 'person' else '.')
    if lanes.left_out:
        text += f' {many(lanes.left_out, "lane")} seen shortest not drawn.'
    return text
