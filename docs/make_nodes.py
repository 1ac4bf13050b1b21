"""Write what the table of parameters is shown as: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from mot_perception.runtime.parameters import parameters
from mot_perception.runtime.topics import Task

ROOT = Path(__file__).parents[1]
TABLE = ROOT / 'launch' / 'parameters.json'


def table() -> str:
    """Return the parameters of every task for the launch files, which cannot import the models."""
    columns = 'name', 'default', 'choices', 'description'
    tasks = {
        task: [{name: getattr(row, name) for name in columns} for row in parameters(task)]
        for task in get_args(Task)
    }
    lines = [
        f'"{task}": [\n' + ',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows) + '\n]'
        for task, rows in tasks.items()
    ]
    return '{\n' + ',\n'.join(lines) + '\n}\n'


if __name__ == '__main__':
    TABLE.write_text(table(), 'utf-8')
