"""Write what follows from the table of parameters and topics: `make docs`.

That is the file that the launch files read, and the tables in the pages of the nodes, between
`<!-- topics -->` or `<!-- parameters -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mot_perception.config import Config
from mot_perception.runtime.parameters import parameters
from mot_perception.runtime.topics import OUTPUTS, Task, inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mot_perception.runtime.parameters import Parameter
    from mot_perception.runtime.topics import Topic

ROOT = Path(__file__).parents[1]
TABLE = ROOT / 'launch' / 'parameters.json'
PAGES: dict[Task, Path] = {
    'track': ROOT / 'docs' / 'tracker_node.md',
    'detect': ROOT / 'docs' / 'detector_node.md',
    'depth': ROOT / 'docs' / 'depth_node.md',
}
SECTION = re.compile(r'<!-- (topics|parameters) -->\n.*?<!-- end -->\n', re.DOTALL)
# All that there can be: each input is there only if a setting asks for it.
EVERY_INPUT = {'detector': {'backend': 'topic'}, 'depth': {'backend': 'topic'}}
READS = {
    'image': 'Images; `image/compressed` (sensor_msgs/CompressedImage) where '
    '`stream.image_transport` is `compressed`; a tracker of given boxes needs none (`none`).',
    'detections': 'Boxes, where `detector.backend` is `topic`.',
    'depth': 'Depth, 16UC1 in mm or 32FC1 in m, where `depth.backend` is `topic`; '
    '`depth/compressedDepth` where `stream.depth_transport` says so.',
    'camera_info': 'Intrinsics; the newest counts. Needed for positions in 3D.',
}
WRITES = {
    'tracks': 'All tracks of each image, also where there are none.',
    'detections': 'The boxes of each image.',
    '~/detections': "The boxes that tracks were matched with; `id` is the track's.",
    '~/annotations': 'Boxes and identities for the Image panel of Foxglove.',
    '~/markers': 'Positions in space, where depth is in metres.',
    '~/masks': 'Who is where, 16UC1: each pixel the id of its track, or 0; made only while '
    'somebody listens, where there are masks (`masks.backend`).',
    '~/debug_image': 'The image with boxes and identities; drawn only while somebody listens.',
    'depth': 'Depth of each image, 32FC1 in metres.',
}


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


def page(task: Task) -> str:
    """Return the page of a node with its tables as they have to be."""
    sections = {'topics': _topics, 'parameters': _parameters}

    def fill(match: re.Match[str]) -> str:
        rows = '\n'.join(sections[match[1]](task))
        return f'<!-- {match[1]} -->\n{rows}\n<!-- end -->\n'

    return SECTION.sub(fill, PAGES[task].read_text('utf-8'))


def _topics(task: Task) -> Iterator[str]:
    yield '| topic | type | QoS | |'
    yield '|---|---|---|---|'
    for topic in inputs(Config.model_validate(EVERY_INPUT), task).values():
        quality = 'best effort, keep last `stream.queue`'
        yield f'| `{topic.name}` in | {_type(topic)} | {quality} | {READS[topic.name]} |'
    for topic in OUTPUTS[task].values():
        quality = f'reliable, keep last {topic.kept}'
        yield f'| `{topic.name}` out | {_type(topic)} | {quality} | {WRITES[topic.name]} |'


def _type(topic: Topic) -> str:
    return topic.msgtype.replace('/msg/', '/')


def _parameters(task: Task) -> Iterator[str]:
    yield '| parameter | default | values | live | what it does |'
    yield '|---|---|---|---|---|'
    for row in parameters(task):
        live = 'live' if row.dynamic else ''
        default = json.dumps(row.default, ensure_ascii=False)
        about = row.description.replace('<', '&lt;')  # Markdown would take it for a tag
        yield f'| `{row.name}` | `{default}` | {_values(row)} | {live} | {about} |'


def _values(row: Parameter) -> str:
    if row.choices:
        return ', '.join(f'`{choice}`' for choice in row.choices)
    bounds = [f'from {row.low:g}'] if row.low is not None else []
    return ' '.join(bounds + ([f'to {row.high:g}'] if row.high is not None else []))


if __name__ == '__main__':
    TABLE.write_text(table(), 'utf-8')
    for task, path in PAGES.items():
        path.write_text(page(task), 'utf-8')
