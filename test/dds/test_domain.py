"""What the environment variables of ROS 2 and of Cyclone DDS come to."""

from __future__ import annotations

import pytest

from mot_perception.dds import domain
from mot_perception.dds.domain import domain_id, settings, small_buffers
from mot_perception.dds.node import DdsNode
from mot_perception.errors import UserError


@pytest.mark.parametrize(
    ('asked', 'env', 'number'),
    [(None, {}, 0), (None, {'ROS_DOMAIN_ID': '7'}, 7), (3, {'ROS_DOMAIN_ID': '7'}, 3)],
)
def test_domain(asked, env, number):
    assert domain_id(asked, env) == number


@pytest.mark.parametrize('text', ['233', '-1', 'x', '1.5', '²'])
def test_what_is_no_domain_is_refused(text):
    with pytest.raises(UserError, match='0 to 232'):
        domain_id(None, {'ROS_DOMAIN_ID': text})


def test_large_messages_by_default():
    text = settings({})
    assert '<MaxMessageSize>65500B</MaxMessageSize>' in text
    assert '<MaxSampleSize>256MB</MaxSampleSize>' in text
    assert 'AllowMulticast' not in text


@pytest.mark.parametrize(
    'env', [{'ROS_LOCALHOST_ONLY': '1'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}]
)
def test_this_machine_only(env):
    text = settings(env)
    assert '<AllowMulticast>false</AllowMulticast>' in text
    assert '<Peer address="localhost"/>' in text
    assert '<NetworkInterface address="127.0.0.1"/>' in text


def test_no_discovery():
    text = settings({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'})
    assert '<Tag>ros_discovery_off_' in text
    assert 'Peer ' not in text


def test_static_peers_are_quoted():
    text = settings({'ROS_STATIC_PEERS': '10.0.0.2;a"b'})
    assert '<Peer address="10.0.0.2"/>' in text
    assert "<Peer address='a\"b'/>" in text


def test_the_users_settings_come_last_and_keep_their_interfaces(tmp_path):
    file = tmp_path / 'mine.xml'
    file.write_text('<General><Interfaces><NetworkInterface name="lo"/></Interfaces></General>')
    for uri in (file.read_text(), f'<Tracing/>,file://{file}'):
        text = settings({'ROS_LOCALHOST_ONLY': '1', 'CYCLONEDDS_URI': uri})
        assert text.endswith(f',{uri}')
        assert 'autodetermine' not in text


def test_an_unknown_range_is_refused():
    with pytest.raises(UserError, match='SUBNET, LOCALHOST'):
        settings({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'WORLD'})


def test_settings_that_cyclone_refuses_are_one_line(monkeypatch):
    monkeypatch.setenv('CYCLONEDDS_URI', '<General><NoSuchThing/></General>')
    with pytest.raises(UserError, match='CYCLONEDDS_URI'):
        DdsNode('node')


@pytest.mark.parametrize(
    ('content', 'said'),
    [('212992', 'sysctl -w net.core.rmem_max=16777216'), ('4194304', None), ('x', None)],
)
def test_a_kernel_that_allows_only_small_buffers(content, said, tmp_path, monkeypatch):
    file = tmp_path / 'rmem_max'
    monkeypatch.setattr(domain, 'RMEM_MAX', file)
    assert small_buffers() is None  # not Linux
    file.write_text(content)
    found = small_buffers()
    assert found == said or said in found
