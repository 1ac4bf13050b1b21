"""`report.html`: one file without a link outwards that shows what a run did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from mot_perception.bags.outputs import whole
from mot_perception.evaluation.lanes import spaced
from mot_perception.evaluation.panels import Detail, sequence_panel
from mot_perception.evaluation.stages import LogScale, StageTime, stage_times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.evaluation.scores import Scores, SequenceScores

RATES = ['HOTA', 'AssA', 'DetA', 'IDF1', 'MOTA']
COUNTS = {'IDSW': 'IDSW', 'Frag': 'Frag', 'FP': 'FP', 'FN': 'FN', 'gt_ids': 'people', 'ids': 'ids'}
"""Field and heading of the columns that are counts."""
_SAYS = {
    'HOTA': 'finding and keeping, in balance',
    'AssA': 'identities kept together',
    'DetA': 'people found, and nobody else',
    'IDF1': 'frames under the right identity',
    'MOTA': 'boxes found less errors',
    'IDSW': 'identity switches',
}
_MAX_ROWS = 300
_MAX_TEXT = 500


@dataclass(frozen=True)
class SequenceReport:
    """One sequence of a run, as the report shows it.

    Attributes:
        name: Name of the sequence.
        tracks: Rows of the tracker, frames from 1.
        ground_truth: Rows of the annotation; None where there is none.
        width: Image width in pixels.
        height: Image height in pixels.
        fps: Frames per second; 0 where unknown: the time axis then counts frames.
        frames: Length of the sequence; None: the last frame that has a row.
        picture: uint8 H×W×3, BGR: a frame of the sequence; None where there are no images.
        picture_frame: Number of that frame, from 1.
        states: int8, `TrackState` of each row of `tracks`; None: all confirmed.
    """

    name: str
    tracks: MotRows
    ground_truth: MotRows | None
    width: int
    height: int
    fps: float = 0.0
    frames: int | None = None
    picture: NDArray[np.uint8] | None = None
    picture_frame: int = 1
    states: NDArray[np.int8] | None = None


def write_report(
    path: Path | str,
    *,
    title: str,
    sequences: list[SequenceReport],
    scores: Scores | None = None,
    stage_seconds: Mapping[str, NDArray[np.float64]] | None = None,
    run: Mapping[str, object] | None = None,
    force: bool = False,
) -> None:
    """Write the report.

    Args:
        path: The HTML file to make.
        title: Heading.
        sequences: What to show, in this order.
        scores: Metrics of the sequences that have ground truth; None: the report has none.
        stage_seconds: Seconds spent in each stage, one value per frame that ran it.
        run: Facts of the run. Plain values stand under the title; mappings (configuration,
            versions, …) become lists at the end.
        force: Replace an existing file.

    Raises:
        UserError: The file exists and `force` is off, it cannot be written, or a sequence with
            ground truth cannot be matched with its tracks.
    """
    html = render_report(title, sequences, scores, stage_seconds or {}, run or {})
    with whole(Path(path), force=force) as part:
        part.write_text(html, encoding='utf-8')


def render_report(
    title: str,
    sequences: list[SequenceReport],
    scores: Scores | None,
    stage_seconds: Mapping[str, NDArray[np.float64]],
    run: Mapping[str, object],
) -> str:
    """Return the HTML text that `write_report` writes."""
    detail = Detail.for_sequences(len(sequences))
    panels = [sequence_panel(s, f's{k}', detail) for k, s in enumerate(sequences)]
    times = stage_times(stage_seconds)
    facts, details = _facts(run)
    return _template().render(
        title=title,
        css=_resource('report.css'),
        js=_resource('report.js'),
        facts=facts,
        details=details,
        headline=_score_numbers(scores) if scores else _track_numbers(panels),
        columns=[*RATES, *COUNTS.values()],
        rows=_score_rows(scores, panels) if scores else [],
        has_truth=any(s.ground_truth is not None for s in sequences),
        has_states=any(s.states is not None for s in sequences),
        sequences=panels,
        **_stage_context(times),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {'spaced': spaced, 'short': short}
    return environment.from_string(_resource('report.html'))


def _resource(name: str) -> str:
    return files('mot_perception.evaluation').joinpath('template', name).read_text('utf-8')


def short(milliseconds: float) -> str:
    """Return milliseconds with three significant digits, without an exponent."""
    if milliseconds <= 0:
        return '0'
    digits = min(max(2 - math.floor(math.log10(milliseconds)), 0), 4)
    return f'{milliseconds:.{digits}f}'


def _score_numbers(scores: Scores) -> list[dict[str, str]]:
    combined = scores.combined
    values = {name: f'{getattr(combined, name):.1f}' for name in RATES}
    values['IDSW'] = spaced(combined.IDSW)
    return [{'name': name, 'value': value, 'says': _SAYS[name]} for name, value in values.items()]


def _track_numbers(panels: list[dict[str, Any]]) -> list[dict[str, str]]:
    frames, ids, boxes = (sum(p[key] for p in panels) for key in ('length', 'ids', 'rows'))
    numbers = [
        (spaced(ids), 'tracks', 'identities given'),
        (spaced(frames), 'frames', 'in all sequences'),
        (f'{boxes / max(frames, 1):.1f}', 'per frame', 'tracks at a time, mean'),
        (f'{boxes / max(ids, 1):.0f}', 'frames each', 'length of a track, mean'),
    ]
    return [{'value': value, 'name': name, 'says': says} for value, name, says in numbers]


def _score_rows(scores: Scores, panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    anchors = {panel['name']: panel['anchor'] for panel in panels}
    rows = [_score_row(row, anchors.get(row.name)) for row in scores.sequences]
    if len(rows) == 1:
        return rows
    return [*rows, _score_row(scores.combined, None) | {'total': True, 'name': 'all together'}]


def _score_row(row: SequenceScores, anchor: str | None) -> dict[str, Any]:
    return {
        'name': row.name,
        'anchor': anchor,
        'total': False,
        'rates': [getattr(row, name) for name in RATES],
        'counts': [getattr(row, name) for name in COUNTS],
    }


def _stage_context(times: list[StageTime]) -> dict[str, Any]:
    scale = LogScale.over(times)
    total = sum(time.mean for time in times)
    stages = [
        {
            'time': time,
            'tone': _tone(k / len(times)),
            'low': scale.at(time.p05),
            'middle': scale.at(time.p50),
            'high': scale.at(time.p95),
            'worst': scale.at(time.worst),
        }
        for k, time in enumerate(times)
    ]
    fps = 1000 / total if total > 0 else 0.0
    return {'stages': stages, 'stage_ticks': scale.ticks(), 'total_ms': total, 'fps': fps}


def _tone(fraction: float) -> str:
    """Return the accent colour, the paler the larger the fraction."""
    return f'color-mix(in oklab, var(--accent) {95 - 75 * fraction:.0f}%, var(--paper))'


def _facts(run: Mapping[str, object]) -> tuple[list[Any], list[Any]]:
    """Split the facts into plain ones and lists of dotted names."""
    plain = [(name, _text(value)) for name, value in run.items() if not _is_nested(value)]
    nested = [(name, list(_flat('', value))) for name, value in run.items() if _is_nested(value)]
    return plain, [(name, rows[:_MAX_ROWS]) for name, rows in nested if rows]


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping)


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if not isinstance(value, Mapping):
        return [(prefix, _text(value))]
    pairs = ((f'{prefix}.{key}' if prefix else str(key), inner) for key, inner in value.items())
    return [row for name, inner in pairs for row in _flat(name, inner)]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f'{value:.6g}'
    if isinstance(value, int) and not isinstance(value, bool):
        return spaced(value)
    text = str(value)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + ' …'
