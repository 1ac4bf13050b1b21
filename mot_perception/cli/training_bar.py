"""How far a training has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import rich.progress
from rich.console import Console

if TYPE_CHECKING:
    from mot_perception.training.run import Progress

_PERIOD = 0.1
"""Seconds between two looks of the bar."""


@contextmanager
def training_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Give something to call after each step; it shows epochs, losses and remaining time."""
    columns = (
        rich.progress.TextColumn('{task.description}'),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True)
    with rich.progress.Progress(
        *columns, console=console, auto_refresh=False, disable=quiet
    ) as bar:
        task = bar.add_task('')
        shown = 0.0

        def on_step(now: Progress) -> None:
            nonlocal shown
            if now.batch < now.batches and perf_counter() - shown < _PERIOD:
                return
            shown = perf_counter()
            losses = ', '.join(f'{name} {value:.4f}' for name, value in now.losses.items())
            bar.update(
                task,
                description=f'epoch {now.epoch + 1}/{now.epochs}: {losses}',
                completed=now.epoch * now.batches + now.batch,
                total=now.epochs * now.batches,
                refresh=True,
            )

        yield on_step
