"""The whole way in one command: render a scene, track it, evaluate it, show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mot_perception.cli.replay import ReplayResult, replay
from mot_perception.cli.scene import scene

SEED = 1
CONFIGS = {'selftrencmot': 'demo', 'fdta': 'fdta'}
"""Shipped configuration of each method that needs nothing but shipped networks."""


def demo(
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder for bag and result.')] = Path(
        'demo'
    ),
    tracker: Annotated[
        Literal['selftrencmot', 'fdta'], typer.Option(help='The method.')
    ] = 'selftrencmot',
    people: Annotated[int, typer.Option(help='How many.')] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help='How long.')] = 15.0,
    force: Annotated[bool, typer.Option('--force', help='Replace what is there.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> ReplayResult:
    """Render people in similar clothing who cross; find and track them with shipped networks.

    Raises:
        UserError: A number is out of range, or the folder cannot be written.
    """
    bag = scene(
        out / 'crossing', people=people, seconds=seconds, seed=SEED, force=force, quiet=quiet
    )
    return replay(
        bag,
        out=out / 'result',
        config=CONFIGS[tracker],
        detect=True,
        force=force,
        quiet=quiet,
    )
