"""A progress bar that costs next to nothing."""

from __future__ import annotations

from contextlib import contextmanager
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import Task

    T = TypeVar('T')


class _FramesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.0f} frames/s', style='cyan')


class Bar:
    """Shows how far a loop over frames has come."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def track(self, frames: Iterable[T], name: str, total: int | None) -> Iterator[T]:
        """Yield the frames; the display is moved ten times a second, not at every frame."""
        return iter(self._progress.track(frames, total=total, description=name))


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
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        yield Bar(progress)
