"""Weights and notes about them in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

LARGEST_HEADER = 1 << 20
"""Bytes of names, shapes and notes at the beginning of a safetensors file."""


def write_weights(weights: Mapping[str, Tensor], file: Path, about: Mapping[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all.

    Args:
        weights: On any device; no two share memory.
        file: Replaced if it is there.
        about: What is noted beside them, see `read_about`.

    Raises:
        UserError: The file cannot be written.
    """
    tensors = {key: it.detach().cpu().contiguous() for key, it in weights.items()}
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f'.{file.name}.')
        os.close(handle)
    except OSError as error:
        raise _not_written(file, error.strerror) from None
    temporary = Path(name)
    try:
        save_file(tensors, temporary, dict(about))
        temporary.chmod(0o644)
        temporary.replace(file)
    except (OSError, SafetensorError) as error:
        raise _not_written(file, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_about(file: Path) -> dict[str, str]:
    """Return what is noted in a safetensors file beside its weights.

    Raises:
        UserError: Not there, or no safetensors file.
    """
    try:
        with file.open('rb') as stream:
            header = int.from_bytes(stream.read(8), 'little')
        if header > LARGEST_HEADER:
            raise UserError(f'{file}: a header of {header} bytes; {LARGEST_HEADER} at most')
        with safe_open(file, 'pt') as opened:
            return dict(opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f'{file}: cannot be read as safetensors ({said}); copy it again') from None


def _not_written(file: Path, why: object) -> UserError:
    return UserError(f'{file}: cannot be written ({why}); choose another place')
