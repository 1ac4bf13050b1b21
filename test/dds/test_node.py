"""A node over real DDS, beside other processes made of Cyclone's own types."""

from __future__ import annotations

import re
import signal
import time
from threading import Event

import pytest
from dds_world import PATIENCE, peer

from mot_perception.dds import node as node_module
from mot_perception.dds.node import DdsNode
from mot_perception.dds.ros_names import type_hash
from mot_perception.errors import UserError
from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.typestore import typestore

STRING = 'std_msgs/msg/String'
STRING_ON_DDS = 'std_msgs.msg.dds_.String_'


def string(text):
    return write_message(typestore().types[STRING](data=text), STRING)


def text_of(data):
    return read_message(data, STRING).data


class Heard(list):
    """A callback that remembers."""

    def __init__(self):
        self._changed = Event()

    def __call__(self, item):
        self.append(item)
        self._changed.set()

    def wait_for(self, condition, meanwhile=lambda: None):
        end = time.monotonic() + PATIENCE
        while not condition(self):
            assert time.monotonic() < end, f'never came; heard {self[:5]}'
            meanwhile()
            self._changed.wait(0.02)
            self._changed.clear()


@pytest.mark.parametrize('reliable', [True, False])
def test_both_directions(reliable):
    heard = Heard()
    with DdsNode('ours') as node, peer('echo', *['--reliable'] * reliable):
        node.subscribe('out', STRING, heard, reliable=reliable)
        said = node.advertise('in', STRING, reliable=reliable)
        text = 'x' * 100_001  # several packets, and not a multiple of 4
        heard.wait_for(len, meanwhile=lambda: said.publish(string(text)))
        assert said.subscribers == 1
    assert text_of(heard[0]) == text


def test_who_comes_late_gets_what_is_latched():
    with DdsNode('ours') as node:
        node.advertise('kept', STRING, latched=True, depth=1).publish(string('still here'))
        with peer('late') as late:
            assert late.finding() == {'kept': ['still here']}


def test_the_node_is_in_the_ros_graph():
    with DdsNode('ours', '/robot') as node, peer('graph') as graph:
        node.subscribe('image', 'sensor_msgs/msg/Image', print)
        node.advertise('~/kept', STRING)
        node.advertise('tracks', 'mot_perception/msg/TrackedObjectArray')
        while len((found := graph.finding())['writers']) < 2:
            pass
        assert found['namespace'] == '/robot'
        assert found['participant'] == node.guid
        image = f'typehash={type_hash("sensor_msgs/msg/Image")};'
        assert found['readers'] == [
            ['rt/robot/image', 'sensor_msgs::msg::dds_::Image_', image],
        ]
        names = [(topic, kind) for topic, kind, _ in found['writers']]
        assert names == [
            ('rt/robot/ours/kept', 'std_msgs::msg::dds_::String_'),
            ('rt/robot/tracks', 'mot_perception::msg::dds_::TrackedObjectArray_'),
        ]
        assert all(re.fullmatch('typehash=RIHS01_[0-9a-f]{64};', it[2]) for it in found['writers'])


def test_damaged_samples_are_counted_and_reported_once():
    reported, heard = [], Heard()
    with DdsNode('ours', report=reported.append) as node, peer('garbage', 'rt/in', STRING_ON_DDS):
        inlet = node.subscribe('in', STRING, lambda data: heard(text_of(data)), depth=100)
        heard.wait_for(lambda it: 'well' in it and inlet.malformed and inlet.failed)
    assert len(reported) == 2
    assert 'no ROS message' in reported[0] + reported[1]


def test_incompatible_quality_is_reported_by_both_sides():
    here, there = Heard(), Heard()
    with DdsNode('here', report=here) as reader, DdsNode('there', report=there) as writer:
        inlet = reader.subscribe('t', STRING, print, reliable=True)
        writer.advertise('t', STRING, reliable=False)
        here.wait_for(len)
        there.wait_for(len)
        assert '/t: a publisher is not heard, for it offers less reliability' in here[0]
        assert '/t: a subscriber is not reached, for it asks for more reliability' in there[0]
        assert inlet.publishers == 0


def test_another_version_of_a_type_is_reported(monkeypatch):
    reported = Heard()
    with DdsNode('here', report=reported) as reader, DdsNode('there') as writer:
        reader.subscribe('t', STRING, print)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(node_module, 'type_hash', lambda _: f'RIHS01_{"0" * 64}')
            writer.advertise('t', STRING)
        reported.wait_for(len)
    assert reported == [
        f'/t: another process has another version of {STRING}; what is sent may be misread'
    ]


def test_a_subscriber_that_hangs_holds_nobody_up():
    heard = Heard()
    with DdsNode('ours') as node, peer('echo', '--reliable') as hangs:
        said = node.advertise('in', STRING)
        node.subscribe('in', STRING, heard, reliable=True)
        Heard().wait_for(lambda _: said.subscribers == 2)
        hangs.send(signal.SIGSTOP)
        for number in range(40):
            said.publish(string('x' * 1_000_000))
            heard.wait_for(lambda it, number=number: len(it) > number)
        hangs.send(signal.SIGCONT)


def test_a_callback_that_raises_is_reported_once_and_called_again():
    reported, heard = [], Heard()

    def fail(data):
        heard(data)
        raise ValueError('no')

    with DdsNode('ours', report=reported.append) as node:
        inlet = node.subscribe('t', STRING, fail)
        said = node.advertise('t', STRING)
        heard.wait_for(lambda it: len(it) > 2, meanwhile=lambda: said.publish(string('x')))
    assert reported == ['/t: ValueError: no']
    assert inlet.failed == len(heard)
    assert inlet.received == 0


def test_closing_is_final_and_may_be_repeated():
    node = DdsNode('ours')
    said = node.advertise('t', STRING)
    node.close()
    node.close()
    said.publish(string('into the void'))
    assert said.subscribers == said.lost == 0


def test_a_callback_may_close_the_node():
    closed = Heard()
    node = DdsNode('ours')

    def leave(data):
        node.close()
        closed(data)

    node.subscribe('t', STRING, leave)
    said = node.advertise('t', STRING)
    closed.wait_for(len, meanwhile=lambda: said.publish(string('x')))


def test_one_node_goes_and_another_stays():
    heard = Heard()
    with DdsNode('stays') as stays:
        with DdsNode('goes') as goes:
            goes.subscribe('t', STRING, heard)
            said = stays.advertise('t', STRING)
            heard.wait_for(len, meanwhile=lambda: said.publish(string('x')))
        stays.subscribe('t', STRING, heard)
        count = len(heard)
        heard.wait_for(lambda it: len(it) > count, meanwhile=lambda: said.publish(string('y')))


def test_what_is_no_message_is_not_published():
    with DdsNode('ours') as node, pytest.raises(ValueError, match='no message'):
        node.advertise('t', STRING).publish(b'\0\1\0\0')


def test_silence_is_explained():
    with DdsNode('ours') as node:
        inlet = node.subscribe('/in', 'sensor_msgs/msg/Image', print)
        assert 'nobody else is in domain' in node.why_silent(inlet)
        with peer('echo'):
            Heard().wait_for(lambda _: 'nobody publishes it' in node.why_silent(inlet))
        outlet = node.subscribe('/out', 'sensor_msgs/msg/Image', print)
        with peer('echo'):
            Heard().wait_for(lambda _: f'it carries {STRING}' in node.why_silent(outlet))


@pytest.mark.parametrize(('name', 'namespace'), [('a b', '/'), ('a', 'b')])
def test_wrong_names_are_refused_before_anything_is_open(name, namespace):
    with pytest.raises(UserError):
        DdsNode(name, namespace)
