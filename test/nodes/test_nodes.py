"""The nodes on a stand-in for rclpy: what they declare, do in each state, and survive."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fake_rclpy  # isort: skip
from fake_rclpy import TransitionCallbackReturn

sys.path.append(str(Path(__file__).parents[1] / 'runtime'))
from engine_cases import START, boxes, image

from mot_perception.messages.cdr import read_message
from mot_perception.messages.mapping import message_to_tracked_frame
from mot_perception.messages.typestore import DETECTIONS, TRACKS
from mot_perception.runtime.parameters import parameters


@pytest.fixture
def bus(monkeypatch):
    bus = fake_rclpy.install(monkeypatch)
    bus.now_ns = START
    yield bus
    for name in [it for it in sys.modules if it.startswith('mot_perception.nodes')]:
        del sys.modules[name]  # they are bound to the stand-in


@pytest.fixture
def make(bus):
    """Make nodes that are closed in the end."""
    nodes = []

    def make(kind: str = 'tracker', *, remappings: Any = None, **values: Any) -> Any:
        module = importlib.import_module(f'mot_perception.nodes.{kind}_node')
        given = [SimpleNamespace(name=name, value=value) for name, value in values.items()]
        node = getattr(module, f'{kind.capitalize()}Node')(
            namespace='/robot', parameter_overrides=given, remappings=remappings
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.close()


FROM_TOPIC = {'detector.backend': 'topic'}


def wait_for(bus: fake_rclpy.Bus, topic: str, count: int) -> list[bytes]:
    deadline = time.monotonic() + 20
    while len(bus.published.get(topic, [])) < count:
        assert time.monotonic() < deadline, bus.log
        time.sleep(0.002)
    return bus.published[topic]


def feed(bus: fake_rclpy.Bus, frames: int, start_ms: int = 0) -> list[Any]:
    before = len(bus.published.get('/robot/tracks', []))
    for number in range(frames):
        ms = start_ms + 50 * number
        bus.send('/robot/image', image(ms))
        bus.send('/robot/detections', boxes(ms, [[5, 5, 15, 35]]))
        wait_for(bus, '/robot/tracks', before + number + 1)
    raw = bus.published['/robot/tracks'][before:]
    return [message_to_tracked_frame(read_message(data, TRACKS)) for data in raw]


@pytest.mark.parametrize('kind', ['tracker', 'detector', 'depth'])
def test_every_parameter_is_described(make, kind):
    task = {'tracker': 'track', 'detector': 'detect', 'depth': 'depth'}[kind]
    node = make(kind)
    for it in parameters(task):
        value, descriptor = node._parameters[it.name]
        assert value == it.default
        assert descriptor.description == it.description
        assert descriptor.read_only is not it.dynamic
    assert node._parameters['autostart'][0] is True


def test_a_preset_sets_the_defaults_of_the_others(make):
    node = make(**{'tracker.preset': 'release', 'tracker.gate': 0.2})
    assert node._parameters['tracker.height_power'][0] == 0.0
    assert node._parameters['tracker.gate'][0] == 0.2


def test_each_method_has_a_preset(make):
    node = make(**{'fdta.preset': 'release', 'fdta.min_hits': 3})
    assert node._parameters['fdta.assignment'][0] == 'object-max'
    assert node._parameters['fdta.min_hits'][0] == 3
    assert node._parameters['tracker.preset'][0] == 'improved'


def test_fdta_sees_for_itself(make, bus, tmp_path):
    tiny_fdta = pytest.importorskip('tiny_fdta')
    file = tiny_fdta.save(tiny_fdta.bold(), tmp_path / 'bold.safetensors')
    node = make(**{'method': 'fdta', 'fdta.model': str(file)})
    assert node.start()
    for number in range(3):
        bus.send('/robot/image', image(50 * number))
        wait_for(bus, '/robot/tracks', number + 1)
    raw = bus.published['/robot/tracks']
    told = [message_to_tracked_frame(read_message(data, TRACKS)) for data in raw]
    assert len(told[0].tracks) > 0
    assert {tracked.source for tracked in told} == {'fdta'}
    assert '/robot/detections' not in bus.subscriptions
    changed = SimpleNamespace(name='fdta.score', value=0.999)
    assert node.set_parameters([changed])[0].successful
    bus.send('/robot/image', image(150))
    wait_for(bus, '/robot/tracks', 4)
    last = message_to_tracked_frame(read_message(bus.published['/robot/tracks'][3], TRACKS))
    assert (last.tracks.detection < 0).all()


@pytest.mark.parametrize(
    ('values', 'why'),
    [
        ({'method': 'fdta'}, 'needs fdta.model'),
        ({'tracker.max_age': 2}, 'with a decimal point'),
        ({'tracker.high_score': 7.0}, 'out of range'),
        ({'tracker.preset': 'best'}, 'tracker.preset'),
        ({'stream.cameras': ['a b']}, 'no ROS name'),
        ({'tracker.max_agee': 2.0}, 'did you mean tracker.max_age?'),
    ],
)
def test_a_wrong_start_is_one_line(make, values, why):
    from mot_perception.errors import UserError

    with pytest.raises(UserError) as caught:
        make(**values)
    assert why in str(caught.value)
    assert '\n' not in str(caught.value)


def test_it_works_while_active_only(make, bus):
    node = make(**FROM_TOPIC)
    assert node.start()
    assert node.state == 'active'
    assert [len(tracked.tracks) for tracked in feed(bus, 3)] == [1, 1, 1]
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert not bus.subscriptions
    assert node.updater.status('camera').message == 'not active'
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert feed(bus, 1, 150)[0].tracks.id.tolist() == [1]  # it was not forgotten
    node.trigger_deactivate()
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert node._models is None
    assert node.start()
    assert feed(bus, 1, 300)[0].frame_index == 0


def test_an_impossible_transition_is_refused(make, bus):
    node = make(**FROM_TOPIC)
    ask = lambda name: node.ask('~/change_state', transition=SimpleNamespace(id=name)).success  # noqa: E731
    assert not ask('activate')
    assert ask('configure')
    assert not ask('configure')
    assert node.state == 'inactive'
    assert [level for level, text in bus.log if 'transition' in text] == ['warning', 'warning']


def test_parameters_of_others_are_left_alone(make):
    assert make(**{'camera.exposure': 3, 'input.fps': 10.0, 'qos_overrides./image': 1}).start()


def test_subscriptions_are_for_sensors(make, bus):
    qos = sys.modules['rclpy.qos']
    node = make(**FROM_TOPIC, **{'stream.image_transport': 'compressed'},
                remappings={'image': '/cam/image_raw'})  # fmt: skip
    node.start()
    found = bus.subscriptions['/cam/image_raw/compressed']
    assert found.kind.__name__ == 'CompressedImage'
    assert found.qos.reliability == qos.ReliabilityPolicy.BEST_EFFORT
    assert found.qos.history == qos.HistoryPolicy.KEEP_LAST
    assert found.qos.depth == 1


def test_an_incompatible_publisher_is_reported(make, bus):
    node = make(**FROM_TOPIC)
    node.start()
    event = SimpleNamespace(last_policy_kind='RELIABILITY')
    bus.subscriptions['/robot/image'].events.incompatible_qos(event)
    status = node.updater.status('camera')
    assert status.level == b'\1'
    assert '/robot/image' in status.message
    assert 'RELIABILITY' in status.message
    assert any('RELIABILITY' in text for _, text in bus.log)


def test_cameras_have_topics_of_their_own(make, bus):
    node = make(**FROM_TOPIC, **{'stream.cameras': ['front', 'rear']})
    node.start()
    for camera in ('front', 'rear'):
        bus.send(f'/robot/{camera}/image', image(0))
        bus.send(f'/robot/{camera}/detections', boxes(0, [[5, 5, 15, 35]]))
        wait_for(bus, f'/robot/{camera}/tracks', 1)
    assert set(node.updater.tasks) == {'front', 'rear'}


def test_reset_and_enable(make, bus):
    node = make(**FROM_TOPIC)
    assert not node.ask('~/reset').success  # not configured yet
    node.start()
    feed(bus, 5)
    assert node.ask('~/reset').success
    assert feed(bus, 1, 300)[0].reset_count == 1
    assert node.ask('~/enable', data=False).success
    bus.send('/robot/image', image(400))
    assert node.updater.status('camera').message == 'disabled'
    assert node.ask('~/enable', data=True).success
    assert feed(bus, 1, 500)[0].reset_count == 1


def test_parameters_change_or_are_refused(make, bus):
    node = make(**FROM_TOPIC)
    node.start()
    feed(bus, 3)

    def put(name: str, value: Any) -> Any:
        return node.set_parameters([SimpleNamespace(name=name, value=value)])[0]

    assert put('tracker.max_age', 0.01).successful
    bus.send('/robot/image', image(400))
    bus.send('/robot/detections', boxes(400, []))
    wait_for(bus, '/robot/tracks', 4)
    last = message_to_tracked_frame(read_message(bus.published['/robot/tracks'][-1], TRACKS))
    assert last.tracks.state.tolist() in ([], [3])  # it ended
    refused = put('tracker.depthseg_update', 'sometimes')
    assert not refused.successful
    assert 'depthseg_update' in refused.reason
    assert not put('tracker.max_age', -1.0).successful
    assert not put('tracker.preset', 'paper').successful


def test_a_model_that_cannot_be_loaded_is_told_in_one_line(make, bus):
    pytest.importorskip('transformers')
    node = make(**{'detector.backend': 'transformers', 'detector.model': '/nowhere'})
    assert not node.start()
    assert node.state == 'unconfigured'
    errors = [text for level, text in bus.log if level == 'error']
    assert len(errors) == 1
    assert '/nowhere' in errors[0]
    assert 'Traceback' not in errors[0]


def test_warnings_and_errors_of_one_node(make, bus, monkeypatch):
    node = make(**FROM_TOPIC)
    node.start()  # that messages are not installed is an information
    monkeypatch.setattr('mot_perception.pipeline.Pipeline.step', lambda *_: 1 / 0)
    bus.send('/robot/camera_info', b'nothing of a camera')
    bus.send('/robot/image', image(0))
    bus.send('/robot/detections', boxes(0, []))
    deadline = time.monotonic() + 20
    while not any('ZeroDivisionError' in text for _, text in bus.log):
        assert time.monotonic() < deadline, bus.log
        time.sleep(0.002)
    assert {level for level, _ in bus.log} == {'info', 'warning', 'error'}
    assert 'thread has ended' not in node.updater.status('camera').message


@pytest.mark.parametrize('asked_to_stop', [True, False])
def test_what_a_stop_breaks_is_not_logged(make, bus, monkeypatch, asked_to_stop):
    node = make(**FROM_TOPIC)
    node.context.ok = lambda: not asked_to_stop
    monkeypatch.setattr('mot_perception.nodes.perception_node.load_models', lambda _: 1 / 0)
    assert not node.start()
    assert [level for level, _ in bus.log] == ['error'] * (not asked_to_stop)


def test_the_depth_node_says_what_it_needs(make, bus):
    node = make('depth')
    assert not node.start()
    assert 'depth.model' in bus.log[-1][1]


def test_the_detector_node_finds_boxes(make, bus):
    node = make('detector')
    node.start()
    bus.send('/robot/image', image(0))
    message = read_message(wait_for(bus, '/robot/detections', 1)[0], DETECTIONS)
    assert message.header.frame_id == 'camera_optical_frame'
    assert len(message.detections) == 0  # nobody in a black picture


def test_diagnostics_tell_how_it_fares(make, bus):
    node = make(**FROM_TOPIC)
    assert node.updater.status('camera').message == 'not configured'
    node.start()
    bus.now_ns = START + 1_000_000
    feed(bus, 3)
    deadline = time.monotonic() + 20
    while (values := node.updater.status('camera').values)['frames'] != '3':  # after publishing
        assert time.monotonic() < deadline, values
        time.sleep(0.002)
    assert {'frames/s', 'latency p50 ms', 'latency p95 ms', 'dropped', 'faults'} <= values.keys()


def test_optional_messages_are_left_out(make, bus):
    node = make(**FROM_TOPIC)
    node.start()
    assert any('foxglove_msgs is not installed' in text for _, text in bus.log)
    assert any('visualization_msgs is not installed' in text for _, text in bus.log)


def run(monkeypatch: Any, bus: fake_rclpy.Bus, **rclpy: Any) -> int:
    """Run the program of the tracker; return its exit code."""
    for name, function in rclpy.items():
        monkeypatch.setattr(sys.modules['rclpy'], name, function, raising=False)
    code: int = importlib.import_module('mot_perception.nodes.tracker_node').main([])
    assert not bus.ok
    return code


def test_arguments_that_rcl_refuses_are_told_in_one_line(bus, monkeypatch, capsys):
    def refuse(args: Any) -> None:
        raise RuntimeError(
            "Couldn't parse params file\n: 'x.yaml', at /ros/parser.c:271, at /a.c:4"
        )

    assert run(monkeypatch, bus, init=refuse) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Couldn't parse params file : 'x.yaml';")


def test_parameters_that_rclpy_refuses_are_told_in_one_line(bus, monkeypatch, capsys):
    def refuse(*_: Any) -> None:
        raise fake_rclpy.ParameterException('use_sim_time')

    monkeypatch.setattr(fake_rclpy.LifecycleNode, '__init__', refuse)
    assert run(monkeypatch, bus) == 1
    assert capsys.readouterr().err == 'error: use_sim_time\n'


@pytest.mark.parametrize('asked_to_stop', [True, False])
def test_a_stop_while_models_are_loaded_is_no_crash(bus, monkeypatch, asked_to_stop):
    def load(node: Any) -> Any:
        bus.ok = not asked_to_stop
        raise RuntimeError("publisher's context is invalid")

    monkeypatch.setattr(fake_rclpy.LifecycleNode, 'trigger_configure', load)
    if asked_to_stop:
        assert run(monkeypatch, bus) == 0
    else:
        with pytest.raises(RuntimeError):
            run(monkeypatch, bus)
