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
def whole(path: Path, *, force: bool = False, sign: str = '') -> Iterator[Path]:
    """Give a place to write a file or folder to, and move it to `path` once all went well.

    The place lies in a hidden folder beside `path` (hence on the same disk), has the same name,
    and does not exist yet. After an exception or an interrupt nothing is left of it.

    Args:
        path: The file or folder to make; missing parents are made.
        force: Replace what is there already.
        sign: Name of a file that every folder of this kind holds: a folder that is not empty is
            replaced only if it holds one, so that a slip deletes no home.

    Yields:
        Where to write.

    Raises:
        UserError: `path` exists and `force` is off, it is a folder of another kind, or the disk
            refuses (rights, full, …).
    """
    place = Path(path).resolve()  # "." has a name too
    try:
        _check_free(path, force, sign)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{place.name}.', dir=place.parent) as folder:
            part = Path(folder, place.name)
            with _named(part, path):
                yield part
            _take_place(part, place, Path(folder, 'replaced'))
    except FileExistsError as error:
        raise UserError(f'{path}: {error.filename} is no folder; choose another place') from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f'{path}: cannot be written ({reason}); nothing was kept') from error


@contextmanager
def _named(part: Path, path: Path) -> Iterator[None]:
    """Call the passing place in errors by the name that it is going to have."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(part), str(path))) from error


def _check_free(path: Path, force: bool, sign: str) -> None:
    if not path.exists():
        return
    if not force:
        raise UserError(f'{path}: exists already; choose another place or overwrite with --force')
    if path.is_dir() and any(path.iterdir()) and not (path / sign).is_file():
        kind = f'has no {sign}' if sign else 'is a folder'
        raise UserError(f'{path}: {kind}, so it was not made here; choose another place')


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
