"""Trains the depth-segmentation encoder on stored maps."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from mot_perception.cli.libraries import require

if TYPE_CHECKING:
    from mot_perception.training.judge import EncoderResult


def encoder(
    stores: Annotated[
        list[Path], typer.Argument(metavar='STORE...', help='What mot-perception extract made.')
    ],
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder to make.')],
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            metavar='STORE', help='To look at; else a fifth of the sequences. Repeatable.'
        ),
    ] = None,
    loss: Annotated[
        Literal['improved', 'release', 'paper'],
        typer.Option(help='Contrastive; as the released code has it; as the paper says.'),
    ] = 'improved',
    pairs: Annotated[
        Literal['identity', 'overlap'],
        typer.Option(help='Same object: by stored identities, or where masks overlap most.'),
    ] = 'identity',
    epochs: Annotated[
        int | None, typer.Option(min=1, help='How often all is seen; default: of the loss.')
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help='Frame pairs a step, of all processes; default: of the loss.'),
    ] = None,
    longest_gap: Annotated[
        int, typer.Option(min=1, help='Frames between two views of an object: 1 to this.')
    ] = 1,
    precision: Annotated[
        Literal['float32', 'float16', 'bfloat16'] | None,
        typer.Option(help='On a GPU; default: of the loss.'),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help='Of weights and order.')] = 0,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda, or cuda:1 and so on.')] = 'auto',
    resume: Annotated[
        bool, typer.Option('--resume', help='Go on with the training in --out.')
    ] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Train the depth-segmentation encoder; OUT/encoder.safetensors is what trackers load.

    Raises:
        UserError: A store is missing, damaged or made in another way, or what `train_encoder`
            says.
    """
    require(torch='models', tensorboard='training')
    from mot_perception.cli.training_bar import training_bar
    from mot_perception.training.split import split
    from mot_perception.training.store import open_store
    from mot_perception.training.train_encoder import EncoderTraining, train_encoder

    opened = [open_store(folder) for folder in stores]
    data = split(opened, [open_store(folder) for folder in held_out or ()], pairs, seed)
    settings = EncoderTraining.usual(
        loss,
        pairs=pairs,
        epochs=epochs,
        batch=batch,
        longest_gap=longest_gap,
        precision=precision,
        seed=seed,
    )
    quiet |= os.environ.get('RANK', '0') != '0'  # one of several processes speaks
    console = Console(stderr=True)
    with training_bar(quiet=quiet) as on_step:
        result = train_encoder(
            out,
            data,
            settings,
            device=device,
            resume=resume,
            command=' '.join(['mot-perception', *sys.argv[1:]]),
            on_step=on_step,
            warn=lambda line: console.print(f'warning: {line}', highlight=False),
        )
    if not quiet:
        _print(result, data.held_out_names)
    return result.file


def _print(result: EncoderResult, held_out: tuple[str, ...]) -> None:
    from rich.table import Table

    table = Table('held out', box=None)
    for name in ('untrained', f'after epoch {result.epoch + 1}'):
        table.add_column(name, justify='right')
    for name, value in result.trained.items():
        table.add_row(name, f'{result.untrained[name]:.4f}', f'{value:.4f}')
    console = Console()
    console.print(table)
    console.print(f'held out: {", ".join(held_out)}', highlight=False)
    console.print(f'the encoder is [bold]{result.file}[/]')
