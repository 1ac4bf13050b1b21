"""Launch files, run with fakes of launch and launch_ros."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'test' / 'nodes'))  # ros_signatures is shared with those tests

from fake_launch import FakeContext, install  # noqa: E402


class LaunchFile:
    """One launch file: its arguments, and what it starts for given ones."""

    def __init__(self, name: str) -> None:
        module = runpy.run_path(str(ROOT / 'launch' / name))
        entities = module['generate_launch_description']().initial_entities
        self.arguments = {it.name: it for it in entities if 'default_value' in it.given}
        (self._function,) = (it.function for it in entities if 'function' in it.given)

    def start(self, given: dict[str, str] | None = None) -> list[Any]:
        """Return the actions; the given arguments are checked as launch does it."""
        given = given or {}
        assert given.keys() <= self.arguments.keys()
        values = {name: it.default_value for name, it in self.arguments.items()} | given
        for name, value in values.items():
            assert isinstance(value, str), f'{name} is required'
            choices = self.arguments[name].choices
            assert not choices or value in choices, f'{name}: {value} is none of {choices}'
        return self._function(FakeContext(values))


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[LaunchFile]]:
    """Return what loads a launch file by its name."""
    ours = 'mot_perception.nodes.launching', 'mot_perception.nodes.bag_topics'
    install(monkeypatch)
    for module in ours:
        monkeypatch.delitem(sys.modules, module, raising=False)
    yield LaunchFile
    for module in ours:
        sys.modules.pop(module, None)
