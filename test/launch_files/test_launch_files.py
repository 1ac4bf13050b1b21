"""What the launch files offer, and what they start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mot_perception.resources import resource
from mot_perception.runtime.parameters import parameters

ROOT = Path(__file__).resolve().parents[2]
NODES = {
    'tracker.launch.py': 'track',
    'detector.launch.py': 'detect',
    'depth.launch.py': 'depth',
}
MOTION = str(resource('config/motion.yaml'))


@pytest.mark.parametrize('name', [*NODES, 'replay.launch.py'])
def test_arguments_explain_themselves(launch_file, name):
    arguments = launch_file(name).arguments
    for argument in arguments.values():
        assert argument.description.endswith('.'), argument.name
        if argument.choices:
            assert argument.default_value in argument.choices
    assert all(arguments[it].choices for it in ('log_level', 'image_transport'))


@pytest.mark.parametrize(('name', 'task'), NODES.items())
def test_every_parameter_is_an_argument(launch_file, name, task):
    """The table of parameters makes the arguments: their texts, their choices."""
    arguments = launch_file(name).arguments
    for parameter in parameters(task):
        short = parameter.name.removeprefix('stream.')
        argument = arguments.get(parameter.name) or arguments[short]
        assert argument.description.startswith(parameter.description)
        assert argument.default_value == ''
        assert (argument.choices or ['', *parameter.choices]) == ['', *parameter.choices]


@pytest.mark.parametrize('name', NODES)
def test_nothing_given_leaves_all_to_the_file(launch_file, name):
    (node,) = launch_file(name).start()
    assert node.package == 'mot_perception'
    assert node.executable == node.name == name.replace('.launch.py', '_node')
    assert (node.namespace, node.respawn) == ('', False)
    assert node.parameters == [MOTION]
    assert node.remappings == []
    assert node.ros_arguments == ['--log-level', 'info']


@pytest.mark.parametrize(
    ('given', 'remappings', 'expected'),
    [
        ({'image': '/camera/image_raw'}, [('image', '/camera/image_raw')], {}),
        ({'image': 'image'}, [], {}),
        ({'tracks': '/out', 'camera_info': 'i'}, [('camera_info', 'i'), ('tracks', '/out')], {}),
        ({'detections': 'topic'}, [], {'detector.backend': 'topic'}),
        (
            {'detections': '/yolo/detections'},
            [('detections', '/yolo/detections')],
            {'detector.backend': 'topic'},
        ),
        ({'depth': '/depth'}, [('depth', '/depth')], {'depth.backend': 'topic'}),
        ({'depth': 'depth'}, [], {'depth.backend': 'topic'}),
        (
            {'image_transport': 'compressed', 'depth_transport': 'compressedDepth'},
            [],
            {'stream.image_transport': 'compressed', 'stream.depth_transport': 'compressedDepth'},
        ),
        ({'autostart': 'false'}, [], {'autostart': False}),
        ({'use_sim_time': 'True'}, [], {'use_sim_time': True}),
        ({'tracker.max_age': '2'}, [], {'tracker.max_age': 2.0}),
        ({'stream.queue': '3'}, [], {'stream.queue': 3}),
        ({'models.half': 'false'}, [], {'models.half': False}),
        ({'stream.cameras': '[front, rear]'}, [], {'stream.cameras': ['front', 'rear']}),
        ({'stream.cameras': 'front,rear'}, [], {'stream.cameras': ['front', 'rear']}),
        ({'input.score_range': '0,100'}, [], {'input.score_range': [0.0, 100.0]}),
        (
            {'remappings': 'front/image:=/f rear/image:=/r'},
            [('front/image', '/f'), ('rear/image', '/r')],
            {},
        ),
        (
            {'detections': '/d', 'detector.backend': 'topic'},
            [('detections', '/d')],
            {'detector.backend': 'topic'},
        ),
    ],
)  # fmt: skip
def test_given_arguments(launch_file, given, remappings, expected):
    (node,) = launch_file('tracker.launch.py').start(given)
    assert node.remappings == remappings
    assert node.parameters == [MOTION, *filter(None, [expected])]
    values = node.parameters[-1]
    if expected:  # 2 and 2.0 are of different types for ROS
        assert {k: type(v) for k, v in values.items()} == {k: type(v) for k, v in expected.items()}


def test_outputs_of_the_small_nodes_are_only_remapped(launch_file):
    (node,) = launch_file('detector.launch.py').start({'detections': '/found'})
    assert (node.remappings, node.parameters) == ([('detections', '/found')], [MOTION])
    (node,) = launch_file('depth.launch.py').start({'depth': '/metres', 'image': '/i'})
    assert node.remappings == [('image', '/i'), ('depth', '/metres')]
    assert node.parameters == [MOTION]


def test_respawn_namespace_name_log_level(launch_file):
    given = {'namespace': 'front', 'name': 'mot', 'respawn': 'true', 'log_level': 'debug'}
    (node,) = launch_file('tracker.launch.py').start(given)
    assert (node.namespace, node.name, node.respawn) == ('front', 'mot', True)
    assert node.ros_arguments == ['--log-level', 'debug']


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'use_sim_time': 'maybe'}, 'use_sim_time:=maybe: give true or false'),
        ({'respawn': '1'}, 'respawn:=1: give true or false'),
        ({'tracker.max_age': 'long'}, 'tracker.max_age:=long: give a number'),
        ({'stream.queue': '1.5'}, 'stream.queue:=1.5: give a whole number'),
        ({'remappings': 'image=/x'}, "remappings: 'image=/x' is not 'from:=to'"),
        ({'detections': '/d', 'detector.backend': 'hog'}, 'give one of them'),
        ({'params_file': '/does/not/exist.yaml'}, 'cannot be read: No such file'),
    ],
)
def test_mistakes_are_told_in_one_line(launch_file, given, message):
    with pytest.raises(RuntimeError) as caught:
        launch_file('tracker.launch.py').start(given)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['- a list', 'a: [', '\x00', '"text"'])
def test_params_file_that_is_none(launch_file, tmp_path, text):
    file = tmp_path / 'p.yaml'
    file.write_text(text)
    with pytest.raises(RuntimeError, match='params_file'):
        launch_file('tracker.launch.py').start({'params_file': str(file)})


def test_params_file_that_is_huge(launch_file, tmp_path):
    file = tmp_path / 'p.yaml'
    file.write_bytes(b'#' * (2 << 20))
    with pytest.raises(RuntimeError, match='too large'):
        launch_file('tracker.launch.py').start({'params_file': str(file)})


def test_plain_params_file_gets_the_types_of_the_parameters(launch_file, tmp_path):
    """The command line's YAML serves the node too, though ROS would not read it."""
    file = tmp_path / 'mine.yaml'
    file.write_text('tracker: {max_age: 2, preset: paper}\nstream: {queue: 3}\n')
    start = launch_file('tracker.launch.py').start
    (node,) = start({'params_file': str(file), 'tracker.gate': '0.1'})
    assert node.parameters == [
        {'tracker.max_age': 2.0, 'tracker.preset': 'paper', 'stream.queue': 3},
        {'tracker.gate': 0.1},
    ]
    assert isinstance(node.parameters[0]['tracker.max_age'], float)
    file.write_text('')
    (node,) = start({'params_file': str(file)})
    assert node.parameters == []


def test_params_file_of_ros_is_handed_on(launch_file, tmp_path):
    file = tmp_path / 'robot.yaml'
    file.write_text('/front/tracker_node: {ros__parameters: {tracker: {max_age: 2.0}}}\n')
    (node,) = launch_file('tracker.launch.py').start({'params_file': str(file)})
    assert node.parameters == [str(file)]


def test_params_file_by_its_name(launch_file):
    (node,) = launch_file('tracker.launch.py').start({'params_file': 'selftrencmot'})
    assert node.parameters == [str(resource('config/selftrencmot.yaml'))]


def test_rviz_looks_at_this_node(launch_file):
    given = {'rviz': 'true', 'namespace': '/front', 'name': 'mot', 'fixed_frame': 'optical'}
    _, rviz = launch_file('tracker.launch.py').start(given)
    assert (rviz.package, rviz.executable) == ('rviz2', 'rviz2')
    assert rviz.arguments == ['-d', str(resource('config/tracker.rviz')), '-f', 'optical']
    assert ('/tracker_node/debug_image', '/front/mot/debug_image') in rviz.remappings


def test_domain_and_packages_are_left_alone():
    """Nothing is installed, evaluated, or put into the environment by a launch file."""
    for path in (ROOT / 'launch').glob('*.py'):
        text = path.read_text('utf-8')
        for word in (
            'ROS_DOMAIN_ID',
            'EnvironmentVariable',
            'eval(',
            'PythonExpression',
            'pip',
            'import os',
        ):
            assert word not in text, f'{path.name}: {word}'


def test_launching_needs_nothing_of_the_nodes(tmp_path):
    """`ros2 launch` runs in the system's Python: it has neither pydantic 2 nor numpy 2."""
    for module in ('launch', 'launch_ros'):
        (tmp_path / module).mkdir()
        (tmp_path / module / '__init__.py').touch()
    (tmp_path / 'launch' / 'actions.py').write_text('DeclareLaunchArgument = print\n')
    (tmp_path / 'launch_ros' / 'actions.py').write_text('LifecycleNode = Node = print\n')
    code = (
        'import sys; import mot_perception.nodes.bag_topics, mot_perception.nodes.launching; '
        "print([m for m in ('pydantic', 'numpy', 'rosbags', 'cv2', 'torch') if m in sys.modules])"
    )
    env = {'PYTHONPATH': f'{tmp_path}:{ROOT}'}
    out = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, env=env
    )
    assert json.loads(out.stdout.replace("'", '"')) == []
