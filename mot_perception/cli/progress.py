"""A progress bar that costs next to nothing."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mot_perception.cli.interrupt import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import Task

    T = TypeVar('T')

_PERIOD = 0.1
"""Seconds between two looks of the bar."""


class _FramesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.0f} frames/s', style='cyan')


class Bar:
    """Shows how far a loop over frames has come."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def track(self, frames: Iterable[T], name: str, total: int | None) -> Iterator[T]:
        """Yield the frames; the display is moved ten times a second, not at every frame.

        It is moved from here and not by a thread: an interrupt between two threads' locks could
        leave the program waiting for itself.
        """
        task = self._progress.add_task(name, total=total)
        shown = perf_counter()
        for done, frame in enumerate(frames, 1):
            yield frame
            check()
            if perf_counter() - shown > _PERIOD:
                self._progress.update(task, completed=done, refresh=True)
                shown = perf_counter()
        self._progress.update(task, completed=total, refresh=True)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Bar]:
    """Show a progress bar with frames/s and remaining time on stderr."""
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        _FramesPerSecond(),
        TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, auto_refresh=False, disable=quiet) as progress:
        yield Bar(progress)
