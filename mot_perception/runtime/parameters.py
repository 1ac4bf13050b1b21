"""The configuration as ROS parameters: flat, described, ranged; and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from mot_perception.config import Config, is_live, keys, parse_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mot_perception.runtime.topics import Task

Value = bool | int | float | str | list[str] | list[float]

_REPLAY_ONLY = 'input.topics.', 'input.fps', 'output.'
_OF_IMAGES = (
    'models.',
    'stream.cameras',
    'stream.image_transport',
    'stream.queue',
    'stream.stale_after',
)
_OF_TASK: dict[Task, tuple[str, ...]] = {
    'track': ('',),
    'detect': ('detector.', *_OF_IMAGES),
    'depth': ('depth.', *_OF_IMAGES),
}
_FIXED: dict[Task, dict[str, Any]] = {
    'track': {},
    'detect': {},
    'depth': {'detector.backend': 'topic'},  # none is to be loaded
}
PRESETS = 'tracker.preset', 'fdta.preset'
"""Parameters that decide the defaults of the others in their section."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting as a ROS parameter.

    Attributes:
        name: Dotted path in the configuration file, such as 'tracker.max_age'.
        default: Of the type that ROS gives the parameter.
        description: What it does, with unit.
        choices: Texts that it may be; empty where it is no choice.
        low: Least number it may be, or None.
        high: Largest number it may be, or None.
        dynamic: Whether it may change while the node works.
    """

    name: str
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    dynamic: bool = False

    @property
    def constraints(self) -> str:
        """Return in words what values are allowed beside the range."""
        return f'one of: {", ".join(self.choices)}' if self.choices else ''


def parameters(task: Task = 'track', presets: Mapping[str, str] | None = None) -> list[Parameter]:
    """Return the parameters of a node, in the order of the configuration.

    Args:
        task: What the node does: each declares what it uses.
        presets: Values of `PRESETS`, if they are not the usual ones.

    Raises:
        UserError: There is no such preset.
    """
    defaults = configuration(presets or {})
    return [
        _parameter(name, field, _at(defaults, name))
        for name, field in keys()
        if name.startswith(_OF_TASK[task]) and not name.startswith(_REPLAY_ONLY)
    ]


def configuration(values: Mapping[str, Any], task: Task = 'track') -> Config:
    """Return the configuration that parameters make.

    Args:
        values: Parameters by name; what is missing has its default.
        task: What the node does.

    Raises:
        UserError: Some value is not allowed, alone or beside another.
    """
    nested: dict[str, Any] = {}
    for name, value in {**values, **_FIXED[task]}.items():
        *sections, leaf = name.split('.')
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = list(value) if isinstance(value, (list, tuple)) else value
    return parse_config(nested, 'parameters')


def check_names(names: Iterable[str]) -> None:
    """Refuse what looks like a setting and is none: ROS would let 'tracker.max_agee' pass.

    Args:
        names: Names of given parameters; those of other sections than ours are left alone.

    Raises:
        UserError: A section of ours has no such setting.
    """
    known = {name for name, _ in keys()}
    sections = {name.partition('.')[0] for name in known}
    for name in names:
        if name.partition('.')[0] in sections and name not in known:
            configuration({name: None})  # says which one is meant


def _at(config: Config, path: str) -> Any:
    value: Any = config
    for name in path.split('.'):
        value = getattr(value, name)
    return value


def _parameter(name: str, field: Any, default: Any) -> Parameter:
    low, high = _range(field)
    choices = [it for it in get_args(field.annotation) if isinstance(it, str)]
    is_choice = get_origin(field.annotation) is not tuple
    return Parameter(
        name=name,
        default=list(default) if isinstance(default, tuple) else default,
        description=field.description,
        choices=tuple(choices) if is_choice else (),
        low=low,
        high=high,
        dynamic=is_live(field),
    )


def _range(field: Any) -> tuple[float | None, float | None]:
    """Return the bounds; an open bound is given as it is, and checked once more later."""
    if field.annotation not in {int, float}:
        return None, None
    low = high = None
    for rule in field.metadata:
        low = getattr(rule, 'ge', getattr(rule, 'gt', low))
        high = getattr(rule, 'le', getattr(rule, 'lt', high))
    return low, high
