"""`replay.launch.py`: what is played, in which order things start, that nothing is lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

IMAGE, PACKED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
INFO = 'sensor_msgs/msg/CameraInfo'
BOXES = 'vision_msgs/msg/Detection2DArray'
TRACKS = 'mot_perception/msg/TrackedObjectArray'
RGBD = {
    '/camera/image_raw': IMAGE,
    '/camera/depth/image_raw': IMAGE,
    '/camera/camera_info': INFO,
    '/ground_truth': TRACKS,
}


@pytest.fixture
def make_bag(tmp_path):
    def make(topics: dict[str, str]) -> str:
        rows = [
            {'topic_metadata': {'name': name, 'type': kind}, 'message_count': 3}
            for name, kind in topics.items()
        ]
        rows.append({'topic_metadata': {'name': '/empty', 'type': IMAGE}, 'message_count': 0})
        folder = tmp_path / 'crossing'
        folder.mkdir(exist_ok=True)
        information = {'rosbag2_bagfile_information': {'topics_with_message_count': rows}}
        (folder / 'metadata.yaml').write_text(yaml.safe_dump(information))
        return str(folder)

    return make


class Replay:
    """What replay.launch.py makes of its arguments, taken apart."""

    def __init__(self, actions):
        kinds = {type(it).__name__: it for it in actions}
        self.tracker = kinds['LifecycleNode']
        self.first_change = kinds['EmitEvent'].event
        handlers = [it.event_handler for it in actions if 'event_handler' in it.given]
        self.states = {
            (it.start_state, it.goal_state): it.entities[0]
            for it in handlers
            if 'goal_state' in it.given
        }
        (self.printed,) = (it for it in handlers if 'on_stderr' in it.given)
        (self.exited,) = (it for it in handlers if 'on_exit' in it.given)
        self.recorder = self.printed.target_action
        self.player = self.exited.target_action

    @property
    def played(self) -> list[str]:
        return option(self.player.cmd, '--topics')

    @property
    def parameters(self):
        return self.tracker.parameters[-1]


def option(command, name):
    """Return the words after an option, up to the next."""
    rest = command[command.index(name) + 1 :]
    end = next((i for i, it in enumerate(rest) if it.startswith('--')), len(rest))
    return rest[:end]


@pytest.fixture
def replay(launch_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = launch_file('replay.launch.py')
    return lambda bag, given=(): Replay(file.start({'bag': bag, **dict(given)}))


def test_one_after_the_other(replay, make_bag):
    run = replay(make_bag(RGBD), {'stop_delay': '7.5'})
    assert run.first_change.transition_id == 'TRANSITION_CONFIGURE'
    inactive = run.states['configuring', 'inactive'].event
    assert inactive.transition_id == 'TRANSITION_ACTIVATE'
    assert run.states['activating', 'active'] is run.recorder
    assert run.recorder.cmd[1:3] == ['bag', 'record']
    assert run.player.cmd[1:3] == ['bag', 'play']
    (last,) = run.exited.on_exit
    assert last.cmd[1:] == ['-m', 'mot_perception.nodes.quiet', '/tracks', '7.5']
    (end,) = last.on_exit(None, SimpleNamespace(is_shutdown=False))
    assert end.reason == 'the replay has ended'
    assert 'could not be configured' in run.states['configuring', 'unconfigured'].reason


def test_all_ends_with_the_tracker_or_the_recorder_once(replay, make_bag):
    """A second shutdown would be an error of launch."""
    run = replay(make_bag(RGBD))
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    for process, name in ((run.tracker, 'tracker'), (run.recorder, 'recorder')):
        (action,) = process.on_exit(None, running)
        assert action.reason == f'the {name} has ended'
        assert process.on_exit(None, ending) is None
    assert run.player.on_exit is None


def test_player_starts_once_when_the_recorder_listens(replay, make_bag):
    run = replay(make_bag(RGBD), {'tracks': 'out', 'namespace': 'front'})
    for look in (run.printed.on_stdout, run.printed.on_stderr):
        assert look(SimpleNamespace(text=b"Subscribed to topic '/other'")) is None
    said = SimpleNamespace(text=b"[INFO] [1.2] [rec]: Subscribed to topic '/front/out'\n")
    assert run.printed.on_stderr(said) == [run.player]
    assert run.printed.on_stderr(said) is None


def test_topics_are_found_by_type(replay, make_bag):
    run = replay(make_bag(RGBD))
    assert run.played == ['/camera/image_raw', '/camera/depth/image_raw', '/camera/camera_info']
    assert run.tracker.remappings == [
        ('image', '/camera/image_raw'),
        ('camera_info', '/camera/camera_info'),
        ('depth', '/camera/depth/image_raw'),
    ]
    assert 'depth.backend' not in run.parameters, 'params_file decides, as in an offline replay'
    assert 'detector.backend' not in run.parameters


def test_a_named_depth_topic_is_used(replay, make_bag):
    run = replay(make_bag(RGBD), {'depth': '/camera/depth/image_raw'})
    assert run.parameters['depth.backend'] == 'topic'
    assert ('depth', '/camera/depth/image_raw') in run.tracker.remappings


@pytest.mark.parametrize(
    ('topics', 'given', 'played', 'expected'),
    [
        (
            {'/d': BOXES},
            {},
            ['/d'],
            {'detector.backend': 'topic', 'stream.image_transport': 'none'},
        ),
        ({'/i': IMAGE, '/d': BOXES}, {'detector.backend': 'hog'}, ['/i'], {}),
        ({'/i': IMAGE, '/d': BOXES}, {'method': 'fdta'}, ['/i'], {}),
        ({'/i': IMAGE, '/d': BOXES}, {'params_file': 'fdta'}, ['/i'], {}),
        (
            {'/i': IMAGE, '/d': BOXES},
            {'params_file': 'fdta', 'method': 'selftrencmot'},
            ['/i', '/d'],
            {'detector.backend': 'topic'},
        ),
        ({'/i': IMAGE, '/depth': IMAGE}, {'depth.backend': 'none'}, ['/i'], {}),
        (
            {'/i/compressed': PACKED},
            {},
            ['/i/compressed'],
            {'stream.image_transport': 'compressed'},
        ),
        ({'/i/compressed': PACKED, '/i': IMAGE}, {}, ['/i'], {}),
        (
            {'/i/compressed': PACKED, '/i': IMAGE},
            {'image_transport': 'compressed'},
            ['/i/compressed'],
            {'stream.image_transport': 'compressed'},
        ),
        (
            {'/i/compressed': PACKED},
            {'image': '/i'},
            ['/i/compressed'],
            {'stream.image_transport': 'compressed'},
        ),
        (
            {'/i': IMAGE, '/depth/compressedDepth': PACKED},
            {},
            ['/i', '/depth/compressedDepth'],
            {'stream.depth_transport': 'compressedDepth'},
        ),
        ({'/a': IMAGE, '/b': IMAGE}, {'image': '/b'}, ['/b'], {}),
        (
            {'/a/image': IMAGE, '/a/camera_info': INFO, '/b/camera_info': INFO},
            {},
            ['/a/image', '/a/camera_info'],
            {},
        ),
    ],
)
def test_choice_of_topics(replay, make_bag, topics, given, played, expected):
    run = replay(make_bag(topics), given)
    assert run.played == played
    for name in (
        'detector.backend',
        'depth.backend',
        'stream.image_transport',
        'stream.depth_transport',
    ):
        assert run.parameters.get(name) == (expected | given).get(name), name
    if '/i/compressed' in played:  # the node appends the transport itself
        assert ('image', '/i') in run.tracker.remappings


def test_nothing_gets_lost(replay, make_bag):
    run = replay(make_bag(RGBD))
    (file,) = option(run.player.cmd, '--qos-profile-overrides-path')
    with open(file) as stream:  # noqa: PTH123
        offered = yaml.safe_load(stream)
    for topic in run.played:
        assert offered[topic]['reliability'] == 'reliable'
        assert run.parameters[f'qos_overrides.{topic}.subscription.reliability'] == 'reliable'
        assert run.parameters[f'qos_overrides.{topic}.subscription.depth'] >= 100
    assert run.parameters['stream.queue'] >= 100
    assert (run.parameters['use_sim_time'], run.parameters['autostart']) == (True, False)
    assert option(run.player.cmd, '--wait-for-all-acked')


def test_a_given_queue_is_kept(replay, make_bag):
    assert replay(make_bag(RGBD), {'stream.queue': '5'}).parameters['stream.queue'] == 5


def test_bag_comes_before_options_that_take_any_number_of_words(replay, make_bag):
    """`--clock` and `--topics` would swallow it."""
    bag = make_bag(RGBD)
    run = replay(bag, {'rate': '0.5', 'start_delay': '3'})
    assert run.player.cmd[3] == bag
    assert option(run.player.cmd, '--rate') == ['0.5']
    assert option(run.player.cmd, '--delay') == ['3']
    assert option(run.player.cmd, '--clock') == ['100']
    assert '--delay' not in replay(bag, {'start_delay': '0'}).player.cmd


def test_recording(replay, make_bag, tmp_path):
    bag = make_bag(RGBD)
    command = replay(bag).recorder.cmd
    assert option(command, '--topics') == ['/tracks']
    assert option(command, '--storage') == ['mcap']
    assert option(command, '--output') == ['crossing_tracks']
    assert option(replay(bag, {'out': '/x/y'}).recorder.cmd, '--output') == ['/x/y']
    (tmp_path / 'crossing_tracks').mkdir()
    with pytest.raises(RuntimeError, match='out: crossing_tracks exists'):
        replay(bag)


@pytest.mark.parametrize(
    ('topics', 'given', 'message'),
    [
        ({'/a': IMAGE, '/b': IMAGE}, {}, 'image: several topics fit, /a, /b: give image:='),
        ({'/a': IMAGE}, {'image': '/c'}, 'image:=/c: the bag has no such topic; of its type: /a'),
        ({'/a': IMAGE}, {'detections': '/a'}, 'the bag has no such topic'),
        ({'/t': TRACKS}, {}, 'neither images nor detections; it holds /t'),
        ({'/jpeg': PACKED}, {}, 'neither images nor detections; it holds /jpeg'),
    ],
)
def test_bags_that_do_not_fit(replay, make_bag, topics, given, message):
    with pytest.raises(RuntimeError) as caught:
        replay(make_bag(topics), given)
    assert message in str(caught.value)


def test_bags_that_are_none(replay, tmp_path):
    with pytest.raises(RuntimeError, match='does not exist'):
        replay(str(tmp_path / 'nowhere'))
    folder = tmp_path / 'odd'
    folder.mkdir()
    with pytest.raises(RuntimeError, match='neither images nor detections'):
        replay(str(folder))
    (folder / 'metadata.yaml').write_text('[1, 2')
    with pytest.raises(RuntimeError, match='is this a rosbag2 bag'):
        replay(str(folder))


def test_bag_without_metadata_needs_names(replay, tmp_path):
    file = tmp_path / 'only.mcap'
    file.touch()
    run = replay(str(file), {'image': '/i', 'image_transport': 'compressed'})
    assert run.played == ['/i/compressed']
    assert option(run.recorder.cmd, '--output') == ['only_tracks']
