"""Says what each part of FDTA is worth: trains it in many ways, and tracks with each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mot_perception.cli.libraries import require
from mot_perception.cli.score_tables import markdown_table, terminal_table

if TYPE_CHECKING:
    from mot_perception.training.fdta.ablation import Summary
    from mot_perception.training.fdta.ablation_rows import Row

TABLE, SCORES = 'ablation.md', 'ablation.csv'


def ablate_fdta(
    *,
    out: Annotated[
        Path, typer.Option('--out', '-o', help='Folder: table, scores, a training a row and seed.')
    ],
    boxes: Annotated[
        list[Path] | None,
        typer.Option(help='Learn from scenes that move as this ground truth. Repeatable.'),
    ] = None,
    held_out_boxes: Annotated[
        list[Path] | None,
        typer.Option(help='Track scenes that move as this ground truth. Repeatable.'),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help='Of each tracked scene.')] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option('--rows', help="Name of a row. Repeatable; default: the paper's Table 4."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help='How many.')] = 3,
    detector: Annotated[
        Path | None, typer.Option(help='Weights of a detector that all rows start from.')
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help='An epoch.')] = 150,
    epochs: Annotated[int, typer.Option(min=1, help='How many.')] = 2,
    rate: Annotated[float, typer.Option(min=0, help='Largest learning rate.')] = 5e-4,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda, cuda:1 and so on.')] = 'auto',
    workers: Annotated[int, typer.Option(min=0, help='Processes that read clips.')] = 0,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> None:
    """Train small FDTAs in many ways and track with each: what is each part worth?

    What is done already in --out is not done again: a run that was stopped goes on.

    Raises:
        UserError: There is no such row, or what `train fdta` says.
    """
    require(torch='models', tensorboard='training')
    from mot_perception.cli.fdta_footages import Sources, footages
    from mot_perception.cli.training_bar import training_bar
    from mot_perception.training.fdta import ablation
    from mot_perception.training.fdta.ablation_rows import BASELINE, choose, rows_of

    falls = (max(1, round(0.75 * epochs)),) if epochs > 1 else ()
    common = {'clips': clips, 'epochs': epochs, 'falls': falls, 'rate': rate, 'warm_up': 0.2}
    chosen = choose(rows_of(common), rows or ())
    sources = Sources((), boxes or (), (), held_out_boxes or (), frames)
    console = Console(stderr=True, quiet=quiet)
    with training_bar(quiet=quiet) as on_step:

        def progress(name: str):  # type: ignore[no-untyped-def]
            console.print(name, highlight=False)
            return on_step

        outcomes = ablation.ablate(
            out,
            chosen,
            range(seeds),
            lambda training: footages(sources, training),
            detector=detector,
            device=device,
            workers=workers,
            progress=progress,
        )
    summaries = ablation.summarise(outcomes, BASELINE)
    (out / SCORES).write_text(ablation.to_csv(outcomes), 'utf-8')
    (out / TABLE).write_text(_page(summaries, chosen), 'utf-8')
    lines = [[it.row, *_cells(it)] for it in summaries]
    Console(quiet=quiet).print(terminal_table(['row', *_columns(summaries)], lines))


def _cells(it: Summary) -> list[str]:
    scores = [
        f'{it.mean[name]:.1f}' + (f'±{it.spread[name]:.1f}' if it.seeds > 1 else '')
        for name in it.mean
    ]
    return [*scores, f'{it.gain["HOTA"]:+.2f}', f'{it.gain["AssA"]:+.2f}']


def _columns(summaries: list[Summary]) -> list[str]:
    return [*summaries[0].mean, 'Δ HOTA', 'Δ AssA']


def _page(summaries: list[Summary], rows: list[Row]) -> str:
    """Return the table with all that is needed to make it again."""
    from mot_perception import __version__

    about = {row.name: row.about for row in rows}
    columns = ['row', 'what it is', *_columns(summaries), 'seeds']
    lines = [[it.row, about[it.row], *_cells(it), str(it.seeds)] for it in summaries]
    return '\n'.join(
        [
            '# Ablation of FDTA',
            '',
            f'`{" ".join(["mot-perception", *sys.argv[1:]])}` ({__version__})',
            '',
            *markdown_table(columns, lines),
            '',
            'Means and standard deviations over seeds; Δ: mean difference to the baseline of the '
            'same seed.',
            '',
        ]
    )
