"""Scores as a table for the terminal, as JSON, and as CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from mot_perception.errors import UserError
from mot_perception.evaluation.scores import Scores, SequenceScores

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN = 'HOTA', 'AssA', 'DetA', 'IDF1', 'MOTA', 'IDSW', 'FP', 'FN', 'ids'
"""What fits into a terminal of 80 columns; JSON and CSV have the rest."""
_FORMAT_VERSION = 1


def score_table(scores: Scores, title: str | None = None) -> Table:
    """Return a table for `rich.print`: a line per sequence and one for all of them."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column('sequence')
    for name in _SHOWN:
        table.add_column(name, justify='right', no_wrap=True)
    for row in scores.sequences:
        table.add_row(Text(row.name), *_cells(row))
    if len(scores.sequences) != 1:
        table.add_section()
        table.add_row(scores.combined.name, *_cells(scores.combined), style='bold')
    return table


def _cells(row: SequenceScores) -> list[str]:
    values = [getattr(row, name) for name in _SHOWN]
    return [f'{value:.2f}' if isinstance(value, float) else str(value) for value in values]


def to_json(scores: Scores) -> str:
    """Return everything as JSON; `from_json` reads it back without loss."""
    return json.dumps({'version': _FORMAT_VERSION, **asdict(scores)}, indent=1) + '\n'


def from_json(text: str) -> Scores:
    """Read what `to_json` wrote.

    Raises:
        UserError: the text is no such JSON.
    """
    try:
        content = json.loads(text)
        sequences = [_row(row) for row in content['sequences']]
        return Scores(sequences, _row(content['combined']))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'not a scores file ({error}); write one with `evaluate --json`') from None


def to_csv(scores: Scores) -> str:
    """Return a header, a line per sequence, and a last line for all of them."""
    text = io.StringIO()
    names = [field.name for field in fields(SequenceScores)]
    writer = csv.DictWriter(text, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(asdict(row) for row in [*scores.sequences, scores.combined])
    return text.getvalue()


def from_csv(text: str) -> Scores:
    """Read what `to_csv` wrote.

    Raises:
        UserError: the text is no such CSV.
    """
    try:
        rows = [_row(dict(row)) for row in csv.DictReader(io.StringIO(text))]
        return Scores(rows[:-1], rows[-1])
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(f'not a scores file ({error}); write one with `evaluate --csv`') from None


_TYPES: dict[str, Callable[[Any], Any]] = {'str': str, 'int': int, 'float': float}


def _row(row: dict[str, Any]) -> SequenceScores:
    columns = fields(SequenceScores)
    return SequenceScores(*(_TYPES[str(column.type)](row[column.name]) for column in columns))
