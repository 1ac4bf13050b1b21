"""ROS names and their DDS spelling; the values are those of a real ROS 2 Jazzy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.dds import ros_names
from mot_perception.errors import UserError


@pytest.mark.parametrize(
    ('name', 'namespace', 'full'),
    [
        ('tracks', '/', '/tracks'),
        ('tracks', '/robot', '/robot/tracks'),
        ('front/image', '/robot/left', '/robot/left/front/image'),
        ('/camera/image_raw', '/robot', '/camera/image_raw'),
        ('~/markers', '/', '/node/markers'),
        ('~/markers', '/robot', '/robot/node/markers'),
        ('_hidden', '/', '/_hidden'),
    ],
)
def test_resolve(name, namespace, full):
    assert ros_names.resolve(name, 'node', namespace) == full
    assert ros_names.ros_topic(ros_names.dds_topic(full)) == full


@pytest.mark.parametrize(
    'name',
    ['', '/', 'a//b', 'a/', '2d', 'a/2d', 'a b', 'a-b', '~', '~name', 'ä', 'a\n', 'a' * 248],
)
def test_what_is_no_topic_is_refused(name):
    with pytest.raises(UserError, match='topic'):
        ros_names.resolve(name, 'node')


@given(st.text(), st.text())
def test_any_name_is_resolved_or_refused(name, namespace):
    try:
        ros_names.check_node('node', namespace)
        full = ros_names.resolve(name, 'node', namespace)
    except UserError:
        return
    assert full.startswith('/')
    assert ros_names.resolve(full, 'other', '/elsewhere') == full


@pytest.mark.parametrize(
    ('node', 'namespace'), [('a b', '/'), ('', '/'), ('a', 'b'), ('a', '/b/')]
)
def test_what_is_no_node_is_refused(node, namespace):
    with pytest.raises(UserError, match=r'node name|namespace'):
        ros_names.check_node(node, namespace)


def test_other_topics_of_dds_are_no_ros_topics():
    assert ros_names.ros_topic('rq/node/resetRequest') is None
    assert ros_names.ros_topic('ros_discovery_info') is None


def test_types():
    assert ros_names.dds_type('sensor_msgs/msg/Image') == 'sensor_msgs::msg::dds_::Image_'
    assert ros_names.ros_type('sensor_msgs::msg::dds_::Image_') == 'sensor_msgs/msg/Image'
    assert ros_names.ros_type('HelloWorld') == 'HelloWorld'


@pytest.mark.parametrize(
    ('msgtype', 'start'),
    [
        ('std_msgs/msg/String', 'df668c740482bbd48fb39d76a70dfd4b'),
        ('sensor_msgs/msg/Image', 'd31d41a9a4c4bc8eae9be757b0beed30'),
        ('vision_msgs/msg/Detection2DArray', '214274120007f4a683866481336b7031'),
    ],
)
def test_type_hashes(msgtype, start):
    assert ros_names.type_hash(msgtype).startswith(f'RIHS01_{start}')
