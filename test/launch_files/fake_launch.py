"""Modules `launch`, `launch_ros`, …, made from the lists of signatures; launch files run on them.

Their classes check the names of their arguments and keep the values as attributes; nothing starts.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from ros_signatures import Parameter, RosApi, RosClass, Signature, ros_api

if TYPE_CHECKING:
    import pytest

PACKAGES = 'launch', 'launch_ros', 'lifecycle_msgs'


class Fake:
    """Whatever was made: what it was made with, as attributes."""

    signature: Signature

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wanted, kind = self.signature, type(self).__name__
        positional = [it.name for it in wanted.parameters if not it.keyword_only]
        if len(args) > len(positional) and not wanted.varargs:
            raise TypeError(f'{kind}: {len(positional)} positional arguments, not {len(args)}')
        given = dict(zip(positional, args, strict=False)) | kwargs
        unknown = given.keys() - {it.name for it in wanted.parameters}
        missing = {it.name for it in wanted.parameters if it.required} - given.keys()
        if unknown or missing:
            raise TypeError(f'{kind}: unknown {unknown}, missing {missing}')
        self.given = given
        for parameter in wanted.parameters:
            setattr(self, parameter.name, given.get(parameter.name))


class FakeContext:
    """The context of a launch: the values of its arguments."""

    def __init__(self, given: dict[str, str]) -> None:
        self.launch_configurations = given


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the modules where imports find them."""
    api = ros_api()
    for name in api.modules:
        if name.split('.')[0] not in PACKAGES:
            continue
        for parent in _parents(name):
            if parent not in api.modules:
                monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, _module(api, name))
    monkeypatch.setitem(sys.modules, 'lifecycle_msgs', types.ModuleType('lifecycle_msgs'))


def _parents(name: str) -> list[str]:
    parts = name.split('.')
    return ['.'.join(parts[:end]) for end in range(1, len(parts))]


def _module(api: RosApi, name: str) -> types.ModuleType:
    made = types.ModuleType(name)
    for of in api.modules[name].classes.values():
        setattr(made, of.name, _class(api, of))
    for function, signature in api.modules[name].functions.items():
        setattr(made, function, type(function, (Fake,), {'signature': signature}))
    return made


def _class(api: RosApi, of: RosClass) -> type[Fake]:
    constants = {name: name for name, kind in of.members.items() if kind is None}
    signature = api.init(of)
    if signature.open:
        signature = Signature((Parameter('value'),))
    return type(of.name, (Fake,), {**constants, 'signature': signature})
