"""What people and programs get of a tracked frame: the bytes, and what is in them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import mot_perception.messages
from mot_perception.bags.drawing import colour_of
from mot_perception.config import StreamConfig
from mot_perception.messages.detections import ClassIndex, message_to_detections
from mot_perception.messages.images import decode_image
from mot_perception.messages.mapping import ObjectExtras
from mot_perception.messages.mask_rle import run_lengths
from mot_perception.messages.tracks_cdr import tracked_frame_to_cdr
from mot_perception.messages.typestore import DETECTIONS, IMAGE, TRACKS, typestore
from mot_perception.runtime.annotations import image_annotations
from mot_perception.runtime.markers import Markers
from mot_perception.runtime.outputs import (
    DebugImage,
    diagnostics_message,
    mask_image,
    matched_detections,
    object_extras,
)
from mot_perception.runtime.topics import ANNOTATIONS, MARKERS
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.types import CameraModel, Frame, TrackedFrame, Tracks, TrackState

CAMERA = CameraModel(640, 480, 500, 500, 320, 240)
DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
TENTATIVE, CONFIRMED, COASTING, REMOVED = TrackState
NAMES = ('person', 'car', 'é', '')


def tracked_of(states, seed=0, camera=CAMERA, image=None, **options):
    """Tracks 1, 2, … in these states, at random places with known positions."""
    n, rng = len(states), np.random.default_rng(seed)
    states = np.array(states, np.int8)
    corner = rng.uniform(0, 300, (n, 2))
    coasting = states == COASTING
    tracks = Tracks(
        id=np.arange(1, n + 1),
        state=states,
        xyxy=np.hstack([corner, corner + rng.uniform(10, 200, (n, 2))]),
        score=rng.random(n),
        association_score=rng.random(n),
        label=rng.integers(0, 6, n).astype(np.int32),
        detection=np.where(coasting, -1, np.arange(n)),
        velocity=rng.normal(0, 9, (n, 2)),
        age=np.full(n, 9),
        hits=np.full(n, 9),
        misses=coasting.astype(np.int64),
        first_seen_ns=np.zeros(n, np.int64),
        last_seen_ns=np.zeros(n, np.int64),
        depth=np.where(coasting, np.nan, rng.uniform(1, 9, n)),
        depth_stddev=np.full(n, 0.1),
        position=rng.uniform((-3, -1, 2), (3, 1, 9), (n, 3)),
        linear_velocity=rng.uniform(0.5, 2, (n, 3)),
        position_covariance=rng.random((n, 9)),
    )
    options = {'depth_is_metric': True} | options
    frame = Frame(5_000_000_007, 3, 640, 480, image, camera=camera, frame_id='optical')
    return TrackedFrame(frame, tracks, **options)


def changed(tracked, **columns):
    return replace(tracked, tracks=replace(tracked.tracks, **columns))


def read(data, msgtype):
    return typestore().deserialize_cdr(data, msgtype)


WRITERS = {
    TRACKS: tracked_frame_to_cdr,
    DETECTIONS: matched_detections,
    ANNOTATIONS: image_annotations,
    MARKERS: lambda tracked, names: Markers()(tracked, names),
}


@given(
    states=st.lists(st.sampled_from(TrackState), max_size=6),
    seed=st.integers(0, 99),
    names=st.lists(st.text(max_size=9), max_size=6),
    frame_id=st.text(max_size=9),
    nan=st.lists(
        st.sampled_from(['xyxy', 'depth', 'position', 'linear_velocity', 'score']), max_size=2
    ),
    msgtype=st.sampled_from(list(WRITERS)),
)
def test_bytes_are_those_of_a_serialiser(states, seed, names, frame_id, nan, msgtype):
    tracked = tracked_of(states, seed)
    tracked = replace(tracked, frame=replace(tracked.frame, frame_id=frame_id))
    for name in nan if states else []:
        getattr(tracked.tracks, name)[0] = np.nan
    data = WRITERS[msgtype](tracked, names)
    assert isinstance(data, bytes)
    message = read(data, msgtype)
    assert data == bytes(typestore().serialize_cdr(message, msgtype, little_endian=True))


@pytest.mark.parametrize('value', [1e300, -1e300, np.inf, 1e-300])
@pytest.mark.parametrize('column', ['xyxy', 'depth', 'position', 'linear_velocity'])
def test_extreme_values_break_nothing(value, column):
    tracked = tracked_of([CONFIRMED, COASTING, TENTATIVE])
    getattr(tracked.tracks, column)[:] = value
    with np.errstate(all='ignore'):
        for msgtype, write in WRITERS.items():
            read(write(tracked, NAMES), msgtype)


class TestEmbeddings:
    def test_each_object_has_its_own(self):
        vectors = [np.array([0.6, 0.8], np.float32), np.empty(0, np.float32)]
        tracked = tracked_of([CONFIRMED, COASTING])
        extras = ObjectExtras(embedding=vectors)
        message = read(tracked_frame_to_cdr(tracked, NAMES, extras), TRACKS)
        np.testing.assert_array_equal(message.objects[0].embedding, vectors[0])
        assert len(message.objects[1].embedding) == 0

    def test_else_the_message_is_the_same(self):
        tracked = tracked_of([CONFIRMED] * 3)
        nothing = [np.empty(0, np.float32)] * 3
        extras = ObjectExtras(embedding=nothing)
        assert tracked_frame_to_cdr(tracked, NAMES, extras) == tracked_frame_to_cdr(tracked, NAMES)


def masked(states, masks, depth, **columns):
    tracked = changed(tracked_of(states), depth=np.array(depth, np.float64), **columns)
    return replace(tracked, masks=masks, frame=replace(tracked.frame, width=6, height=4))


class TestExtras:
    def masked(self):
        masks = np.random.default_rng(0).random((3, 4, 4)) < 0.5
        return masked([CONFIRMED, COASTING, CONFIRMED], masks, [1, np.nan, 2])

    def test_are_made_where_they_are_wanted(self):
        tracker = SelfTrEncMotTracker()
        assert object_extras(self.masked(), tracker, StreamConfig()) is None
        extras = object_extras(self.masked(), tracker, StreamConfig(publish_embeddings=True))
        assert extras.mask_rle is None
        assert [len(vector) for vector in extras.embedding] == [0, 0, 0]
        extras = object_extras(self.masked(), tracker, StreamConfig(publish_masks=True))
        assert extras.embedding is None
        first, _, third = run_lengths(self.masked().masks, 6, 4)
        found = [runs.tolist() for runs in extras.mask_rle]
        assert found == [first.tolist(), [], third.tolist()]


def owners(tracked):
    """Who is seen in each pixel, one pixel after the other."""
    tracks, frame, masks = tracked.tracks, tracked.frame, tracked.masks
    picture = np.zeros((frame.height, frame.width), np.uint16)
    depth_or_far = np.where(np.isnan(tracks.depth), np.inf, tracks.depth)
    for y in range(frame.height):
        for x in range(frame.width):
            nearest = np.inf
            cell = (
                (2 * y + 1) * masks.shape[1] // (2 * frame.height),
                (2 * x + 1) * masks.shape[2] // (2 * frame.width),
            )
            for identity, detection, depth in zip(
                tracks.id, tracks.detection, depth_or_far, strict=True
            ):
                if detection >= 0 and masks[detection][cell] and depth <= nearest:
                    nearest = depth
                    picture[y, x] = identity
    return picture


class TestMaskImage:
    @given(st.data())
    def test_shows_who_is_in_front(self, data):
        n = data.draw(st.integers(0, 4))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        states = data.draw(
            st.lists(st.sampled_from([CONFIRMED, COASTING]), min_size=n, max_size=n)
        )
        depth = data.draw(
            st.lists(st.sampled_from([1, 2, 2.5, np.nan, np.inf]), min_size=n, max_size=n)
        )
        masks = rng.random((n, rng.integers(1, 6), rng.integers(1, 6))) < 0.5
        tracked = masked(states, masks, depth)
        message = read(mask_image(tracked), IMAGE)
        header = message.header
        assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (5, 7, 'optical')
        assert (message.encoding, message.width, message.height) == ('16UC1', 6, 4)
        np.testing.assert_array_equal(message.data.view('<u2').reshape(4, 6), owners(tracked))

    def test_identities_beyond_16_bits_begin_again(self):
        masks = np.eye(4, dtype=np.bool_)[:, None]
        ids = np.array([65535, 65536, 65537, 2**32 - 1])
        tracked = masked([CONFIRMED] * 4, masks, [1] * 4, id=ids)
        tracked = replace(tracked, frame=replace(tracked.frame, width=4, height=1))
        pixels = read(mask_image(tracked), IMAGE).data.view('<u2')
        assert pixels.tolist() == [65535, 1, 2, 65535]

    def test_is_empty_where_nobody_is(self):
        tracked = masked([], np.zeros((0, 3, 3), np.bool_), [])
        assert not read(mask_image(tracked), IMAGE).data.any()

    def test_needs_masks(self):
        with pytest.raises(ValueError, match='no masks'):
            mask_image(tracked_of([CONFIRMED]))


class TestDetections:
    def test_are_the_objects_of_this_frames_detections(self):
        tracked = tracked_of([CONFIRMED, COASTING, TENTATIVE, REMOVED, CONFIRMED])
        tracked.tracks.label[:] = 1, 0, 5, 0, 3
        tracked.tracks.position[4] = np.nan
        message = read(matched_detections(tracked, NAMES), DETECTIONS)
        found = message.detections
        assert [it.id for it in found] == ['1', '3', '5']
        texts = [it.results[0].hypothesis.class_id for it in found]
        assert texts == ['car', '5', '3']  # without a name: its number
        for header in (message.header, *(it.header for it in found)):
            assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (5, 7, 'optical')
        back = message_to_detections(message, ClassIndex(NAMES))
        np.testing.assert_allclose(back.xyxy, tracked.tracks.xyxy[[0, 2, 4]])
        np.testing.assert_array_equal(back.score, tracked.tracks.score[[0, 2, 4]])
        assert back.label.tolist() == [1, 5, 3]

    def test_carry_the_position(self):
        tracked = tracked_of([CONFIRMED])
        pose = read(matched_detections(tracked), DETECTIONS).detections[0].results[0].pose
        at = pose.pose.position
        assert [at.x, at.y, at.z] == tracked.tracks.position[0].tolist()
        assert np.isnan(pose.pose.orientation.w)
        covariance = pose.covariance.reshape(6, 6)
        np.testing.assert_array_equal(
            covariance[:3, :3].ravel(), tracked.tracks.position_covariance[0]
        )
        assert np.isnan(covariance[3:]).all()
        assert np.isnan(covariance[:, 3:]).all()


class TestAnnotations:
    def test_boxes_and_labels(self):
        tracked = tracked_of([CONFIRMED, COASTING, TENTATIVE, REMOVED])
        tracked.tracks.label[:] = 0, 9, 0, 0
        tracked.tracks.depth[0] = 3.14
        tracked.tracks.position[1] = 0, 0, 7.77
        message = read(image_annotations(tracked, NAMES), ANNOTATIONS)
        assert message.timestamp.sec == 5
        assert (message.circles, message.metadata) == ([], [])
        assert [it.text for it in message.texts] == ['1 person 3.1 m', '2 7.8 m']
        for found, box in zip(message.points, tracked.tracks.xyxy[:3], strict=True):
            left, top, right, bottom = box
            assert found.type == found.LINE_LOOP
            assert (found.timestamp.sec, found.timestamp.nanosec) == (5, 7)
            corners = [(it.x, it.y) for it in found.points]
            assert corners == [(left, top), (right, top), (right, bottom), (left, bottom)]
        for text, box in zip(message.texts, tracked.tracks.xyxy, strict=False):
            assert (text.position.x, text.position.y) == (box[0], box[1])

    def test_look_like_the_debug_image(self):
        sure, coasting, tentative = read(
            image_annotations(tracked_of([CONFIRMED, COASTING, TENTATIVE])), ANNOTATIONS
        ).points
        assert sure.thickness > coasting.thickness == tentative.thickness > 0
        assert (sure.outline_color.a, coasting.outline_color.a) == (1, 0.5)
        for identity, found in enumerate((sure, coasting, tentative), 1):
            colour = found.outline_color
            expected = np.array(colour_of(identity)) / 255
            np.testing.assert_allclose([colour.b, colour.g, colour.r], expected)
            assert found.fill_color.a == 0

    def test_relative_depth_is_not_told_as_metres(self):
        tracked = tracked_of([CONFIRMED], depth_is_metric=False)
        tracked.tracks.label[:] = 0
        message = read(image_annotations(tracked, NAMES), ANNOTATIONS)
        assert message.texts[0].text == '1 person'

    def test_boxes_without_place_are_not_drawn(self):
        tracked = tracked_of([CONFIRMED, CONFIRMED])
        tracked.tracks.xyxy[0, 2] = np.nan
        message = read(image_annotations(tracked), ANNOTATIONS)
        assert (len(message.points), len(message.texts)) == (1, 1)

    def test_for_older_definitions(self):
        """Those before foxglove_msgs 3.2.5: no metadata, no time of the whole."""
        store, types = get_typestore(Stores.ROS2_JAZZY), {}
        folder = Path(mot_perception.messages.__file__).parent / 'interfaces/foxglove_msgs/msg'
        for file in folder.glob('*.msg'):
            definition = re.sub(r'.* metadata\n', '', file.read_text())
            if file.stem == 'ImageAnnotations':
                definition = re.sub(r'.* timestamp\n', '', definition)
            types |= get_types_from_msg(definition, f'foxglove_msgs/msg/{file.stem}')
        store.register(types)
        tracked = tracked_of([CONFIRMED, COASTING, TENTATIVE])
        data = image_annotations(tracked, NAMES, metadata=False)
        message = store.deserialize_cdr(data, ANNOTATIONS)
        assert bytes(store.serialize_cdr(message, ANNOTATIONS, little_endian=True)) == data
        new = read(image_annotations(tracked, NAMES), ANNOTATIONS)
        assert [it.text for it in message.texts] == [it.text for it in new.texts]
        assert len(message.points) == len(new.points) == 3


class TestMarkers:
    def shown(self, markers, tracked):
        """Return the markers by action, each by (kind, id)."""
        message = read(markers(tracked, NAMES), MARKERS)
        found = {0: {}, 2: {}, 3: {}}
        for it in message.markers:
            found[it.action][it.ns, it.id] = it
            header = it.header
            assert (header.frame_id, header.stamp.sec, header.stamp.nanosec) == ('optical', 5, 7)
        return found

    def test_body_label_and_velocity_of_who_is_sure(self):
        tracked = tracked_of([CONFIRMED, COASTING, TENTATIVE, REMOVED])
        tracked.tracks.label[:] = 0
        found = self.shown(Markers(), tracked)[0]
        kinds = ('body', 'label', 'velocity')
        assert set(found) == {(kind, identity) for kind in kinds for identity in (1, 2)}
        assert found['body', 1].color.a > found['body', 2].color.a > 0
        x, y, z = tracked.tracks.position[0]
        assert found['label', 1].text == f'1 person {z:.1f} m'
        start, end = found['velocity', 1].points
        np.testing.assert_allclose([start.x, start.y, start.z], [x, y, z])
        np.testing.assert_allclose(
            [end.x - x, end.y - y, end.z - z], tracked.tracks.linear_velocity[0]
        )
        for it in found.values():
            assert 0 < it.lifetime.sec + it.lifetime.nanosec / 1e9 <= 2
            assert it.scale.x > 0 or it.ns == 'label'

    def test_a_body_stands_upright_and_fills_its_box(self):
        """Its axis lies along y of the optical frame; seen by the camera it covers the box."""
        tracked = tracked_of([CONFIRMED])
        box = tracked.tracks.xyxy[0]
        z = tracked.tracks.position[0, 2]
        body = self.shown(Markers(), tracked)[0]['body', 1]
        turn = body.pose.orientation
        assert (turn.y, turn.z) == (0, 0)
        angle = 2 * np.arctan2(turn.x, turn.w)  # about x
        np.testing.assert_allclose([-np.sin(angle), np.cos(angle)], [-1, 0], atol=1e-12)
        assert body.scale.x == body.scale.y == pytest.approx((box[2] - box[0]) / CAMERA.fx * z)
        assert body.scale.z == pytest.approx((box[3] - box[1]) / CAMERA.fy * z)
        label = self.shown(Markers(), tracked)[0]['label', 1]
        assert label.pose.position.y < body.pose.position.y - body.scale.z / 2

    def test_who_is_gone_is_deleted_once(self):
        markers = Markers()
        self.shown(markers, tracked_of([CONFIRMED, CONFIRMED]))
        found = self.shown(markers, tracked_of([CONFIRMED, REMOVED]))
        assert set(found[2]) == {('body', 2), ('label', 2), ('velocity', 2)}
        assert set(found[0]) == {('body', 1), ('label', 1), ('velocity', 1)}
        assert not self.shown(markers, tracked_of([CONFIRMED]))[2]

    @pytest.mark.parametrize('velocity', [np.nan, 0.01])
    def test_who_stands_has_no_arrow(self, velocity):
        markers, tracked = Markers(), tracked_of([CONFIRMED])
        self.shown(markers, tracked)
        standing = changed(tracked, linear_velocity=np.full((1, 3), velocity))
        found = self.shown(markers, standing)
        assert set(found[0]) == {('body', 1), ('label', 1)}
        assert set(found[2]) == {('velocity', 1)}

    def test_all_are_deleted_at_the_start_and_after_a_reset(self):
        markers = Markers()
        assert self.shown(markers, tracked_of([CONFIRMED]))[3]
        assert not self.shown(markers, tracked_of([CONFIRMED]))[3]
        found = self.shown(markers, tracked_of([], reset_count=1))
        assert (len(found[3]), found[2], found[0]) == (1, {}, {})

    @pytest.mark.parametrize(
        'position', [[np.nan] * 3, [0, 0, -1], [0, 0, 0], [np.inf, 0, 3]], ids=str
    )
    def test_nothing_without_a_place_before_the_camera(self, position):
        tracked = tracked_of([CONFIRMED])
        tracked.tracks.position[0] = position
        assert not self.shown(Markers(), tracked)[0]

    def test_without_camera_all_vanish(self):
        markers = Markers()
        self.shown(markers, tracked_of([CONFIRMED]))
        found = self.shown(markers, tracked_of([CONFIRMED], camera=None))
        assert (len(found[2]), found[0]) == (3, {})


class TestDebugImage:
    def picture(self):
        return np.random.default_rng(1).integers(0, 255, (480, 640, 3)).astype(np.uint8)

    def test_is_a_copy_with_tracks(self):
        image = self.picture()
        before = image.copy()
        tracked = tracked_of([CONFIRMED], image=image)
        message = read(DebugImage()(tracked), IMAGE)
        np.testing.assert_array_equal(image, before)
        drawn = decode_image(message)
        assert (message.encoding, message.header.frame_id) == ('bgr8', 'optical')
        assert (drawn == colour_of(1)).all(2).sum() > 100
        assert (drawn == image).mean() > 0.5

    def test_trails_end_at_a_reset(self):
        image, draw = self.picture(), DebugImage()
        draw(changed(tracked_of([CONFIRMED], image=image), xyxy=np.array([[1.0, 1, 99, 99]])))
        again = tracked_of([CONFIRMED], image=image, reset_count=1)
        assert draw(again) == DebugImage()(again)

    def test_needs_an_image(self):
        with pytest.raises(ValueError, match='no image'):
            DebugImage()(tracked_of([CONFIRMED]))


def test_diagnostics():
    values = {'frames/s': '29.9', 'last fault': ''}
    data = diagnostics_message(5_000_000_007, 'tracker: front', 'front', 1, 'no depth', values)
    message = read(data, DIAGNOSTICS)
    assert data == bytes(typestore().serialize_cdr(message, DIAGNOSTICS, little_endian=True))
    (status,) = message.status
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    assert (status.name, status.hardware_id) == ('tracker: front', 'front')
    assert (status.level, status.message) == (1, 'no depth')
    assert {it.key: it.value for it in status.values} == values
