from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import count

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.sequence import GroundTruth, Item
from mot_perception.bags.source import open_source
from mot_perception.bags.topics import Topics
from mot_perception.bags.tracks_bag import TracksBagWriter, read_tracks
from mot_perception.errors import UserError
from mot_perception.messages.detections import detections_to_message
from mot_perception.messages.images import encode_image
from mot_perception.messages.mapping import (
    camera_info_message,
    header_of,
    tracked_frame_to_message,
)
from mot_perception.messages.pictures import encode_compressed_image
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    TRACKS,
    message_classes,
    typestore,
)
from mot_perception.types import CameraModel, Detections, Frame, TrackedFrame, Tracks

MAKE = message_classes()
CAMERA = CameraModel(32, 24, 40, 40, 16, 12)
PERIOD = 33_333_333
START = 1_700_000_000_000_000_000


def scene_item(k: int, seed: int = 0) -> Item:
    rng = np.random.default_rng([seed, k])
    stamp = START + k * PERIOD
    image = cv2.resize(rng.integers(0, 255, (3, 4, 3), dtype=np.uint8), (32, 24))
    depth = np.round(rng.uniform(0.5, 9, (24, 32)), 3).astype(np.float32)
    frame = Frame(stamp, k, 32, 24, image, depth, CAMERA, 'camera_optical_frame')
    n = k % 3  # a frame without anything is a frame, too
    corner = rng.uniform(0, 10, (n, 2))
    boxes = np.concatenate([corner, corner + 5], axis=1)
    detections = Detections.of(boxes, rng.random(n), np.zeros(n))
    return Item(frame, detections, GroundTruth(np.arange(7, 7 + n), boxes + 1))


SCENE = [scene_item(k) for k in range(6)]


def message_of(kind: str, item: Item):
    """Topic, type and message of what a scene's frame has of one kind."""
    frame, header = item.frame, header_of(item.frame, MAKE)
    return {
        'image': lambda: encode_image(frame.image, 'bgr8', header, MAKE.Image),
        'jpeg': lambda: encode_compressed_image(frame.image, header, MAKE.CompressedImage),
        'depth': lambda: encode_image(frame.depth, '16UC1', header, MAKE.Image),
        'info': lambda: camera_info_message(frame.camera, header, MAKE),
        'detections': lambda: detections_to_message(item.detections, header, MAKE),
        'tracks': lambda: tracked_frame_to_message(TrackedFrame(frame, Tracks()), MAKE),
    }[kind]()


TYPES = {
    'image': IMAGE,
    'jpeg': COMPRESSED_IMAGE,
    'depth': IMAGE,
    'info': CAMERA_INFO,
    'detections': DETECTIONS,
    'tracks': TRACKS,
}


def write_bag(path, rows, *, storage=StoragePlugin.MCAP, mode=CompressionMode.NONE):
    """Write rows of (log time, topic, kind, item) in the given order."""
    writer = Writer(path, version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for log, topic, kind, item in rows:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, TYPES[kind], typestore=typestore()
                )
            raw = typestore().serialize_cdr(message_of(kind, item), TYPES[kind])
            writer.write(connections[topic], log, raw)
    return path


def rows_of(kinds: dict[str, str], items=SCENE, delay=0):
    return [
        (item.frame.stamp_ns + delay, topic, kind, item)
        for item in items
        for topic, kind in kinds.items()
    ]


FULL = {
    '/camera/image_raw': 'image',
    '/camera/depth/image_raw': 'depth',
    '/camera/camera_info': 'info',
    '/detections': 'detections',
}


def assert_same(item: Item, expected: Item):
    assert item.frame.stamp_ns == expected.frame.stamp_ns
    assert item.frame.index == expected.frame.index
    assert item.frame.frame_id == 'camera_optical_frame'
    assert item.frame.camera == CAMERA
    np.testing.assert_array_equal(item.frame.image, expected.frame.image)
    np.testing.assert_allclose(item.frame.depth, expected.frame.depth, atol=1e-6)
    np.testing.assert_allclose(item.detections.xyxy, expected.detections.xyxy)
    np.testing.assert_allclose(item.detections.score, expected.detections.score)


@pytest.mark.parametrize('storage', StoragePlugin)
@pytest.mark.parametrize('mode', CompressionMode)
def test_every_storage_and_compression(tmp_path, storage, mode):
    if storage == StoragePlugin.SQLITE3 and mode == CompressionMode.STORAGE:
        pytest.skip('sqlite3 has no compression of its own')
    (sequence,) = open_source(write_bag(tmp_path / 'b', rows_of(FULL), storage=storage, mode=mode))
    assert (sequence.name, sequence.length) == ('b', 6)
    assert (sequence.width, sequence.height) == (32, 24)
    assert (sequence.has_images, sequence.has_detections) == (True, True)
    assert sequence.fps == pytest.approx(30, rel=1e-4)
    assert {file.name for file in sequence.input_files} > {'metadata.yaml'}
    for _ in range(2):  # each pass starts from the first frame
        for item, expected in zip(sequence, SCENE, strict=True):
            assert_same(item, expected)
            assert item.ground_truth is None
    assert sequence.ground_truth is None


def test_scene_comes_back(tmp_path):
    with SceneBagWriter(tmp_path / 'scene') as bag:
        for item in SCENE:
            bag.write(item)
    (sequence,) = open_source(tmp_path / 'scene')
    for item, expected in zip(sequence, SCENE, strict=True):
        assert_same(item, expected)
        assert item.ground_truth.ids.tolist() == expected.ground_truth.ids.tolist()
        np.testing.assert_allclose(item.ground_truth.xyxy, expected.ground_truth.xyxy)
    truth = sequence.ground_truth
    assert truth.frame.tolist() == [2, 3, 3, 5, 6, 6]
    assert truth.id.tolist() == [7, 7, 8, 7, 7, 8]
    assert truth.consider.all()
    assert set(truth.label.tolist()) == {1}


def test_scene_with_jpeg(tmp_path):
    with SceneBagWriter(tmp_path / 'scene', jpeg=True) as bag:
        for item in SCENE:
            bag.write(item)
    (sequence,) = open_source(tmp_path / 'scene')
    for item, expected in zip(sequence, SCENE, strict=True):
        error = item.frame.image.astype(int) - expected.frame.image
        assert 0 < np.abs(error).mean() < 8
    assert (sequence.width, sequence.height) == (32, 24)


def test_scene_without_images(tmp_path):
    with SceneBagWriter(tmp_path / 'scene') as bag:
        for item in SCENE:
            bag.write(replace(item, frame=replace(item.frame, image=None, depth=None)))
    (sequence,) = open_source(tmp_path / 'scene')
    assert not sequence.has_images
    assert (sequence.width, sequence.height) == (32, 24)  # as the camera says
    for item, expected in zip(sequence, SCENE, strict=True):
        assert item.frame.image is None
        assert item.frame.stamp_ns == expected.frame.stamp_ns
        assert len(item.detections) == len(expected.detections)
        assert item.ground_truth.ids.tolist() == expected.ground_truth.ids.tolist()


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
def test_a_single_file_and_a_folder_without_metadata(tmp_path, suffix):
    storage = StoragePlugin.MCAP if suffix == 'mcap' else StoragePlugin.SQLITE3
    bag = write_bag(tmp_path / 'b', rows_of(FULL), storage=storage)
    (sequence,) = open_source(bag / f'b.{suffix}')
    assert (sequence.name, len(list(sequence))) == ('b', 6)
    (bag / 'metadata.yaml').unlink()
    (sequence,) = open_source(bag)
    assert len(list(sequence)) == 6
    shutil.copy(bag / f'b.{suffix}', bag / f'c.{suffix}')
    with pytest.raises(UserError, match='reindex'):
        open_source(bag)


# ------------------------------------------------------------------ what belongs together


def test_detections_that_come_late(tmp_path):
    """A detector answers after 120 ms, with the stamp of its image."""
    rows = rows_of({'/image': 'image'}) + rows_of({'/detections': 'detections'}, delay=120_000_000)
    (sequence,) = open_source(write_bag(tmp_path / 'b', sorted(rows, key=lambda row: row[0])))
    items = list(sequence)
    assert [len(item.detections) for item in items] == [0, 1, 2, 0, 1, 2]
    assert [item.frame.index for item in items] == list(range(6))


def test_depth_of_another_clock_is_matched_to_the_nearest_image(tmp_path):
    shifted = [
        replace(item, frame=replace(item.frame, stamp_ns=item.frame.stamp_ns + PERIOD // 3))
        for item in SCENE
    ]
    rows = rows_of({'/image': 'image'}) + rows_of({'/depth': 'depth'}, shifted)
    (sequence,) = open_source(write_bag(tmp_path / 'b', sorted(rows, key=lambda row: row[0])))
    for item, expected in zip(sequence, SCENE, strict=True):
        np.testing.assert_allclose(item.frame.depth, expected.frame.depth, atol=1e-6)


def test_depth_farther_than_half_a_frame_is_none(tmp_path):
    late = replace(
        SCENE[5], frame=replace(SCENE[5].frame, stamp_ns=SCENE[5].frame.stamp_ns + PERIOD)
    )
    rows = [*rows_of({'/image': 'image'}), *rows_of({'/depth': 'depth'}, [late])]
    (sequence,) = open_source(write_bag(tmp_path / 'b', rows))
    assert [item.frame.depth is None for item in sequence] == [True] * 6


def test_images_that_the_detector_skipped_leave_gaps(tmp_path):
    rows = rows_of({'/image': 'image'}) + rows_of({'/detections': 'detections'}, SCENE[::2])
    bag = write_bag(tmp_path / 'b', sorted(rows, key=lambda row: row[0]))
    (sequence,) = open_source(bag)
    assert [item.frame.index for item in sequence] == [0, 2, 4]
    (sequence,) = open_source(bag, topics=Topics(detections=''))  # told not to read them
    assert [item.frame.index for item in sequence] == list(range(6))
    assert all(item.detections is None for item in sequence)


def test_camera_info_is_kept_until_the_next_one(tmp_path):
    first, other = SCENE[0], replace(SCENE[3], frame=replace(
        SCENE[3].frame, camera=replace(CAMERA, fx=99)))  # fmt: skip
    rows = rows_of({'/image': 'image'})
    rows.insert(1, (START, '/camera_info', 'info', first))  # after the first image
    rows.insert(4, (START + 3 * PERIOD - 1, '/camera_info', 'info', other))
    (sequence,) = open_source(write_bag(tmp_path / 'b', rows))
    assert [item.frame.camera.fx for item in sequence] == [40, 40, 40, 99, 99, 99]


def test_time_that_runs_backwards_is_kept_as_logged(tmp_path):
    stamps = [5, 6, 7, 1, 2, 3]
    items = [
        replace(item, frame=replace(item.frame, stamp_ns=START + stamp * PERIOD))
        for item, stamp in zip(SCENE, stamps, strict=True)
    ]
    kinds = {'/image': 'image', '/detections': 'detections'}
    rows = [
        (START + number, topic, kind, item)
        for number, (_, topic, kind, item) in zip(count(), rows_of(kinds, items))
    ]
    (sequence,) = open_source(write_bag(tmp_path / 'b', rows))
    found = list(sequence)
    assert [(item.frame.stamp_ns - START) // PERIOD for item in found] == stamps
    assert [len(item.detections) for item in found] == [0, 1, 2, 0, 1, 2]


def test_messages_without_stamp_have_the_time_of_the_log(tmp_path):
    item = replace(SCENE[0], frame=replace(SCENE[0].frame, stamp_ns=0))
    bag = write_bag(tmp_path / 'b', [(START + 5, '/image', 'image', item)])
    (sequence,) = open_source(bag)
    assert [found.frame.stamp_ns for found in sequence] == [START + 5]
    assert sequence.fps is None


def test_all_in_one_moment(tmp_path):
    bag = write_bag(tmp_path / 'b', [(START, *row[1:]) for row in rows_of({'/image': 'image'})])
    (sequence,) = open_source(bag)
    assert sequence.fps is None
    assert len(list(sequence)) == 6


def test_frames_that_change_size(tmp_path):
    other = replace(SCENE[1], frame=replace(SCENE[1].frame, image=np.zeros((10, 20, 3), np.uint8)))
    (sequence,) = open_source(
        write_bag(tmp_path / 'b', rows_of({'/image': 'image'}, [SCENE[0], other]))
    )
    with pytest.raises(UserError, match='frame 1 has 20×10 pixels, those before have 32×24'):
        list(sequence)


# ------------------------------------------------------------------ which topics


def test_raw_images_are_preferred_to_their_compressed_copies(tmp_path):
    kinds = {'/camera/image_raw/compressed': 'jpeg', '/camera/image_raw': 'image'}
    bag = write_bag(tmp_path / 'b', rows_of(kinds))
    (sequence,) = open_source(bag)
    np.testing.assert_array_equal(next(iter(sequence)).frame.image, SCENE[0].frame.image)
    (sequence,) = open_source(bag, topics=Topics(image='/camera/image_raw/compressed'))
    assert (next(iter(sequence)).frame.image != SCENE[0].frame.image).any()


def test_several_image_topics_need_a_choice(tmp_path):
    bag = write_bag(tmp_path / 'b', rows_of({'/left/image': 'image', '/right/image': 'image'}))
    with pytest.raises(UserError, match=r'for image: /left/image, /right/image; name one'):
        open_source(bag)
    (sequence,) = open_source(bag, topics=Topics(image='/right/image'))
    assert len(list(sequence)) == 6


def test_camera_info_beside_the_image_is_taken(tmp_path):
    kinds = {'/left/image': 'image', '/left/camera_info': 'info', '/right/camera_info': 'info'}
    (sequence,) = open_source(write_bag(tmp_path / 'b', rows_of(kinds)))
    assert next(iter(sequence)).frame.camera == CAMERA


def test_tracks_are_no_ground_truth_unless_told(tmp_path):
    bag = write_bag(tmp_path / 'b', rows_of({'/image': 'image', '/tracks': 'tracks'}))
    (sequence,) = open_source(bag)
    assert sequence.ground_truth is None
    (sequence,) = open_source(bag, topics=Topics(ground_truth='/tracks'))
    assert len(sequence.ground_truth) == 0


@pytest.mark.parametrize(
    ('topics', 'says'),
    [
        (Topics(image='/camera/image_row'), 'did you mean /camera/image_raw?'),
        (Topics(image='/detections'), 'is vision_msgs/msg/Detection2DArray; name a topic of'),
        (Topics(image='', detections=''), 'neither images nor detections'),
        (Topics(image='/camera/image_raw', depth='/camera/image_raw'), 'for two roles'),
    ],
)
def test_bad_choices(tmp_path, topics, says):
    bag = write_bag(tmp_path / 'b', rows_of(FULL))
    with pytest.raises(UserError) as error:
        open_source(bag, topics=topics)
    assert says in str(error.value)


def test_nothing_to_track(tmp_path):
    bag = write_bag(tmp_path / 'b', rows_of({'/camera_info': 'info'}))
    with pytest.raises(UserError, match=r'it holds /camera_info \(sensor_msgs/msg/CameraInfo\)'):
        open_source(bag)
    bag = write_bag(tmp_path / 'empty', [])
    with pytest.raises(UserError, match='it holds nothing'):
        open_source(bag)


def test_an_encoding_that_is_not_known(tmp_path):
    message = message_of('image', SCENE[0])
    message.encoding = 'bayer_xyzw8'
    with Writer(tmp_path / 'b', version=9) as writer:
        connection = writer.add_connection('/image', IMAGE, typestore=typestore())
        writer.write(connection, START, typestore().serialize_cdr(message, IMAGE))
    (sequence,) = open_source(tmp_path / 'b')
    with pytest.raises(
        UserError, match="b: /image: unknown encoding 'bayer_xyzw8'; convert to one of"
    ):
        list(sequence)


def test_types_of_another_version_are_refused(tmp_path):
    other = get_typestore(Stores.ROS2_JAZZY)
    other.register(get_types_from_msg('std_msgs/Header header\nfloat32 x', DETECTIONS))
    with Writer(tmp_path / 'b', version=9) as writer:
        connection = writer.add_connection('/detections', DETECTIONS, typestore=other)
        message = other.types[DETECTIONS](header_of(SCENE[0].frame, MAKE), 1.0)
        writer.write(connection, START, other.serialize_cdr(message, DETECTIONS))
    with pytest.raises(UserError, match=f'another version of {DETECTIONS}'):
        list(open_source(tmp_path / 'b')[0])


# ------------------------------------------------------------------ tracks


def test_tracks_come_back_from_a_bag(tmp_path):
    frames = [TrackedFrame(item.frame, Tracks(), frame_index=k) for k, item in enumerate(SCENE)]
    with TracksBagWriter(tmp_path / 'tracks') as bag:
        for tracked in frames:
            bag.write(tracked)
            bag.write(tracked, '/other/tracks')
    for topic in '/tracks', '/other/tracks':
        back = list(read_tracks(tmp_path / 'tracks', topic))
        assert [it.frame.stamp_ns for it in back] == [it.frame.stamp_ns for it in frames]
        assert [it.frame_index for it in back] == list(range(6))
    with pytest.raises(UserError, match='did you mean /tracks'):
        list(read_tracks(tmp_path / 'tracks', '/track'))


def test_a_bag_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / 'tracks'
    with pytest.raises(KeyboardInterrupt), TracksBagWriter(target) as bag:
        bag.write(TrackedFrame(SCENE[0].frame, Tracks()))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with TracksBagWriter(target) as bag:
        bag.write(TrackedFrame(SCENE[0].frame, Tracks()))
    with pytest.raises(UserError, match='--force'), TracksBagWriter(target):
        pass
    with TracksBagWriter(target, force=True) as bag:
        for item in SCENE[:2]:
            bag.write(TrackedFrame(item.frame, Tracks()))
    assert len(list(read_tracks(target))) == 2
    assert list(tmp_path.iterdir()) == [target]


# ------------------------------------------------------------------ damaged bags


@pytest.fixture(scope='module', params=['mcap', 'zstd', 'db3'])
def small_bag(request, tmp_path_factory):
    storage = StoragePlugin.SQLITE3 if request.param == 'db3' else StoragePlugin.MCAP
    mode = CompressionMode.STORAGE if request.param == 'zstd' else CompressionMode.NONE
    path = tmp_path_factory.mktemp('bags') / 'b'
    write_bag(path, rows_of(FULL, SCENE[:2]), storage=storage, mode=mode)
    return next(file for file in path.iterdir() if file.suffix in {'.mcap', '.db3'})


def read_or_refuse(file):
    try:
        (sequence,) = open_source(file)
        return list(sequence)
    except UserError as error:
        assert '\n' not in str(error)
        assert file.name in str(error)
    return None


@pytest.mark.parametrize('share', [0, 0.01, 0.3, 0.7, 0.99])
def test_cut_off_bags(small_bag, tmp_path, share):
    raw = small_bag.read_bytes()
    file = tmp_path / small_bag.name
    file.write_bytes(raw[: int(len(raw) * share)])
    found = read_or_refuse(file)
    assert found is None or file.suffix == '.db3'  # SQLite may get along without its last page


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_bags_are_read_or_refused(small_bag, tmp_path, data):
    raw = bytearray(small_bag.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
    file = tmp_path / small_bag.name
    file.write_bytes(raw)
    read_or_refuse(file)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300), suffix=st.sampled_from(['mcap', 'db3', 'avi', 'mp4']))
def test_random_files_are_refused(tmp_path, content, suffix):
    file = tmp_path / f'x.{suffix}'
    file.write_bytes(content)
    assert read_or_refuse(file) is None


@pytest.mark.parametrize(
    'text', ['', '[]', 'a: [', 'rosbag2_bagfile_information: 3', '\x00', 'é: 1']
)
def test_bad_metadata(tmp_path, text):
    bag = write_bag(tmp_path / 'b', rows_of(FULL))
    (bag / 'metadata.yaml').write_bytes(text.encode('latin-1'))
    with pytest.raises(UserError, match='damaged or cut off'):
        open_source(bag)
