"""Why a topic is silent, in one line that helps."""

from __future__ import annotations

import pytest

from mot_perception.dds.neighbours import Publication, why_silent

IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
WANTED = Publication('/camera/image_raw', IMAGE, reliable=False)


@pytest.mark.parametrize(
    ('heard', 'said'),
    [
        ([], 'nobody publishes it; no Image is published at all'),
        ([Publication('/cam/image_raw', IMAGE)], 'Image is published on /cam/image_raw'),
        ([Publication('/camera/image_rawi', INFO)], 'similar names: /camera/image_rawi (sensor_'),
        ([Publication('/camera/image_raw', COMPRESSED)], f'carries {COMPRESSED}, not {IMAGE}'),
        ([Publication('/camera/image_raw', IMAGE)], 'net.core.rmem_max'),
    ],
)
def test_who_publishes_what(heard, said):
    assert said in why_silent(WANTED, heard, others=1, domain=0)


def test_the_nearest_name_comes_first():
    heard = [Publication(name, IMAGE) for name in ('/a', '/camera/image', '/b', '/c', '/d', '/e')]
    assert 'published on /camera/image, ' in why_silent(WANTED, heard, others=1, domain=0)


def test_nobody_is_there():
    assert 'domain 7: compare ROS_DOMAIN_ID' in why_silent(WANTED, [], others=0, domain=7)


@pytest.mark.parametrize(
    ('wanted', 'said'),
    [
        (Publication('/t', IMAGE, reliable=True), 'best effort'),
        (Publication('/t', IMAGE, reliable=False, latched=True), 'volatile'),
    ],
)
def test_incompatible_quality(wanted, said):
    assert said in why_silent(wanted, [Publication('/t', IMAGE, reliable=False)], 1, 0)
