"""Write configuration.md from the models: `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from mot_perception.config import is_live, keys

PAGE = Path(__file__).with_name('configuration.md')
HEAD = """\
# Configuration

One YAML file for the command line and for a ROS node, plain or as a ROS parameter file
(`/**: {ros__parameters: {…}}`), as the shipped ones are. Give the file, or the name of a shipped
one:

| name | what it is for |
|---|---|
| [`motion`](../config/motion.yaml) | boxes and scores are all there is: the default |
| [`selftrencmot`](../config/selftrencmot.yaml) | images and depth: all cues |
| [`fdta`](../config/fdta.yaml) | images of rendered people: the other method |
| [`demo`](../config/demo.yaml) | images and depth of rendered people: the shipped networks |

```yaml
tracker:
  preset: improved   # paper, release
  max_age: 2.0       # settings beside the preset override it
input:
  topics:
    image: /camera/color/image_raw
```

A key that does not exist is an error that names the nearest one. Defaults are those of the preset
`improved`; *live* settings of a node may change while it runs. Written by `make docs`.

| key | default | values | live | what it does |
|---|---|---|---|---|
"""
KINDS = {
    bool: 'true, false',
    int: 'whole number',
    float: 'number',
    str: 'text',
    tuple[float, float]: 'two numbers',
    tuple[str, ...]: 'list of texts',
}


def page() -> str:
    """Return the whole page."""
    return HEAD + ''.join(_row(path, field) for path, field in keys())


def _row(path: str, field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    shown = '' if default is PydanticUndefined else _text(default)
    live = 'live' if is_live(field) else ''
    return f'| `{path}` | {shown} | {_values(field)} | {live} | {field.description} |\n'


def _text(value: Any) -> str:
    shown = f'[{", ".join(map(_plain, value))}]' if isinstance(value, tuple) else _plain(value)
    return f'`{shown}`'


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "''" if value == '' else str(value)


def _values(field: Any) -> str:
    choices = [arg for arg in get_args(field.annotation) if isinstance(arg, str)]
    if choices:
        return ', '.join(f'`{choice}`' for choice in choices)
    kind = KINDS[field.annotation]
    return ' '.join([kind, *filter(None, map(_limit, field.metadata))])


def _limit(rule: Any) -> str:
    for name, sign in (('ge', '≥'), ('gt', '>'), ('le', '≤'), ('lt', '<')):
        if hasattr(rule, name):
            return f'{sign} {getattr(rule, name):g}'
    return ''


if __name__ == '__main__':
    PAGE.write_text(page(), 'utf-8')
