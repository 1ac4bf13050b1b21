"""Says what each part of the method is worth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from mot_perception.cli.libraries import require
from mot_perception.cli.score_tables import markdown_table, terminal_table
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.bags.sequence import Sequence
    from mot_perception.config import Config
    from mot_perception.training.ablation import Summary
    from mot_perception.training.ablation_footage import Footage
    from mot_perception.training.ablation_rows import Row

ENCODER = 'depthseg_crop'
"""The shipped one."""
SCENES, FRAMES = 3, 300
"""Of synthetic scenes, if nothing is said."""
SHARED = {'tracker', 'detector', 'depth', 'models', 'appearance', 'masks', 'depthseg'}
"""Sections of the configuration that matter here."""
TABLE, SCORES = 'ablation.md', 'ablation.csv'


def ablate(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar='[DATA]...',
            help='Bags, MOTChallenge sequences or sets with ground truth; else synthetic scenes.',
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option('--out', '-o', help='Folder to make: table and all scores.')
    ] = None,
    boxes: Annotated[
        list[Path] | None,
        typer.Option(help='Render scenes that move as this ground truth. Repeatable.'),
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option('--rows', help='Name of a row. Repeatable; default: all.')
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help='How many.')] = 3,
    first_seed: Annotated[
        int, typer.Option(min=0, help='The first; train encoders on other scenes.')
    ] = 9000,
    scenes: Annotated[
        int | None, typer.Option(min=1, help='Scenes or sequences, for each seed.')
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help='The first of each scene.')] = None,
    people: Annotated[int, typer.Option(min=1, help='In a synthetic scene.')] = 10,
    alike: Annotated[
        bool, typer.Option(help='Rendered clothing is similar, or different.')
    ] = True,
    masks: Annotated[
        Literal['config', 'model'],
        typer.Option(help='Of rendered scenes: as --config looks for them, or of the mask model.'),
    ] = 'config',
    config: Annotated[
        str, typer.Option('--config', '-c', help='What all rows share: YAML file or name.')
    ] = 'selftrencmot',
    encoder: Annotated[
        Path | None, typer.Option(help='Weights; default: those of --config, the shipped ones.')
    ] = None,
    full_frame_encoder: Annotated[
        Path | None, typer.Option(help="Weights of an encoder of the paper's form.")
    ] = None,
    force: Annotated[bool, typer.Option('--force', help='Replace the folder.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> None:
    """Track the same detections in many ways: what is each part of the method worth?

    Raises:
        UserError: What is wrong with the data, the rows, the configuration or the encoder.
    """
    from mot_perception.evaluation.extra import SCORES as SCORING
    from mot_perception.evaluation.extra import require as require_extra

    require(torch='models')
    require_extra(SCORING)
    from mot_perception.bags.outputs import whole
    from mot_perception.cli.progress import progress_bar
    from mot_perception.config import load_config
    from mot_perception.training import ablation
    from mot_perception.training.ablation_cues import Cues
    from mot_perception.training.ablation_rows import BASELINE, choose, rows_of

    if out is not None and out.exists() and not force:
        raise UserError(f'{out}: exists already; choose another place or overwrite with --force')
    base = load_config(config)
    cues = Cues(base.models, _encoder(encoder, base), full_frame_encoder)
    chosen = choose(rows_of(base, cues.missing), rows or (), cues.missing)
    numbers = tuple(range(first_seed, first_seed + seeds))
    modelled = masks == 'model'
    if modelled and data:
        raise UserError(f'{data[0]}: --masks model is for rendered scenes; leave it out')
    footages = _footages(
        data or [], boxes or [], base, numbers, scenes, frames, people, alike, modelled
    )
    models = ablation.models_for(base, detect=not all(it.detected for it in footages))
    with progress_bar(quiet=quiet) as bar:
        scores = ablation.ablate(footages, chosen, base, models, cues, bar.track)
    summaries = ablation.summarise(scores, BASELINE)
    note = '' if 'trained' not in cues.missing else _WITHOUT_ENCODER
    if out is not None:
        with whole(out, force=force, sign=SCORES) as part:
            part.mkdir()
            (part / SCORES).write_text(ablation.to_csv(scores), 'utf-8')
            names = {**models.names, **cues.names}
            if footages[0].masks is not None:
                names['masks'] = footages[0].masks.name
            page = _page(summaries, chosen, footages, names, note)
            (part / TABLE).write_text(page, 'utf-8')
    if not quiet:
        console = Console()
        lines = [[it.row, *_cells(it)] for it in summaries]
        console.print(terminal_table(['row', *_columns(summaries)], lines))
        if note:
            console.print(note, highlight=False)


_WITHOUT_ENCODER = (
    'No trained encoder (--encoder): its rows are left out, switches are thrown beside the raw '
    'map.'
)


def _encoder(given: Path | None, config: Config) -> Path | None:
    """Return the file of the encoder that is meant, or None."""
    from mot_perception.resources import weights

    if given is not None:
        return weights(str(given))
    if config.depthseg.backend == 'encoder':
        return weights(config.depthseg.model)
    shipped = weights(ENCODER)
    return shipped if shipped.is_file() else None


def _footages(
    data: list[Path],
    boxes: list[Path],
    config: Config,
    seeds: tuple[int, ...],
    scenes: int | None,
    frames: int | None,
    people: int,
    alike: bool,
    modelled: bool,
) -> list[Footage]:
    """Return what is tracked, each under a name of its own."""
    from mot_perception.training.ablation_footage import boxed, recorded, staged

    sequences = _open(data, config)[:scenes]
    motions = _open(boxes, config)[:scenes]
    footages = [recorded(sequence, seeds, frames) for sequence in sequences]
    footages += [
        boxed(it, seed, frames, alike=alike, modelled=modelled) for seed in seeds for it in motions
    ]
    if not data and not boxes:
        footages = [
            staged(number, seed, frames or FRAMES, people=people, alike=alike, modelled=modelled)
            for seed in seeds
            for number in range(scenes or SCENES)
        ]
    names = [footage.name for footage in footages]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f'{twice[0]}: two sequences have this name; give one of them')
    return footages


def _open(sources: list[Path], config: Config) -> list[Sequence]:
    from mot_perception.bags.source import open_source
    from mot_perception.bags.topics import Topics

    settings = config.input
    topics = Topics(**{name: value or None for name, value in settings.topics})
    low_high = None if settings.score_range == (0, 1) else settings.score_range
    return [
        sequence
        for source in sources
        for sequence in open_source(
            source, topics=topics, fps=settings.fps or None, score_range=low_high
        )
    ]


def _cells(summary: Summary) -> list[str]:
    means = [f'{value:.1f}' for value in summary.mean.values()]
    gains = [f'{summary.gain[metric]:+.2f}±{summary.error[metric]:.2f}' for metric in summary.mean]
    return means + gains


def _columns(summaries: list[Summary]) -> list[str]:
    metrics = list(summaries[0].mean)
    return metrics + [f'Δ {metric}' for metric in metrics]


def _page(
    summaries: list[Summary],
    rows: list[Row],
    footages: list[Footage],
    names: dict[str, str],
    note: str,
) -> str:
    """Return the table with all that is needed to make it again."""
    from mot_perception import __version__
    from mot_perception.training.ablation_rows import BASELINE

    columns = ['row', 'what it is', *_columns(summaries), 'runs']
    about = {row.name: row.about for row in rows}
    lines = [[it.row, about[it.row], *_cells(it), str(it.runs)] for it in summaries]
    base = next(row.config for row in rows if row.name == BASELINE)
    return '\n'.join(
        [
            '# Ablation',
            '',
            f'`{" ".join(["mot-perception", *sys.argv[1:]])}` ({__version__})',
            '',
            *markdown_table(columns, lines),
            '',
            f'Means over all runs; Δ: mean difference to `{BASELINE}` on the same frames and '
            'detections, and its standard error.',
            *([note] if note else []),
            '',
            *(f'- {role}: {name}' for role, name in names.items()),
            f'- tracked: {", ".join(footage.name for footage in footages)}',
            '',
            'What all rows share:',
            '',
            '```json',
            base.model_dump_json(indent=1, include=SHARED),
            '```',
            '',
        ]
    )
