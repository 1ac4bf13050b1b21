"""The tracker node on the real ROS 2: images in, tracks out, whatever happens on the way."""

from __future__ import annotations

import math
import re
from pathlib import Path
from time import sleep

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed here')
pytest.importorskip('mot_perception.msg', reason='the messages are not built: colcon build')

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from mot_perception.msg import TrackedObject
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.parameter import Parameter
from ros_stand import (
    BOX,
    FRAME_ID,
    HEIGHT,
    START,
    WIDTH,
    camera_info,
    detections,
    image,
    jpeg,
    picture,
    quality,
    seconds,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2DArray

from mot_perception.errors import UserError


def test_image_in_tracks_out(stand):
    stand.node()
    stand.feed(stand.publisher(Image, 'image'), 5)
    last = stand.tracks[-1]
    assert seconds(last) == pytest.approx(START + 0.2)
    assert last.header.frame_id == FRAME_ID
    assert (last.image_width, last.image_height) == (WIDTH, HEIGHT)
    assert (last.frame_index, last.dropped_frames, last.reset_count) == (4, 0, 0)
    (it,) = last.objects
    assert it.state == TrackedObject.STATE_CONFIRMED
    assert it.class_name == 'thing'
    assert it.bbox.center.position.x == pytest.approx((BOX[0] + BOX[2]) / 2, abs=2)
    assert it.bbox.size_y == pytest.approx(BOX[3] - BOX[1], abs=2)
    assert math.isnan(it.position.z)
    assert len({message.objects[0].id for message in stand.tracks if message.objects}) == 1


def test_empty_images_are_answered(stand):
    stand.node()
    publisher = stand.publisher(Image, 'image')
    for number in range(3):
        publisher.publish(image(START + number, picture((0, 0, 0, 0))))
        stand.wait_tracks(number + 1)
    assert all(not message.objects for message in stand.tracks)


def test_lifecycle(stand):
    node = stand.node({'autostart': False}, start=False)
    topic = stand.helper.resolve_topic_name('image')
    assert stand.state(node) == State.PRIMARY_STATE_UNCONFIGURED
    assert stand.change_state(node, Transition.TRANSITION_CONFIGURE)
    assert stand.state(node) == State.PRIMARY_STATE_INACTIVE
    assert node.count_subscribers(topic) == 0
    assert stand.change_state(node, Transition.TRANSITION_ACTIVATE)
    assert stand.state(node) == State.PRIMARY_STATE_ACTIVE
    publisher = stand.publisher(Image, 'image')
    stand.feed(publisher, 3)
    assert stand.change_state(node, Transition.TRANSITION_DEACTIVATE)
    stand.wait(lambda: publisher.get_subscription_count() == 0, 'the end of the subscription')
    assert stand.change_state(node, Transition.TRANSITION_ACTIVATE)
    stand.feed(stand.publisher(Image, 'image'), 2, START + 0.2)
    assert stand.tracks[-1].frame_index == 4, 'tracks are kept while inactive'
    assert stand.change_state(node, Transition.TRANSITION_DEACTIVATE)
    assert stand.change_state(node, Transition.TRANSITION_CLEANUP)
    assert stand.state(node) == State.PRIMARY_STATE_UNCONFIGURED
    assert stand.change_state(node, Transition.TRANSITION_CONFIGURE)
    assert stand.change_state(node, Transition.TRANSITION_ACTIVATE)
    stand.feed(stand.publisher(Image, 'image'), 1, START + 1)
    assert stand.tracks[-1].frame_index == 0
    assert stand.change_state(node, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert stand.state(node) == State.PRIMARY_STATE_FINALIZED


def test_configure_fails_in_good_order(stand):
    """Without its model the node stays unconfigured, and lives."""
    node = stand.node(
        {
            'autostart': False,
            'detector.backend': 'transformers',
            'detector.model': '/does/not/exist',
        },
        start=False,
    )
    assert not stand.change_state(node, Transition.TRANSITION_CONFIGURE)
    assert stand.state(node) == State.PRIMARY_STATE_UNCONFIGURED


def test_reset(stand):
    node = stand.node()
    publisher = stand.publisher(Image, 'image')
    stand.feed(publisher, 4)
    answer = stand.call(Trigger, f'{node.get_name()}/reset', Trigger.Request())
    assert answer.success
    stand.feed(publisher, 2, START + 0.2)
    assert stand.tracks[-1].reset_count == 1
    assert stand.tracks[-1].frame_index == 1
    assert stand.tracks[-1].objects[0].id == 1


def test_enable(stand):
    node = stand.node()
    publisher = stand.publisher(Image, 'image')
    stand.feed(publisher, 2)
    service = f'{node.get_name()}/enable'
    assert stand.call(SetBool, service, SetBool.Request(data=False)).success
    for number in range(3):
        publisher.publish(image(START + 1 + number))
    sleep(0.5)
    assert len(stand.tracks) == 2
    assert stand.call(SetBool, service, SetBool.Request(data=True)).success
    stand.feed(publisher, 1, START + 5)
    assert len(stand.tracks) == 3


def test_best_effort_and_reliable_publishers(stand):
    stand.node()
    stand.feed(stand.publisher(Image, 'image', best_effort=True), 1)
    stand.feed(stand.publisher(Image, 'image', best_effort=False), 1, START + 1)
    assert len(stand.tracks) == 2


def test_compressed(stand):
    stand.node({'stream.image_transport': 'compressed'})
    publisher = stand.publisher(CompressedImage, 'image/compressed')
    for number in range(3):
        publisher.publish(jpeg(START + number * 0.05))
        stand.wait_tracks(number + 1)
    assert len(stand.tracks[-1].objects) == 1
    assert stand.tracks[-1].image_width == WIDTH


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_rgbd_gives_positions(stand, encoding):
    stand.node({'depth.backend': 'topic'})
    publisher = stand.publisher(Image, 'image')
    depth = stand.publisher(Image, 'depth')
    info = stand.publisher(CameraInfo, 'camera_info')
    info.publish(camera_info(START))
    sleep(0.5)  # it is latched: it has to be there before the first image
    far = np.full((HEIGHT, WIDTH), 2500, np.uint16)
    metres = far if encoding == '16UC1' else (far / 1000).astype(np.float32)
    for number in range(3):
        stamp = START + number * 0.05
        depth.publish(image(stamp + 0.002, metres, encoding))
        publisher.publish(image(stamp))
        stand.wait_tracks(number + 1)
    last = stand.tracks[-1]
    (it,) = last.objects
    assert last.depth_is_metric
    assert it.depth == pytest.approx(2.5, abs=0.01)
    assert it.position.z == pytest.approx(2.5, abs=0.01)
    centre = (BOX[0] + BOX[2]) / 2
    assert it.position.x == pytest.approx((centre - WIDTH / 2) / 100 * 2.5, abs=0.1)


def test_detections_topic(stand):
    stand.node({'detector.backend': 'topic'})
    publisher = stand.publisher(Image, 'image')
    found = stand.publisher(Detection2DArray, 'detections')
    for number in range(3):
        stamp = START + number * 0.05
        publisher.publish(image(stamp, picture((0, 0, 0, 0))))
        found.publish(detections(stamp))
        stand.wait_tracks(number + 1)
    (it,) = stand.tracks[-1].objects
    assert it.bbox.size_x == pytest.approx(BOX[2] - BOX[0], abs=2)
    assert it.class_name == 'thing'


def test_detections_without_images(stand):
    stand.node({'detector.backend': 'topic', 'stream.image_transport': 'none'})
    found = stand.publisher(Detection2DArray, 'detections')
    for number in range(3):
        found.publish(detections(START + number * 0.05))
        stand.wait_tracks(number + 1)
    assert len(stand.tracks[-1].objects) == 1


def test_two_cameras_share_a_process(stand):
    front, rear = [], []
    stand.listen('front/tracks', front.append)
    stand.listen('rear/tracks', rear.append)
    stand.node({'stream.cameras': ['front', 'rear']})
    publishers = {it: stand.publisher(Image, f'{it}/image') for it in ('front', 'rear')}
    for number in range(3):
        publishers['front'].publish(image(START + number * 0.05))
        stand.wait(lambda wanted=number: len(front) > wanted, 'tracks of front')
    publishers['rear'].publish(image(START))
    stand.wait(lambda: len(rear) == 1, 'tracks of rear')
    assert front[-1].objects[0].id == rear[-1].objects[0].id == 1, 'each camera counts for itself'
    assert (front[-1].frame_index, rear[-1].frame_index) == (2, 0)


def test_detections_with_identities_and_debug_image_on_demand(stand):
    node = stand.node()
    matched, drawn = [], []
    stand.listen(f'{node.get_name()}/detections', matched.append, Detection2DArray)
    publisher = stand.publisher(Image, 'image')
    stand.feed(publisher, 3)
    stand.wait(lambda: len(matched) >= 1, 'detections')
    assert matched[-1].detections[0].id == str(stand.tracks[-1].objects[0].id)
    stand.listen(f'{node.get_name()}/debug_image', drawn.append, Image)
    stand.wait(
        lambda: node.count_subscribers(f'{node.get_fully_qualified_name()}/debug_image') > 0,
        'a subscription to the debug image',
    )
    sleep(0.5)
    stand.feed(publisher, 3, START + 0.15)
    stand.wait(lambda: drawn, 'a debug image')
    assert (drawn[0].width, drawn[0].height) == (WIDTH, HEIGHT)
    assert len(drawn[0].data) == drawn[0].step * HEIGHT


def test_stamps_that_run_back_reset_once(stand):
    stand.node({'use_sim_time': True})
    clock = stand.publisher(Clock, stand.clock)
    publisher = stand.publisher(Image, 'image')

    def play(start: float) -> None:
        for number in range(3):
            now = Clock()
            now.clock.sec = int(start) + number
            clock.publish(now)
        stand.feed(publisher, 3, start)

    play(START)
    play(START - 500)
    assert [it.reset_count for it in stand.tracks] == [0, 0, 0, 1, 1, 1]
    assert stand.tracks[-1].objects[0].id == 1


def test_qos_mismatch_is_reported(stand):
    topic = f'{stand.namespace}/image'
    stand.node({f'qos_overrides.{topic}.subscription.reliability': 'reliable'})
    stand.helper.create_publisher(Image, topic, 1)  # fits
    stand.helper.create_publisher(Image, topic, quality(best_effort=True))

    def reported() -> bool:
        found = stand.diagnosis()
        return (
            found is not None
            and found.level == DiagnosticStatus.WARN
            and 'RELIABILITY' in stand.values()['last fault']
        )

    stand.wait(reported, 'a warning about the QoS')
    assert topic in stand.values()['last fault']


def test_silence_is_reported(stand):
    stand.node({'stream.stale_after': 0.5})

    def reported() -> bool:
        found = stand.diagnosis()
        return found is not None and found.level == DiagnosticStatus.WARN

    stand.wait(reported, 'a warning about the silence')
    assert stand.diagnosis().message == f'no image yet on {stand.namespace}/image'


def test_parameters_are_described(stand):
    node = stand.node()
    described = node.describe_parameter('tracker.max_age')
    assert described.description
    assert described.floating_point_range[0].to_value == 3600.0
    assert not described.read_only
    assert node.describe_parameter('detector.model').read_only
    assert 'paper' in node.describe_parameter('tracker.preset').additional_constraints


def test_parameters_change_while_it_runs(stand):
    node = stand.node()
    publisher = stand.publisher(Image, 'image')
    stand.feed(publisher, 3)
    (result,) = node.set_parameters([Parameter('tracker.max_age', value=0.2)])
    assert result.successful, result.reason
    assert node.get_parameter('tracker.max_age').value == 0.2
    publisher.publish(image(START + 5, picture((0, 0, 0, 0))))
    stand.wait_tracks(4)
    assert [it.state for it in stand.tracks[-1].objects] in ([], [TrackedObject.STATE_REMOVED])


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('tracker.max_age', -1.0, 'tracker.max_age'),
        ('tracker.max_age', 1e9, 'tracker.max_age'),
        ('tracker.max_age', 'long', 'type'),
        ('detector.model', 'other', 'read-only'),
        ('stream.queue', 3, 'read-only'),
    ],
)
def test_parameters_are_refused_with_a_reason(stand, name, value, reason):
    node = stand.node()
    before = node.get_parameter(name).value
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful
    assert re.search(reason, result.reason), result.reason
    assert node.get_parameter(name).value == before


def test_unknown_parameters_are_refused(stand):
    node = stand.node()
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter('tracker.max_ages', value=1.0)])


@pytest.mark.parametrize(
    'wrong', [{'tracker.max_age': -1.0}, {'tracker.max_age': 2}, {'tracker.preset': 'fast'}]
)
def test_it_does_not_start_with_wrong_parameters(stand, wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=name):
        stand.node(wrong, start=False)


def test_malformed_messages_are_counted_and_survived(stand):
    stand.node()
    publisher = stand.publisher(Image, 'image', best_effort=False)
    info = stand.publisher(CameraInfo, 'camera_info', best_effort=False)
    info.publish(CameraInfo())
    short = image(START)
    del short.data[10:]
    unknown = image(START + 0.1, encoding='octarine')
    huge = image(START + 0.2)
    huge.height = huge.width = huge.step = 2**32 - 1
    wrong = [short, unknown, huge, Image()]
    for message in wrong:
        publisher.publish(message)
        sleep(0.2)
    stand.wait(lambda: int(stand.values().get('faults', 0)) >= len(wrong), 'counted faults')
    before = len(stand.tracks)
    publisher.publish(image(START + 1))
    stand.wait_tracks(before + 1)
    assert len(stand.tracks[-1].objects) == 1


def resident_bytes() -> int:
    """Return the memory that this process has in use."""
    pages = int(Path('/proc/self/statm').read_text('ascii').split()[1])
    return pages * 4096


def test_slow_pipeline_takes_the_newest(stand):
    """100 images at 60 Hz, twice, into a detector that needs six periods for one."""
    topic = f'{stand.namespace}/image'
    stand.node(
        {
            f'qos_overrides.{topic}.subscription.reliability': 'reliable',
            f'qos_overrides.{topic}.subscription.depth': 100,
        }
    )
    publisher = stand.publisher(Image, 'image', best_effort=False)
    stand.detector.seconds = 0.1
    pixels = np.zeros((480, 640, 3), np.uint8)

    def play(start: float) -> None:
        for number in range(100):
            publisher.publish(image(start + number / 60, pixels))
            sleep(1 / 60)
        last = start + 99 / 60
        stand.wait(
            lambda: stand.tracks and abs(seconds(stand.tracks[-1]) - last) < 1e-6,
            'the newest image',
        )

    play(START)
    assert len(stand.tracks) < 60
    assert len(stand.tracks) + sum(it.dropped_frames for it in stand.tracks) == 100
    assert int(stand.values()['dropped']) > 0
    before = resident_bytes()
    play(START + 2)
    assert resident_bytes() - before < 40 << 20, 'one second of images is 92 MB'
    stamps = [seconds(it) for it in stand.tracks]
    assert stamps == sorted(stamps)
