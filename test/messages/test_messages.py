from __future__ import annotations

import math
import struct
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.messages.detections import (
    ClassIndex,
    detections_to_message,
    message_to_detections,
)
from mot_perception.messages.mapping import (
    MessageClasses,
    ObjectExtras,
    camera_info_message,
    camera_model,
    from_time,
    message_to_tracked_frame,
    to_time,
    tracked_frame_to_message,
)
from mot_perception.messages.tracks_cdr import tracked_frame_to_cdr
from mot_perception.messages.typestore import message_classes, typestore
from mot_perception.types import CameraModel, Detections, Frame, TrackedFrame, Tracks, TrackState

TRACKS = 'mot_perception/msg/TrackedObjectArray'


def tracks_of(n: int, seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-50, 600, (n, 2))
    placed = rng.random((n, 1)) < 0.5
    return Tracks(
        id=np.arange(1, n + 1),
        state=rng.integers(0, 4, n).astype(np.int8),
        xyxy=np.concatenate([corner, corner + rng.uniform(1, 300, (n, 2))], axis=1),
        score=rng.random(n),
        association_score=np.where(rng.random(n) < 0.5, np.nan, rng.random(n)),
        label=rng.integers(0, 5, n).astype(np.int32),
        detection=np.arange(n),
        velocity=rng.normal(0, 90, (n, 2)),
        age=rng.integers(0, 9, n),
        hits=rng.integers(0, 9, n),
        misses=rng.integers(0, 9, n),
        first_seen_ns=rng.integers(0, 2**60, n),
        last_seen_ns=rng.integers(0, 2**60, n),
        depth=np.where(rng.random(n) < 0.5, np.nan, rng.uniform(0.5, 9, n)),
        depth_stddev=np.full(n, np.nan),
        position=np.where(placed, rng.normal(0, 5, (n, 3)), np.nan),
        linear_velocity=np.where(placed, rng.normal(0, 2, (n, 3)), np.nan),
        position_covariance=np.where(placed, rng.random((n, 9)), np.nan),
    )


def tracked_of(n: int, **options) -> TrackedFrame:
    frame = Frame(1_700_000_000_123_456_789, 41, 640, 480, frame_id='camera_optical_frame')
    return TrackedFrame(
        frame, tracks_of(n), 2, 17, 3, True, processing_ns=4_500_000, source='fdta', **options
    )


def through_cdr(message, msgtype=TRACKS):
    return typestore().deserialize_cdr(typestore().serialize_cdr(message, msgtype), msgtype)


@pytest.mark.parametrize('n', [0, 1, 7])
def test_tracks_come_back_through_the_wire(n):
    tracked = tracked_of(n)
    back = message_to_tracked_frame(
        through_cdr(tracked_frame_to_message(tracked, message_classes()))
    )
    assert back.frame.stamp_ns == tracked.frame.stamp_ns
    assert back.frame.frame_id == 'camera_optical_frame'
    assert (back.frame.width, back.frame.height, back.frame.index) == (640, 480, 17)
    for name in ('reset_count', 'frame_index', 'dropped_frames', 'depth_is_metric'):
        assert getattr(back, name) == getattr(tracked, name)
    assert (back.processing_ns, back.source) == (4_500_000, 'fdta')
    for column in fields(Tracks):
        value, given_ = getattr(back.tracks, column.name), getattr(tracked.tracks, column.name)
        if column.name == 'detection':
            assert (value == -1).all()
        else:
            # score, depth and the like are float32 in the message
            np.testing.assert_allclose(value, given_, rtol=1e-6, atol=1e-9, err_msg=column.name)
            assert value.dtype == given_.dtype


def test_the_wire_format_of_one_empty_array():
    tracked = TrackedFrame(Frame(2_000_000_003, 0, 640, 480, frame_id='a'), Tracks())
    raw = typestore().serialize_cdr(tracked_frame_to_message(tracked, message_classes()), TRACKS)
    expected = b'\x00\x01\x00\x00' + struct.pack('<iII2s2x', 2, 3, 2, b'a\x00')
    expected += struct.pack('<I13s3xIQ', 13, b'selftrencmot\x00', 0, 0)
    assert bytes(raw)[: len(expected)] == expected


@settings(deadline=None, max_examples=100)
@given(
    n=st.integers(0, 6),
    seed=st.integers(0, 99),
    frame_id=st.text(max_size=9),
    names=st.lists(st.text(max_size=9), max_size=5),
    metric=st.booleans(),
    stamp=st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1),
)
def test_direct_bytes_equal_the_serialised_message(n, seed, frame_id, names, metric, stamp):
    frame = Frame(
        stamp, 3, 640, 480, None, None, CameraModel(640, 480, 500, 400, 320, 240), frame_id
    )
    tracked = TrackedFrame(frame, tracks_of(n, seed), 1, 2, 3, metric, stamp // 7)
    message = tracked_frame_to_message(tracked, message_classes(), names)
    expected = bytes(typestore().serialize_cdr(message, TRACKS, little_endian=True))
    assert tracked_frame_to_cdr(tracked, names) == expected


@st.composite
def extras_of(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    masks = [rng.integers(0, 2**32, rng.integers(0, 4), np.uint32) for _ in range(n)]
    vectors = [rng.normal(size=rng.integers(0, 4)).astype(np.float32) for _ in range(n)]
    matrix = rng.normal(size=(n, 5)).astype(np.float32)
    return ObjectExtras(
        draw(st.sampled_from([None, masks])), draw(st.sampled_from([None, vectors, matrix]))
    )


@given(st.data(), st.integers(0, 6))
def test_direct_bytes_with_masks_and_embeddings(data, n):
    names = data.draw(st.lists(st.text(max_size=9), max_size=5))
    tracked, extras = tracked_of(n), data.draw(extras_of(n))
    message = tracked_frame_to_message(tracked, message_classes(), names, extras)
    expected = bytes(typestore().serialize_cdr(message, TRACKS, little_endian=True))
    assert tracked_frame_to_cdr(tracked, names, extras) == expected


def test_positions_are_told_where_they_are_known():
    tracks = tracks_of(3)
    tracks.position[:] = [[1, 2, 3], [np.nan] * 3, [4, 5, 6]]
    tracks.linear_velocity[:] = [[7, 8, 9], [np.nan] * 3, [np.nan] * 3]
    tracks.position_covariance[:] = np.arange(27).reshape(3, 9)
    message = through_cdr(
        tracked_frame_to_message(TrackedFrame(Frame(0, 0, 640, 480), tracks), message_classes())
    )
    one, two, three = message.objects
    assert (one.position.x, one.position.y, one.position.z) == (1, 2, 3)
    assert (one.linear_velocity.x, one.linear_velocity.y, one.linear_velocity.z) == (7, 8, 9)
    assert three.position_covariance.tolist() == list(range(18, 27))
    assert math.isnan(two.position.z)
    assert math.isnan(three.linear_velocity.x)


def test_tracks_without_3d_are_nan_in_3d():
    tracks = tracks_of(2)
    flat = [getattr(tracks, column.name) for column in fields(Tracks)][:-3]
    message = tracked_frame_to_message(
        TrackedFrame(Frame(0, 0, 640, 480), Tracks(*flat)), message_classes()
    )
    for found in message.objects:
        point, speed = found.position, found.linear_velocity
        assert np.isnan([point.x, point.y, point.z, speed.x, speed.y, speed.z]).all()
        assert np.isnan(found.position_covariance).all()


def test_names_masks_and_embeddings_are_filled_on_demand():
    tracked = tracked_of(2)
    message = through_cdr(tracked_frame_to_message(tracked, message_classes()))
    assert [it.class_name for it in message.objects] == ['', '']
    assert [len(it.mask_rle) for it in message.objects] == [0, 0]
    tracked.tracks.label[:] = 1, 9
    extras = ObjectExtras(
        [np.array([5, 3], np.uint32), np.array([], np.uint32)], np.eye(2, dtype=np.float32)
    )
    classes = message_classes()
    message = through_cdr(tracked_frame_to_message(tracked, classes, ('car', 'person'), extras))
    assert [it.class_name for it in message.objects] == ['person', '']
    assert message.objects[0].mask_rle.tolist() == [5, 3]
    assert message.objects[1].embedding.tolist() == [0, 1]


def test_all_numbers_are_plain_python_numbers():
    """Rclpy publishes NumPy numbers as zero or fails."""
    names = MessageClasses.__annotations__
    stand_in = MessageClasses(**dict.fromkeys(names, SimpleNamespace))
    tracked = TrackedFrame(Frame(np.int64(5), 0, np.int64(6), 7), tracks_of(3))  # type: ignore
    found = Detections.of([[1, 2, 3, 4]], np.array([0.5], np.float32), [3])

    def leaves(value):
        if isinstance(value, SimpleNamespace):
            for inner in vars(value).values():
                yield from leaves(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from leaves(inner)
        elif not isinstance(value, np.ndarray):
            yield value

    header = SimpleNamespace()
    messages = [
        tracked_frame_to_message(tracked, stand_in),
        detections_to_message(found, header, stand_in, np.array([4])),
    ]
    for message in messages:
        kinds = {type(leaf) for leaf in leaves(message)}
        assert kinds <= {int, float, str, bool}, kinds


def test_states_of_types_and_message_agree():
    text = typestore().generate_msgdef('mot_perception/msg/TrackedObject')[0]
    for state in TrackState:
        assert f'STATE_{state.name}={state.value}' in text.replace(' ', '')


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_times_come_back(nanoseconds):
    message = to_time(nanoseconds, message_classes().Time)
    assert 0 <= message.nanosec < 10**9
    assert from_time(message) == nanoseconds


def test_camera_info_comes_back():
    classes = message_classes()
    header = classes.Header(stamp=to_time(0, classes.Time), frame_id='')
    camera = CameraModel(640, 480, 525.5, 524, 320, 240)
    info = camera_info_message(camera, header, classes)
    assert camera_model(through_cdr(info, 'sensor_msgs/msg/CameraInfo')) == camera
    for bad in (0, -1, math.nan, math.inf):  # an uncalibrated camera publishes zeros
        info.k[0] = bad
        assert camera_model(info) is None


def test_intrinsics_are_those_of_the_image_not_of_the_sensor():
    classes = message_classes()
    header = classes.Header(stamp=to_time(0, classes.Time), frame_id='')
    info = camera_info_message(CameraModel(1280, 960, 1000, 900, 640, 480), header, classes)
    info.binning_x, info.binning_y = 2, 3
    assert camera_model(info) == CameraModel(640, 320, 500, 300, 320, 160)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 200, 180, 600, 480
    assert camera_model(info) == CameraModel(300, 160, 500, 300, 220, 100)


class TestDetections:
    def header(self):
        classes = message_classes()
        return classes.Header(stamp=to_time(1, classes.Time), frame_id='c')

    def round_trip(self, detections, names=(), **options):
        message = detections_to_message(
            detections, self.header(), message_classes(), class_names=names, **options
        )
        message = through_cdr(message, 'vision_msgs/msg/Detection2DArray')
        return message, message_to_detections(message, ClassIndex(names))

    @settings(deadline=None, max_examples=50)
    @given(
        boxes=st.lists(
            st.tuples(*[st.floats(-1e4, 1e4)] * 4, st.floats(0, 1), st.integers(0, 99)),
            max_size=5,
        )
    )
    def test_come_back(self, boxes):
        table = np.array(boxes).reshape(-1, 6)
        detections = Detections.of(table[:, :4], table[:, 4], table[:, 5])
        _, back = self.round_trip(detections)
        np.testing.assert_allclose(back.xyxy, detections.xyxy, atol=1e-9)
        np.testing.assert_array_equal(back.score, detections.score)
        np.testing.assert_array_equal(back.label, detections.label)

    def test_carry_identities_and_class_names(self):
        detections = Detections.of([[0, 0, 2, 2]] * 2, [0.5, 0.6], [1, 5])
        message, back = self.round_trip(detections, ('car', 'person'), ids=np.array([8, 9]))
        assert [it.id for it in message.detections] == ['8', '9']
        texts = [it.results[0].hypothesis.class_id for it in message.detections]
        assert texts == ['person', '5']
        assert back.label.tolist() == [1, 5]

    def test_best_hypothesis_counts(self):
        message, _ = self.round_trip(Detections.of([[0, 0, 2, 2]], [0.2], [3]))
        result = message.detections[0].results[0]
        make = type(result)
        hypothesis = type(result.hypothesis)
        message.detections[0].results = [
            make(hypothesis(class_id='1', score=math.nan), result.pose),
            result,
            make(hypothesis(class_id='dog', score=0.9), result.pose),
        ]
        back = message_to_detections(message, ClassIndex(('cat', 'dog')))
        assert (back.score.tolist(), back.label.tolist()) == ([0.9], [1])
        message.detections[0].results = []
        back = message_to_detections(message, ClassIndex())
        assert (back.score.tolist(), back.label.tolist()) == ([1], [0])

    def test_rotated_box_becomes_the_upright_one_around_it(self):
        message, _ = self.round_trip(Detections.of([[10, 20, 14, 22]]))
        message.detections[0].bbox.center.theta = math.pi / 2
        back = message_to_detections(message, ClassIndex())
        np.testing.assert_allclose(back.xyxy, [[11, 19, 13, 23]])

    @pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e308, -5.0])
    def test_hostile_values_are_marked_invalid_and_raise_nothing(self, value):
        message, _ = self.round_trip(Detections.of([[10, 20, 14, 22]]))
        box = message.detections[0].bbox
        for target, field in ((box, 'size_x'), (box.center, 'theta'), (box.center.position, 'y')):
            before = getattr(target, field)
            setattr(target, field, value)
            back = message_to_detections(message, ClassIndex())
            assert len(back) == 1
            assert field != 'size_x' or not back.valid()[0] or value == 1e308
            setattr(target, field, before)


def test_class_index_is_bounded():
    index = ClassIndex(('person',), most=3)
    assert [index(name) for name in ('person', 'car', 'bike', '7', 'car')] == [0, 1, 2, 7, 1]
    assert [index(name) for name in ('bus', 'van', 'bus')] == [3, 3, 3]
    assert index('9' * 30) == 3  # no number that a class could have
