"""What the launch files share: arguments from the table of parameters, and nodes from arguments.

`ros2 launch` runs in the Python of ROS, not in the virtual environment of the nodes: nothing but
launch, PyYAML and the standard library may be imported here. So the table of parameters comes as
the file that `make docs` writes from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from launch.actions import DeclareLaunchArgument
from launch_ros.actions import LifecycleNode, Node

from mot_perception.resources import resource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launch import LaunchContext

PACKAGE = 'mot_perception'
TABLE = 'launch/parameters.json'
MOST_PARAMETER_BYTES = 1 << 20
LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']
RESPAWN_DELAY = 2.0
SHOWN = 'debug_image', 'masks', 'markers'
"""Topics of /tracker_node that the layout of RViz names."""

TOPICS = {
    'image': (
        'image',
        'Images (sensor_msgs/Image); with image_transport:=compressed, <image>/compressed.',
    ),
    'camera_info': ('camera_info', 'Intrinsics of the camera (sensor_msgs/CameraInfo).'),
    'depth': (
        '',
        'Depth images, 16UC1 in mm or 32FC1 in m; given, it sets depth.backend to topic.',
    ),
    'detections': (
        '',
        'Detections (vision_msgs/Detection2DArray); given, it sets detector.backend to topic. '
        "'topic' stands for the relative name detections.",
    ),
    'tracks': ('tracks', 'Where to publish the tracks (mot_perception/TrackedObjectArray).'),
}
"""Launch arguments that remap a topic of that name: default, description."""
BACKENDS = {'depth': 'depth.backend', 'detections': 'detector.backend'}
"""Parameters that a given topic sets to 'topic'."""
SHORT = {
    'image_transport': 'stream.image_transport',
    'depth_transport': 'stream.depth_transport',
}
"""Launch arguments that stand for a parameter of a longer name."""
SWITCHES = {
    'autostart': (
        'Whether the node configures and activates itself; empty: as in params_file, else true.'
    ),
    'use_sim_time': 'Whether time comes from /clock; empty: as in params_file, else false.',
}
"""Launch arguments that are parameters of every node, true or false."""


@dataclass(frozen=True)
class Face:
    """What a launch file knows of its node.

    Attributes:
        executable: Its program, and its name unless another is given.
        task: Which of the table's lists of parameters is its own.
        topics: Arguments that remap a topic, with default and description.
    """

    executable: str
    task: str
    topics: Mapping[str, tuple[str, str]]


TRACKER = Face('tracker_node', 'track', TOPICS)
DETECTOR = Face(
    'detector_node',
    'detect',
    {
        'image': TOPICS['image'],
        'detections': (
            'detections',
            'Where to publish the detections (vision_msgs/Detection2DArray).',
        ),
    },
)
DEPTH = Face(
    'depth_node',
    'depth',
    {
        'image': TOPICS['image'],
        'depth': ('depth', 'Where to publish the depth images (sensor_msgs/Image, 32FC1).'),
    },
)


def table(face: Face) -> dict[str, dict[str, Any]]:
    """Return the parameters of a node by their dotted names, as `make docs` wrote them."""
    rows = json.loads(resource(TABLE).read_text('utf-8'))[face.task]
    return {row['name']: row for row in rows}


def declare(face: Face, *, leave_out: Collection[str] = ()) -> list[DeclareLaunchArgument]:
    """Return the arguments of a launch file: topics, the node, then every parameter."""
    rows = table(face)
    short = {name: path for name, path in SHORT.items() if path in rows}
    declared = [
        *(_topic(name, *text) for name, text in face.topics.items()),
        *_node_arguments(face),
        *(_parameter(name, rows[path]) for name, path in short.items()),
        *(_parameter(path, row) for path, row in rows.items() if path not in short.values()),
    ]
    return [argument for argument in declared if argument.name not in leave_out]


def make_node(
    face: Face,
    context: LaunchContext,
    parameters: Mapping[str, Any] | None = None,
    **options: Any,
) -> LifecycleNode:
    """Return the node that the arguments of a launch describe.

    An argument that was not given changes nothing, so that `params_file` decides.

    Args:
        face: Which node.
        context: Where the arguments are.
        parameters: What the launch file itself sets beside.
        options: Further arguments of the action.

    Raises:
        RuntimeError: An argument has a wrong value, or `params_file` cannot be used; one line.
    """
    given = context.launch_configurations
    from_file = parameter_file(given['params_file'], table(face))
    set_here = {**_parameters(face, given), **(parameters or {})}
    return LifecycleNode(
        package=PACKAGE,
        executable=face.executable,
        name=given['name'],
        namespace=given['namespace'],
        parameters=list(filter(None, [from_file, set_here])),
        remappings=remappings(face, given),
        ros_arguments=['--log-level', given['log_level']],
        respawn=truth('respawn', given.get('respawn', 'false')),
        respawn_delay=RESPAWN_DELAY,
        output='screen',
        emulate_tty=True,
        **options,
    )


def remappings(face: Face, given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the topics that are to be remapped, and what to."""
    pairs = [(name, given.get(name, '')) for name in face.topics]
    for rule in given.get('remappings', '').split():
        source, found, target = rule.partition(':=')
        if not (source and found and target):
            raise RuntimeError(f"remappings: {rule!r} is not 'from:=to'; separate with spaces")
        pairs.append((source, target))
    return [(old, new) for old, new in pairs if new not in ('', old) and (old, new) != DETECTIONS]


DETECTIONS = 'detections', 'topic'
"""What `detections:=topic` says: no remapping."""


def parameter_file(name: str, rows: Mapping[str, Mapping[str, Any]]) -> str | dict[str, Any]:
    """Return what a node takes for `params_file`.

    Args:
        name: A ROS parameter file, a plain YAML file of the command line, or the name of a file
            of the package's folder config.
        rows: The table of parameters; numbers of a plain file get the types in it.

    Returns:
        The path of a ROS parameter file, or the parameters of a plain one.

    Raises:
        RuntimeError: The file is missing, too large, or no YAML.
    """
    path, values = _read(name)
    if _is_for_ros(values):
        return str(path)
    return {
        key: _as(rows[key]['default'], value) if key in rows else value
        for key, value in _flat(values).items()
    }


def method_of(given: Mapping[str, str]) -> str:
    """Return the method that the arguments choose, or `params_file`; empty: the usual one.

    Raises:
        RuntimeError: `params_file` is missing, too large, or no YAML.
    """
    if given.get('method'):
        return given['method']
    _, values = _read(given['params_file'])
    found = (str(it) for key, it in _flat(values).items() if key.split('.')[-1] == 'method')
    return next(found, '')


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    """Return a parameter file's path and what is in it."""
    path = Path(name).expanduser()
    if not path.suffix and len(path.parts) == 1:
        path = resource(f'config/{name}.yaml')
    try:
        with path.open('rb') as stream:
            text = stream.read(MOST_PARAMETER_BYTES + 1)
        if len(text) > MOST_PARAMETER_BYTES:
            raise RuntimeError(f'params_file: {path} is no parameter file: it is too large')
        values = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'it is no YAML'
        raise RuntimeError(f'params_file: {path} cannot be read: {reason}') from None
    if not isinstance(values, dict) and values is not None:
        raise RuntimeError(f'params_file: {path} holds no sections such as "tracker:"')
    return path, values or {}


def truth(name: str, text: str) -> bool:
    """Return whether an argument says true.

    Raises:
        RuntimeError: It says neither true nor false.
    """
    if text.lower() not in ('true', 'false'):
        raise RuntimeError(f'{name}:={text}: give true or false')
    return text.lower() == 'true'


def resolve(given: Mapping[str, str], name: str) -> str:
    """Return the full name of a topic: absolute, '~/…', or relative to the namespace."""
    if name.startswith('/'):
        return name
    node = given['name'] if name.startswith('~/') else ''
    parts = [*given['namespace'].split('/'), node, name.removeprefix('~/')]
    return '/' + '/'.join(filter(None, parts))


def make_rviz(given: Mapping[str, str]) -> Node:
    """Return RViz with our layout, looking at this node's topics."""
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        arguments=['-d', str(resource('config/tracker.rviz')), '-f', given['fixed_frame']],
        remappings=[(f'/tracker_node/{name}', resolve(given, f'~/{name}')) for name in SHOWN],
        parameters=[{'use_sim_time': given['use_sim_time'].lower() == 'true'}],
    )


def _node_arguments(face: Face) -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node and its topics.'
        ),
        DeclareLaunchArgument(
            'name', default_value=face.executable, description='Name of the node.'
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(resource('config/motion.yaml')),
            description='Parameters: a YAML file, of ROS or plain; or motion, selftrencmot, fdta.',
        ),
        *(
            DeclareLaunchArgument(name, default_value='', description=text)
            for name, text in SWITCHES.items()
        ),
        DeclareLaunchArgument(
            'log_level', default_value='info', choices=LOG_LEVELS, description='What is logged.'
        ),
        DeclareLaunchArgument(
            'respawn', default_value='false', description='Start the node again if it ends.'
        ),
        DeclareLaunchArgument(
            'remappings',
            default_value='',
            description='More remappings, as of several cameras: '
            "'front/image:=/front/image_raw rear/image:=/rear/image_raw'.",
        ),
    ]


def _topic(name: str, default: str, description: str) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=description)


def _parameter(name: str, row: Mapping[str, Any]) -> DeclareLaunchArgument:
    shown = json.dumps(row['default'], ensure_ascii=False)
    return DeclareLaunchArgument(
        name,
        default_value='',
        choices=['', *row['choices']] if row['choices'] else None,
        description=f'{row["description"]} Empty: as in params_file, else {shown}.',
    )


def _parameters(face: Face, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that arguments set."""
    rows = table(face)
    found: dict[str, Any] = {
        name: truth(name, given[name]) for name in SWITCHES if given.get(name)
    }
    for name, row in rows.items():
        short = next((short for short, path in SHORT.items() if path == name), name)
        if text := given.get(short, ''):
            found[name] = _typed(short, text, row['default'])
    for topic, backend in BACKENDS.items():
        if face is TRACKER and given.get(topic):
            if found.get(backend, 'topic') != 'topic':
                raise RuntimeError(
                    f'{topic}:={given[topic]} reads a topic, {backend}:={found[backend]} does '
                    'not: give one of them'
                )
            found[backend] = 'topic'
    return found


def _typed(name: str, text: str, example: Any) -> Any:
    """Read an argument as what the default of its parameter is."""
    if isinstance(example, bool):
        return truth(name, text)
    if isinstance(example, list):
        items = [item.strip().strip('\'"') for item in text.strip('[]() ').split(',')]
        return [_typed(name, item, example[0]) for item in items]
    if isinstance(example, str):
        return text
    try:
        return type(example)(text)
    except ValueError:
        kind = 'a whole number' if isinstance(example, int) else 'a number'
        raise RuntimeError(f'{name}:={text}: give {kind}') from None


def _is_for_ros(values: Mapping[str, Any]) -> bool:
    return any(
        key == 'ros__parameters' or (isinstance(value, dict) and _is_for_ros(value))
        for key, value in values.items()
    )


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat


def _as(example: Any, value: Any) -> Any:
    """Return a number of a YAML file with the type of its parameter: ROS keeps 2 and 2.0 apart."""
    if isinstance(example, float) and type(value) is int:
        return float(value)
    if isinstance(example, list) and isinstance(value, list) and example:
        return [_as(example[0], item) for item in value]
    return value
