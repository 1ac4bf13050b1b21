"""Outputs appear whole or not at all, and never in place of something that was there."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def whole(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a place to write a file or folder to, and move it to `path` once all went well.

    The place lies in a hidden folder beside `path` (hence on the same disk), has the same name,
    and does not exist yet. After an exception or an interrupt nothing is left of it.

    Args:
        path: The file or folder to make; missing parents are made.
        force: Replace what is there already.

    Yields:
        Where to write.

    Raises:
        UserError: `path` exists and `force` is off, or the disk refuses (rights, full, …).
    """
    path = Path(path)
    if path.exists() and not force:
        raise UserError(f'{path}: exists already; choose another place or overwrite with --force')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{path.name}.', dir=path.parent) as folder:
            part = Path(folder, path.name)
            yield part
            _take_place(part, path, Path(folder, 'replaced'))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f'{path}: cannot be written ({reason}); nothing was kept') from error


def _take_place(part: Path, path: Path, aside: Path) -> None:
    # A folder replaces nothing in one step, and a file no folder: what was there goes into the
    # temporary folder first, and is deleted with it.
    if not path.exists() or not (path.is_dir() or part.is_dir()):
        part.replace(path)
        return
    path.rename(aside)
    try:
        part.rename(path)
    except OSError:
        aside.rename(path)
        raise


def writable_folder(path: Path) -> None:
    """Make a folder and check that files can be written into it, before any work is done.

    Raises:
        UserError: It cannot be made, is no folder, or refuses files.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f'{path}: not a writable folder ({reason}); choose another') from error
