"""How a function becomes a verb of the program."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import typer


def add_verb(app: typer.Typer, verb: Callable[..., object], example: str) -> None:
    """Let a program, or a group of its verbs, have a verb.

    Args:
        app: The program or group.
        verb: Its name, with '-' for '_', and its docstring are the verb's.
        example: Arguments with which the program is called.
    """
    # What a verb raises is for those who call it in Python.
    text = (inspect.getdoc(verb) or '').partition('\n\nRaises:')[0]
    name = verb.__name__.replace('_', '-')
    app.command(name, help=text, epilog=f'Example: mot-perception {example}')(verb)
