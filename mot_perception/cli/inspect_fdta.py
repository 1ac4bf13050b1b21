"""Pictures of what goes on in a trained FDTA network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mot_perception.cli.libraries import require

if TYPE_CHECKING:
    from mot_perception.fdta.network import Fdta
    from mot_perception.training.fdta.clip import Footage


def inspect(
    weights: Annotated[
        Path,
        typer.Argument(metavar='WEIGHTS', help="A training's fdta.safetensors, or fdta_tiny."),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar='[DATA]...',
            help='MOTChallenge sets or sequences with images, bags; else rendered scenes.',
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder to make.')],
    scenes: Annotated[
        int, typer.Option(min=1, help='Rendered scenes to look at, if there are no data.')
    ] = 1,
    frames: Annotated[
        int, typer.Option(min=2, help='Frames of each sequence that are looked at.')
    ] = 60,
    pictures: Annotated[
        int, typer.Option(min=1, help='Frames of each sequence whose depth is shown.')
    ] = 2,
    score: Annotated[
        float, typer.Option(min=0, max=1, help='Detections that score less do not count.')
    ] = 0.3,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N.')] = 'auto',
    force: Annotated[
        bool, typer.Option('--force', '-f', help='Replace the folder if it is there.')
    ] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Show what a trained FDTA network attends to, takes for depth, and holds for alike.

    Raises:
        UserError: What is wrong with the weights, the data or the folder.
    """
    require(torch='models', matplotlib='evaluation', jinja2='evaluation')
    from mot_perception.cli.progress import progress_bar
    from mot_perception.fdta.checkpoint import open_network
    from mot_perception.perception.device import choose_device
    from mot_perception.resources import weights as shipped
    from mot_perception.training.fdta.inspection import inspect_footage
    from mot_perception.training.fdta.inspection_report import write_inspection

    network = open_network(shipped(str(weights)), choose_device(device))
    footages = _footages(data or [], network, scenes, frames)
    with progress_bar(quiet=quiet) as bar:
        inspections = [
            inspect_footage(
                network,
                footage,
                frames=frames,
                pictures=pictures,
                least_score=score,
                follow=bar.track,
            )
            for footage in footages
        ]
    facts = {
        'weights': str(weights),
        'depth': f'255 is {_end(network)}',
        'score': f'above {score:g}',
    }
    orientation = network.settings.spatial.orientation
    told = write_inspection(out, inspections, orientation, facts, force=force)
    if not quiet:
        _print(told, out)
    return out


def _footages(data: list[Path], network: Fdta, scenes: int, frames: int) -> list[Footage]:
    """Return what is looked at; with labels of depth where there are any."""
    from mot_perception.training.fdta.label_places import LABELS
    from mot_perception.training.fdta.open_footages import is_bag, open_footages, sequences_of
    from mot_perception.training.fdta.scene_footage import staged_footages

    settings = network.settings
    orientation = settings.spatial.orientation
    if not data:
        size = (min(settings.longer, round(settings.shorter * 16 / 9)), settings.shorter)
        return [
            *staged_footages(
                range(scenes), size=size, orientation=orientation, held_out=True, frames=frames
            )
        ]
    footages: list[Footage] = []
    for path in data:
        for one in [path] if is_bag(path) else sequences_of(path):
            labelled = is_bag(one) or (one / LABELS).is_dir()
            footages += open_footages([one], orientation if labelled else None)
    return footages


def _end(network: Fdta) -> str:
    return 'nearest' if network.settings.spatial.orientation == 'disparity' else 'farthest'


def _print(told: dict[str, dict[str, float]], out: Path) -> None:
    from rich.table import Table

    from mot_perception.training.fdta.inspection_report import INDEX, cell

    columns = {
        'found': 'found', 'alike': 'alike', 'different': 'different', 'same': 'same',
        'depth_error_boxes': 'depth error',
    }  # fmt: skip
    table = Table('sequence', box=None)
    for heading in columns.values():
        table.add_column(heading, justify='right')
    for name, of in told.items():
        table.add_row(name, *(cell(key, of[key]) for key in columns))
    console = Console()
    console.print(table)
    console.print(f'pictures in [bold]{out / INDEX}[/]')
