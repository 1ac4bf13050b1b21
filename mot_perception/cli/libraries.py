"""Libraries that only some verbs need."""

from __future__ import annotations

from importlib.util import find_spec

from mot_perception.errors import UserError


def require(**extras: str) -> None:
    """Raise UserError for a library that is not installed.

    Args:
        **extras: Which extra of this package brings it, by the library's name.
    """
    for library, extra in extras.items():
        if find_spec(library) is None:
            raise UserError(
                f'{library}: not installed; run "pip install \'mot_perception[{extra}]\'"'
            )
