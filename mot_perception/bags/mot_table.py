"""Numbers of a MOTChallenge text file: 6 to 10 columns, with the line each row came from."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

LEAST_COLUMNS = 6
MOST_COLUMNS = 10
MAX_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class MotTable:
    """What a file says, before it is known what it means.

    Attributes:
        path: The file.
        values: float64 N×10, NaN in cells that the file does not have.
        columns: int64 N, number of cells of each row.
        lines: All lines of the file.
    """

    path: Path
    values: NDArray[np.float64]
    columns: NDArray[np.int64]
    lines: list[str]

    def require(self, good: ArrayLike, rule: str, remedy: str = 'mend or delete the line') -> None:
        """Raise UserError for the first row that is not good, with its file and line."""
        if np.all(good):
            return
        line = int(self.line_numbers[np.argmin(good)])
        text = self.lines[line - 1].strip()[:80]
        raise UserError(f'{self.path}:{line}: {rule}; {remedy} (it says {text!r})')

    @property
    def line_numbers(self) -> NDArray[np.int64]:
        """Line of each row, from 1; blank lines give no row."""
        numbers = [number for number, line in enumerate(self.lines, 1) if line.strip()]
        return np.array(numbers, np.int64)


def read_table(path: Path) -> MotTable:
    """Read a text file of numbers split by commas or spaces; blank lines are skipped.

    Raises:
        UserError: With file and line: unreadable, not text, wrong number of columns, no number.
    """
    lines = _read_lines(path)
    values = _parse_at_once(lines)
    if values is None:
        return _parse_by_line(path, lines)
    n, columns = values.shape
    padded = np.full((n, MOST_COLUMNS), np.nan)
    padded[:, :columns] = values
    return MotTable(path, padded, np.full(n, columns), lines)


def _read_lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f'{path}: larger than 256 MiB; split it, one file a sequence')
        return path.read_text(encoding='utf-8-sig').split('\n')
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); check the path') from error
    except ValueError as error:
        raise UserError(f'{path}: not a text file; give a MOTChallenge text file') from error


def _parse_at_once(lines: list[str]) -> NDArray[np.float64] | None:
    """Return the values of a well-formed file; None where anything is unusual."""
    first = next((line for line in lines if line.strip()), '')
    if not first:
        return np.empty((0, LEAST_COLUMNS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            delimiter = ',' if ',' in first else None
            values = np.loadtxt(lines, delimiter=delimiter, comments=None, ndmin=2)
    except (ValueError, Warning):
        return None
    return values if LEAST_COLUMNS <= values.shape[1] <= MOST_COLUMNS else None


def _parse_by_line(path: Path, lines: list[str]) -> MotTable:
    """Return the values of a file whose rows differ in length, or say what is wrong where."""
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            rows.append(_parse_line(f'{path}:{number}', line))
    padded = [row + [np.nan] * (MOST_COLUMNS - len(row)) for row in rows]
    columns = np.array([len(row) for row in rows], np.int64)
    return MotTable(path, np.array(padded).reshape(-1, MOST_COLUMNS), columns, lines)


def _parse_line(where: str, line: str) -> list[float]:
    cells = line.strip().rstrip(',').split(',') if ',' in line else line.split()
    if not LEAST_COLUMNS <= len(cells) <= MOST_COLUMNS:
        raise UserError(
            f'{where}: {len(cells)} columns; write 6 to 10: '
            'frame,id,left,top,width,height[,score[,class,…]]'
        )
    return [_number(where, cell) for cell in cells]


def _number(where: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        text = cell.strip()[:40]
        raise UserError(f'{where}: {text!r} is not a number; mend the line') from error
