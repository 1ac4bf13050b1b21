"""What `inspection` saw, as a folder: `index.html`, `numbers.json` and the pictures."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from math import isfinite
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from mot_perception.bags.outputs import whole
from mot_perception.training.fdta.inspection_figures import (
    attention_figure,
    depth_error,
    depth_figure,
    past_figure,
    similarity_figure,
    write_figure,
)
from mot_perception.training.fdta.similarity import pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.training.fdta.inspection import DepthLook, Inspection

INDEX, NUMBERS = 'index.html', 'numbers.json'
COLUMNS = {
    'frames': 'frames', 'found': 'found', 'alike': 'alike', 'different': 'different objects',
    'same': 'next frame', 'depth_error_boxes': 'depth error, boxes', 'depth_error': 'all',
}  # fmt: skip
"""Heading of each number."""
PERCENT = 'found', 'alike'


def write_inspection(
    folder: Path,
    inspections: Sequence[Inspection],
    orientation: Orientation,
    facts: Mapping[str, str],
    *,
    force: bool = False,
) -> dict[str, dict[str, float]]:
    """Write the folder.

    Args:
        folder: To make.
        inspections: Each of one footage.
        orientation: What the network's depth means.
        facts: Stand under the title.
        force: Replace a folder of this kind.

    Returns:
        `numbers` of each footage, by its name.

    Raises:
        UserError: It exists and `force` is off, or it cannot be written.
    """
    told = {it.name: numbers(it) for it in inspections}
    with whole(folder, force=force, sign=NUMBERS) as part:
        part.mkdir()
        sequences = [
            {
                'name': it.name,
                'cells': [cell(key, told[it.name][key]) for key in COLUMNS],
                'pictures': _pictures(part, f'{k}-{_file_name(it.name)}', it, orientation),
                'notes': _notes(it),
            }
            for k, it in enumerate(inspections, 1)
        ]
        html = _template().render(
            title='What the network sees',
            css=files('mot_perception.evaluation').joinpath('template/report.css').read_text(),
            facts=facts,
            columns=COLUMNS.values(),
            sequences=sequences,
        )
        (part / INDEX).write_text(html, encoding='utf-8')
        plain = {name: {k: _plain(v) for k, v in of.items()} for name, of in told.items()}
        (part / NUMBERS).write_text(json.dumps(plain, indent=2) + '\n', encoding='utf-8')
    return told


def numbers(of: Inspection) -> dict[str, float]:
    """Return what can be said in numbers, by the keys of `COLUMNS`; NaN where nothing can."""
    cosines = pairs([(it.ids, it.embeddings) for it in of.found])
    everywhere, boxes = depth_errors(of.looks)
    objects = sum(it.objects for it in of.found)
    return {
        'frames': len(of.found),
        'found': sum(len(it.ids) for it in of.found) / objects if objects else np.nan,
        'alike': cosines.alike(),
        'different': _mean(cosines.different),
        'same': _mean(cosines.same),
        'depth_error_boxes': boxes,
        'depth_error': everywhere,
    }


def depth_errors(looks: Sequence[DepthLook]) -> tuple[float, float]:
    """Return the mean error of expected depth, everywhere and in boxes; NaN without labels."""
    everywhere, boxes = [], []
    for look in looks:
        error = depth_error(look)
        if error is None:
            continue
        inside = np.zeros(error.shape, np.bool_)
        for left, top, right, bottom in look.view.xyxy.round().astype(int).tolist():
            inside[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        known = np.isfinite(error)
        everywhere.append(error[known])
        boxes.append(error[known & inside])
    return _mean(np.concatenate([[], *everywhere])), _mean(np.concatenate([[], *boxes]))


def cell(key: str, value: float) -> str:
    """Return a number of `numbers` as people read it."""
    if not isfinite(value):
        return '–'
    if key == 'frames':
        return str(value)
    return f'{100 * value:.1f} %' if key in PERCENT else f'{value:.2f}'


def _pictures(
    folder: Path, stem: str, of: Inspection, orientation: Orientation
) -> list[dict[str, str]]:
    """Write the pictures of a footage; return file and caption of each."""
    shown: list[dict[str, str]] = []

    def show(kind: str, figure: Figure, says: str) -> None:
        name = f'{stem}-{kind}.png'
        write_figure(folder / name, figure)
        shown.append({'file': name, 'says': says})

    show(
        'similarity',
        similarity_figure(of.found),
        'Embeddings as detected: cosines of the objects of one frame, of objects at several '
        'frames each, and of all pairs.',
    )
    if of.pasts:
        show(
            'past',
            past_figure(of.pasts),
            'Temporal Adapter, last layer, mean over heads: what each frame of a track takes from '
            'which earlier one. Frames without a detection are seen by no other.',
        )
    for look in of.looks:
        frame = look.found.frame + 1
        label = '' if look.view.depth is None else ', its label, and their difference'
        show(
            f'depth-{frame:06}',
            depth_figure(look, orientation),
            f'Frame {frame}: depth that the network expects{label}.',
        )
        show(
            f'attention-{frame:06}',
            attention_figure(look),
            f'Frame {frame}: depth tokens that objects look at, last decoder layer, mean over '
            'heads; the box is where the network sees the object.',
        )
    return shown


def _notes(of: Inspection) -> list[str]:
    notes = []
    if not of.looks:
        notes.append('This network has no Spatial Adapter: there is no depth to show.')
    elif all(look.view.depth is None for look in of.looks):
        notes.append('There are no labels of depth; make them by mot-perception label-depth.')
    if not of.pasts:
        notes.append('This network has no Temporal Adapter: there are no weights to show.')
    return notes


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    place = files('mot_perception.training.fdta').joinpath('template/inspection.html')
    return environment.from_string(place.read_text('utf-8'))


def _file_name(name: str) -> str:
    return re.sub(r'[^A-Za-z0-9._-]+', '-', name)[-60:]


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _plain(value: float) -> float | None:
    return value if isfinite(value) else None  # JSON has no NaN
