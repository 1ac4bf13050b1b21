"""Tables of scores: as a terminal shows them, and as a page holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def terminal_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return what fits into a terminal of 80 columns; the first column has the names."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(columns):
        table.add_column(name, justify='right' if number else 'left', no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table


def markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    head, *rest = (f'| {" | ".join(line)} |' for line in (columns, *lines))
    return [head, '|---' * len(columns) + '|', *rest]
