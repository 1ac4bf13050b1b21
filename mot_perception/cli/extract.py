"""Writes what encoders learn from: maps of depth × mask of every object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from mot_perception.cli.libraries import require
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.bags.sequence import Sequence
    from mot_perception.config import Config
    from mot_perception.training.store import Store


def extract(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar='SOURCE...',
            help='rosbag2 bag, video, folder of images, MOTChallenge sequence or set of them.',
        ),
    ],
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder to make, or to add to.')],
    config: Annotated[
        str, typer.Option('--config', '-c', help='YAML file with depth and masks, or a name.')
    ],
    form: Annotated[
        Literal['cropped', 'full_frame'],
        typer.Option(help='Around each object, for our encoder; or as in the paper.'),
    ] = 'cropped',
    boxes: Annotated[
        Literal['truth', 'detections'],
        typer.Option(help='Of the ground truth; or detected, without identities.'),
    ] = 'truth',
    limit: Annotated[
        int | None, typer.Option(min=1, help='Frames of each sequence; default: all.')
    ] = None,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Write depth × mask maps of objects, to train encoders on; goes on where it was stopped.

    Raises:
        UserError: What is wrong with the sources, the configuration or the folder.
    """
    require(torch='models')
    from mot_perception.cli.progress import progress_bar
    from mot_perception.config import load_config
    from mot_perception.training.extract import extract as add_all
    from mot_perception.training.extract import models_for, store_for

    settings = load_config(config)
    sequences = [sequence for source in sources for sequence in _open(source, settings)]
    detect = boxes == 'detections' and not all(it.has_detections for it in sequences)
    models = models_for(settings, detect=detect)
    store = store_for(out, settings, models, form, boxes, limit)
    try:
        with progress_bar(quiet=quiet) as bar:
            add_all(sequences, store, settings, models, bar.track)
    except KeyboardInterrupt:
        done = len(store.sequences)
        raise UserError(
            f'{out}: interrupted; {done} of {len(sequences)} sequences are kept: run it again to '
            'go on'
        ) from None
    if not any(sequence.objects for sequence in store.sequences):
        raise UserError(f'{out}: no object was seen in any frame; check boxes, depth and masks')
    if not quiet:
        _print(store)
    return out


def _open(source: Path, config: Config) -> list[Sequence]:
    from mot_perception.bags.source import open_source
    from mot_perception.bags.topics import Topics

    settings = config.input
    return open_source(
        source,
        topics=Topics(**{name: value or None for name, value in settings.topics}),
        fps=settings.fps or None,
        score_range=None if settings.score_range == (0, 1) else settings.score_range,
    )


def _print(store: Store) -> None:
    from rich.table import Table

    table = Table('sequence', box=None)
    for column in ('frames', 'dropped', 'objects'):
        table.add_column(column, justify='right')
    for it in store.sequences:
        table.add_row(it.name, str(it.frames), str(it.dropped), str(it.objects))
    console = Console()
    console.print(table)
    megabytes = sum(file.stat().st_size for file in store.folder.iterdir()) / 1e6
    console.print(f'{megabytes:.1f} MB in [bold]{store.folder}[/]')
