"""What evaluation needs beyond the package's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from mot_perception.errors import UserError

SCORES = 'trackeval'
REPORT = 'jinja2'


def require(*libraries: str) -> None:
    """Check, before any work is done, that libraries of the extra `evaluation` are installed.

    Raises:
        UserError: One is not.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise UserError(
                f'{library}: not installed; run "pip install \'mot_perception[evaluation]\'" and '
                '"pip install --no-deps trackeval", or replay with --no-evaluate and '
                'output.report: false'
            )
