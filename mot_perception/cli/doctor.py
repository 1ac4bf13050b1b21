"""Checks data for training, and says what is wrong and where."""

from __future__ import annotations

import json as to_json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mot_perception.cli.interrupt import FAILED
from mot_perception.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mot_perception.training.fdta.doctor_findings import Chart

PLACES, SEQUENCES = 3, 4
"""Of a fault in one sequence, and those that have it, that are printed; all are in the JSON."""


def doctor(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar='DATA...',
            help='MOTChallenge sets or sequences, bags, CrowdHuman: what train fdta takes.',
        ),
    ],
    *,
    length: Annotated[int, typer.Option(min=1, help='Frames of a clip.')] = 30,
    objects: Annotated[int, typer.Option(min=1, help='Most in a frame.')] = 300,
    identities: Annotated[int, typer.Option(min=1, help='Most in a clip.')] = 50,
    depth: Annotated[
        bool, typer.Option('--depth/--no-depth', help='Labels of depth are needed, or not.')
    ] = True,
    labels: Annotated[
        Path | None, typer.Option(help='Labels of depth, as of train fdta: LABELS/NAME/depth.')
    ] = None,
    images: Annotated[
        bool, typer.Option('--images', help='Decode all images and labels, not their heads.')
    ] = False,
    json: Annotated[Path | None, typer.Option(help='Write all that is found as JSON.')] = None,
    force: Annotated[bool, typer.Option('--force', help='Replace an existing file.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> None:
    """Check data for train fdta; exit code 2 if anything would stop the training.

    Raises:
        UserError: A path is nothing that can be learned from, or the file cannot be written.
        typer.Exit: Something would stop a training.
    """
    from mot_perception.bags.outputs import whole
    from mot_perception.training.fdta.doctor import examine
    from mot_perception.training.fdta.doctor_findings import Demands

    demands = Demands(length, objects, identities, depth, images, labels)
    with whole(json, force=force) if json else nullcontext() as part:
        with progress_bar(quiet=quiet) as bar:
            charts = list(examine(data, demands, bar.track))
        if part is not None:
            text = to_json.dumps([chart.as_json() for chart in charts], indent=2)
            part.write_text(text + '\n', 'utf-8')
    stops = any(chart.stops for chart in charts) or not any(chart.clips for chart in charts)
    if not quiet:
        console = Console()
        for line in _findings(charts):
            console.print(line, soft_wrap=True)
        console.print(_table(charts))
        console.print(_verdict(charts, stops=stops), highlight=False)
    if stops:
        raise typer.Exit(FAILED)


def _findings(charts: list[Chart]) -> Iterator[Text]:
    """Yield a line for each fault, wherever it is; errors come first."""
    found: dict[tuple[bool, str], list[str]] = {}
    for chart in charts:
        for finding in chart.findings:
            places = ', '.join(finding.places[:PLACES])
            more = len(finding.places) - PLACES
            where = f'{chart.name} {places}' + (f' (and {more} more)' if more > 0 else '')
            found.setdefault((not finding.stops, finding.what), []).append(where)
    for (harmless, what), wherever in sorted(found.items(), key=lambda item: item[0][0]):
        line = Text('warning ', 'yellow') if harmless else Text('error   ', 'red')
        line.append(what).append('\n        ')
        line.append('; '.join(wherever[:SEQUENCES]), 'cyan')
        more = len(wherever) - SEQUENCES
        yield line.append(f'; and in {more} more' if more > 0 else '')


def _table(charts: list[Chart]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column('', overflow='fold')
    for name in ('frames', 'usable', 'clips', 'boxes', 'ids', 'depth', 'errors', 'warnings'):
        table.add_column(name, justify='right')
    for chart in charts:
        errors = sum(finding.stops for finding in chart.findings)
        numbers = chart.frames, chart.usable, chart.clips, chart.boxes, chart.identities
        depth = '–' if chart.depth is None else str(chart.depth)
        faults = errors, len(chart.findings) - errors
        table.add_row(chart.name, *map(str, numbers), depth, *map(str, faults))
    return table


def _verdict(charts: list[Chart], *, stops: bool) -> str:
    """Return what it comes to."""
    clips = sum(chart.clips for chart in charts)
    if any(chart.stops for chart in charts):
        return 'A training would stop; mend the errors.'
    if stops:
        return 'There is nothing that a clip can be made of.'
    return f'A training can start: {clips} clips an epoch.'
