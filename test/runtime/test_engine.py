from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from engine_cases import MS, START, World, boxes, camera_info, image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot_perception.config import Config
from mot_perception.messages.cdr import read_message
from mot_perception.messages.mask_rle import decode_runs
from mot_perception.messages.typestore import DETECTIONS, IMAGE, TRACKS
from mot_perception.models import Models, load_models
from mot_perception.pipeline import Pipeline
from mot_perception.runtime.engine import Engine
from mot_perception.runtime.health import OK, WARN
from mot_perception.types import Detections, Frame

FROM_TOPIC = {'detector': {'backend': 'topic'}}


def engine_of(world: World, models: Models | None = None, **sections) -> Engine:
    config = Config.model_validate({**FROM_TOPIC, **sections})
    return Engine(config, models or load_models(config), world)


@pytest.fixture
def world():
    return World()


def walk(frames: int = 30):
    """Boxes of two people who walk, for each frame."""
    for number in range(frames):
        left = 5 + number
        yield number * 50, [[left, 5, left + 10, 35], [50 - number, 8, 60 - number, 40]]


def feed(engine: Engine, world: World, frames: int = 30, camera: str = '', **more) -> None:
    before = len(world.tracks(camera))
    for number, (ms, xyxy) in enumerate(walk(frames)):
        engine.receive(camera, 'image', image(ms))
        engine.receive(camera, 'detections', boxes(ms, xyxy))
        world.wait(before + number + 1)


class BlockedDetector:
    """Works on an image when told to."""

    name, class_names = 'blocked', ('person',)

    def __init__(self) -> None:
        self.begun, self.go_on = Event(), Event()

    def gpu_bytes(self):
        return 0

    def detect(self, images):
        self.begun.set()
        assert self.go_on.wait(20)
        return [Detections.of([[5, 5, 15, 35]]) for _ in images]


class FailingDetector(BlockedDetector):
    def detect(self, images):
        if images[0].any():
            raise ZeroDivisionError('a model may do anything')
        return [Detections.of([[5, 5, 15, 35]])]


def models_with(detector) -> Models:
    return replace(load_models(Config.model_validate(FROM_TOPIC)), detector=detector)


def test_messages_are_those_of_the_pipeline(world):
    """What the node says is what a replay says, message by message."""
    engine = engine_of(world)
    engine.start()
    feed(engine, world)
    engine.stop()
    offline = Pipeline(Config.model_validate(FROM_TOPIC))
    for index, ((ms, xyxy), online) in enumerate(zip(walk(), world.tracks(), strict=True)):
        frame = Frame(START + ms * MS, index, 64, 48, frame_id='camera_optical_frame')
        expected = offline.step(frame, Detections.of(xyxy))
        assert online.frame == frame
        np.testing.assert_array_equal(online.tracks.id, expected.tracks.id)
        np.testing.assert_array_equal(online.tracks.state, expected.tracks.state)
        np.testing.assert_allclose(online.tracks.xyxy, expected.tracks.xyxy)
        assert online.dropped_frames == 0
        assert online.frame_index == index


def test_empty_frames_are_published(world):
    engine = engine_of(world)
    engine.start()
    for ms in range(0, 500, 50):
        engine.receive('', 'image', image(ms))
        engine.receive('', 'detections', boxes(ms, []))
    world.wait(1)
    engine.stop()
    assert all(len(tracked.tracks) == 0 for tracked in world.tracks())


def test_the_newest_image_wins_and_drops_are_counted(world):
    detector = BlockedDetector()
    engine = engine_of(world, models_with(detector), detector={'backend': 'hog'})
    engine.start()
    engine.receive('', 'image', image(0))
    assert detector.begun.wait(20)
    for number in range(1, 101):
        engine.receive('', 'image', image(number))
    detector.go_on.set()
    world.wait(2)
    engine.stop()
    first, second = world.tracks()
    assert (first.frame.stamp_ns, first.dropped_frames) == (START, 0)
    assert (second.frame.stamp_ns, second.dropped_frames) == (START + 100 * MS, 99)
    assert engine.diagnose('').values['dropped'] == '99'


def test_cameras_do_not_know_of_each_other(world):
    engine = engine_of(world, stream={'cameras': ['front', 'rear']})
    engine.start()
    feed(engine, world, 10, 'front')
    alone = [tracked.tracks.id.tolist() for tracked in world.tracks('front')]
    world.sent.clear()
    for number, (ms, xyxy) in enumerate(walk(10)):
        for camera in ('rear', 'front'):
            engine.receive(camera, 'image', image(1000 + ms))
            engine.receive(camera, 'detections', boxes(1000 + ms, xyxy))
        world.wait(2 * number + 2)
    engine.stop()
    assert [tracked.tracks.id.tolist() for tracked in world.tracks('rear')] == alone


def test_detections_alone(world):
    engine = engine_of(world, stream={'image_transport': 'none'})
    engine.start()
    engine.receive('', 'camera_info', camera_info(640, 480))
    for number, (ms, xyxy) in enumerate(walk(5)):
        engine.receive('', 'detections', boxes(ms, xyxy))
        world.wait(number + 1)
    engine.stop()
    assert [len(tracked.tracks) for tracked in world.tracks()] == [2] * 5
    assert world.tracks()[0].frame.width == 640


def test_a_camera_that_is_known_later_resets_nothing(world):
    engine = engine_of(world, stream={'image_transport': 'none'})
    engine.start()
    for number, (ms, xyxy) in enumerate(walk(4)):
        if number == 2:
            engine.receive('', 'camera_info', camera_info(640, 480))
        engine.receive('', 'detections', boxes(ms, xyxy))
        world.wait(number + 1)
    engine.stop()
    assert [(it.frame.width, it.reset_count) for it in world.tracks()] == [(0, 0)] * 2 + [
        (640, 0)
    ] * 2
    assert not world.lines


def test_a_jump_back_resets_and_is_told(world):
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 20)
    feed(engine, world, 20)
    engine.stop()
    assert [tracked.reset_count for tracked in world.tracks()] == [0] * 20 + [1] * 20
    assert [text for _, text in world.lines if 'ran back' in text]
    assert engine.diagnose('').values['resets'] == '1'


def test_reset_and_disabling(world):
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 5)
    engine.reset()
    engine.enable(False)
    engine.receive('', 'image', image(900))
    assert engine.diagnose('').message == 'disabled'
    engine.enable(True)
    engine.receive('', 'image', image(1000))
    engine.receive('', 'detections', boxes(1000, [[5, 5, 15, 35]]))
    world.wait(6)
    engine.stop()
    last = world.tracks()[-1]
    assert (last.reset_count, last.tracks.id.tolist()) == (1, [1])
    assert not world.lines  # nobody is told of a reset that was asked for


def test_another_size_of_images_starts_anew(world):
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 5)
    engine.receive('', 'image', image(300, np.zeros((96, 128, 3), np.uint8)))
    engine.receive('', 'detections', boxes(300, []))
    world.wait(6)
    engine.stop()
    assert world.tracks()[-1].reset_count == 1
    assert '128×96' in world.lines[0][1]


def test_intrinsics_of_another_size_are_told(world):
    engine = engine_of(world)
    engine.start()
    engine.receive('', 'camera_info', camera_info(640, 480))
    feed(engine, world, 3)
    engine.stop()
    assert len(world.lines) == 1
    assert '640×480' in world.lines[0][1]


def test_images_without_detections_are_left_out(world):
    engine = engine_of(world, stream={'queue': 20})
    engine.start()
    for ms in range(0, 1000, 50):
        engine.receive('', 'image', image(ms))
        if ms % 100 == 0:
            engine.receive('', 'detections', boxes(ms, [[5, 5, 15, 35]]))
    engine.receive('', 'detections', boxes(1000, []))
    world.wait(10)
    engine.stop()
    stamps = [(tracked.frame.stamp_ns - START) // MS for tracked in world.tracks()]
    assert stamps == list(range(0, 1000, 100))
    assert world.tracks()[-1].dropped_frames == 0  # by the detector, not by the node


def test_work_goes_on_after_a_stop(world):
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 5)
    engine.stop()
    engine.start()
    engine.receive('', 'image', image(250))
    engine.receive('', 'detections', boxes(250, [[10, 5, 20, 35]]))
    world.wait(6)
    engine.stop()
    last = world.tracks()[-1]
    assert last.tracks.id.tolist() == [1, 2]  # nobody was forgotten
    assert last.reset_count == 0


def test_a_model_that_fails_is_survived_and_told_once(world):
    engine = engine_of(
        world, models_with(FailingDetector()), detector={'backend': 'hog'}, stream={'queue': 4}
    )
    engine.start()
    white = np.full((48, 64, 3), 255, np.uint8)
    for ms in (0, 50, 100):
        engine.receive('', 'image', image(ms, white))
    engine.receive('', 'image', image(150))
    world.wait(1)
    assert engine.diagnose('').level == WARN
    engine.stop()
    errors = [text for level, text in world.lines if level == 'error']
    assert len(errors) == 1
    assert 'ZeroDivisionError' in errors[0]
    assert world.tracks()[-1].frame.stamp_ns == START + 150 * MS


def test_a_stamp_of_zero_is_the_time_of_arrival(world):
    engine = engine_of(world, stream={'image_transport': 'none'})
    engine.start()
    data = bytearray(boxes(0, [[5, 5, 15, 35]]))
    data[4:12] = bytes(8)
    world.time_ns = 77 * MS
    engine.receive('', 'detections', bytes(data))
    world.wait(1)
    engine.stop()
    assert world.tracks()[0].frame.stamp_ns == 77 * MS
    assert 'zero' in world.lines[0][1]


def test_what_is_drawn_is_made_for_listeners_only():
    world = World({'detections', 'debug_image'})
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 5)
    world.wait(5, 'debug_image')
    engine.stop()
    outputs = {output for _, output, _ in world.sent}
    assert outputs == {'tracks', 'detections', 'debug_image'}
    drawn = [data for _, output, data in world.sent if output == 'debug_image'][-1]
    picture = read_message(drawn, IMAGE)
    assert (picture.width, picture.height, picture.encoding) == (64, 48, 'bgr8')
    assert np.any(picture.data)
    found = [data for _, output, data in world.sent if output == 'detections'][-1]
    assert [it.id for it in read_message(found, DETECTIONS).detections] == ['1', '2']
    names = [
        it.results[0].hypothesis.class_id for it in read_message(found, DETECTIONS).detections
    ]
    assert names == ['person', 'person']


def test_thresholds_change_while_it_works(world):
    settings = {**FROM_TOPIC, 'stream': {'queue': 2}}
    engine = engine_of(world, **settings)
    engine.start()
    feed(engine, world, 5)
    engine.reconfigure(Config.model_validate({**settings, 'tracker': {'max_age': 0.01}}))
    for ms in (300, 350):
        engine.receive('', 'image', image(ms))
        engine.receive('', 'detections', boxes(ms, []))
    world.wait(7)
    engine.stop()
    assert len(world.tracks()[-1].tracks) == 0


def test_embeddings_are_published_on_request():
    world = World()
    engine = engine_of(
        world, appearance={'backend': 'stripes'}, stream={'publish_embeddings': True}
    )
    engine.start()
    feed(engine, world, 4)
    engine.stop()
    objects = read_message(world.sent[-1][2], TRACKS).objects
    assert [np.linalg.norm(it.embedding) for it in objects] == pytest.approx([1, 1], abs=1e-5)


WITH_MASKS = {'depth': {'backend': 'topic'}, 'masks': {'backend': 'depth'}}


def feed_depth(engine: Engine, world: World, camera: str = '') -> None:
    """Two people at 2 m before a wall at 5 m."""
    before = sum(output == 'tracks' for _, output, _ in world.sent)
    for number, (ms, xyxy) in enumerate(walk(3)):
        depth = np.full((48, 64), 5.0, np.float32)
        for left, top, right, bottom in xyxy:
            depth[top:bottom, left:right] = 2.0
        engine.receive(camera, 'image', image(ms))
        engine.receive(camera, 'depth', image(ms, depth, '32FC1'))
        engine.receive(camera, 'detections', boxes(ms, xyxy))
        world.wait(before + number + 1)


def last_of(world: World, output: str, camera: str = '') -> bytes:
    return [data for owner, name, data in world.sent if (owner, name) == (camera, output)][-1]


def test_masks_are_published_for_listeners():
    world = World({'masks'})
    engine = engine_of(world, **WITH_MASKS)
    engine.start()
    feed_depth(engine, world)
    world.wait(3, 'masks')
    engine.stop()
    picture = read_message(last_of(world, 'masks'), IMAGE)
    objects = read_message(last_of(world, 'tracks'), TRACKS)
    assert picture.header == objects.header
    pixels = picture.data.view('<u2').reshape(48, 64)
    assert (pixels[20, 12], pixels[20, 53], pixels[20, 30]) == (1, 2, 0)
    assert all(len(it.mask_rle) == 0 for it in objects.objects)  # not asked for


def test_nobody_listens_and_no_masks_are_drawn(world, monkeypatch):
    def never(*_):
        raise AssertionError('nobody wants it')

    monkeypatch.setattr('mot_perception.runtime.tasks.mask_image', never)
    monkeypatch.setattr('mot_perception.runtime.outputs.track_runs', never)
    engine = engine_of(world, **WITH_MASKS)
    engine.start()
    feed_depth(engine, world)
    engine.stop()
    assert not world.lines


def test_without_masks_their_topic_is_silent():
    world = World({'masks'})
    engine = engine_of(world)
    engine.start()
    feed(engine, world, 3)
    engine.stop()
    assert {output for _, output, _ in world.sent} == {'tracks'}
    assert not world.lines


def test_run_lengths_of_several_cameras():
    world = World({'masks'})
    engine = engine_of(
        world, **WITH_MASKS, stream={'cameras': ['front', 'rear'], 'publish_masks': True}
    )
    engine.start()
    for camera in ('front', 'rear'):
        feed_depth(engine, world, camera)
    world.wait(6, 'masks')
    engine.stop()
    for camera in ('front', 'rear'):
        array = read_message(last_of(world, 'tracks', camera), TRACKS)
        pixels = read_message(last_of(world, 'masks', camera), IMAGE).data.view('<u2')
        assert [it.id for it in array.objects] == [1, 2]
        for found in array.objects:
            mask = decode_runs(found.mask_rle, array.image_width, array.image_height)
            np.testing.assert_array_equal(mask, pixels.reshape(48, 64) == found.id)
            assert mask.any()


def test_silence_is_told():
    world = World()
    engine = engine_of(world, stream={'stale_after': 1e-9})
    engine.start()
    assert 'no image yet on /image' in engine.diagnose('').message
    engine.stop()


GOOD = {'image': image(0), 'detections': boxes(0, [[5, 5, 15, 35]]), 'camera_info': camera_info()}


@st.composite
def damaged(draw):
    """A message cut off, with some bytes changed, or nonsense."""
    role = draw(st.sampled_from([*GOOD, 'depth']))
    good = GOOD.get(role, GOOD['image'])
    data = bytearray(good[: draw(st.integers(0, len(good)))])
    for _ in range(draw(st.integers(0, 8))):
        if data:
            data[draw(st.integers(0, min(len(data), 400) - 1))] = draw(st.integers(0, 255))
    return role, bytes(data)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(damaged(), max_size=10))
def test_nothing_that_a_topic_carries_brings_it_down(messages):
    world = World({'detections', 'annotations', 'markers', 'masks', 'debug_image'})
    engine = engine_of(world, **WITH_MASKS, stream={'publish_masks': True})
    engine.start()
    for role, data in messages:
        engine.receive('', role, data)
    engine.reset()  # stamps may have gone anywhere
    before = len(world.tracks())
    far = 4_000_000  # beyond what waits from before
    for ms in (far, far + 50, far + 100):
        engine.receive('', 'image', image(ms))
        engine.receive('', 'depth', image(ms, np.ones((48, 64), np.float32), '32FC1'))
        engine.receive('', 'detections', boxes(ms, [[5, 5, 15, 35]]))
    world.wait(before + 1)
    engine.stop()
    assert engine.diagnose('').level in {OK, WARN}
