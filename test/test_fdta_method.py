"""FDTA through the pipeline: from pixels to tracks, with or without depth, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')

import tiny_fdta
from tiny_fdta import picture, seeing

sys.path.append(str(Path(__file__).parent / 'runtime'))
from engine_cases import START, World, image

from mot_perception.config import Config
from mot_perception.errors import UserError
from mot_perception.fdta.detector import FdtaDetector
from mot_perception.models import Models, load_models
from mot_perception.pipeline import Pipeline
from mot_perception.runtime.engine import Engine
from mot_perception.runtime.outputs import object_extras
from mot_perception.runtime.topics import inputs
from mot_perception.runtime.warm_up import warm_up
from mot_perception.types import CameraModel, Detections, Frame, TrackState

WIDTH, HEIGHT, PERIOD_NS = 320, 192, 50_000_000


def config_of(**sections) -> Config:
    fdta = {'model': 'not loaded here', **sections.pop('fdta', {})}
    return Config.model_validate({'method': 'fdta', 'fdta': fdta, **sections})


def pipeline_of(network=None, **sections) -> Pipeline:
    detector = FdtaDetector(network or seeing(window=30))
    return Pipeline(config_of(**sections), Models(fdta=detector))


def places(index: int) -> dict[int, tuple[int, int, int, int]]:
    """Number 0 goes right, number 2 goes left, until they have changed places."""
    right, left = 10 + 8 * index, 250 - 8 * index
    return {0: (right, 20, right + 40, 90), 2: (left, 100, left + 40, 170)}


def moment(index: int, **more) -> Frame:
    return Frame(
        index * PERIOD_NS, index, WIDTH, HEIGHT, picture(places(index), (HEIGHT, WIDTH)), **more
    )


def ids(tracked) -> list[int]:
    """Identities in the order of the detections: of number 0, then of number 2."""
    tracks = tracked.tracks.confirmed()
    return tracks.id[np.argsort(tracks.detection)].tolist()


def test_two_change_places_and_keep_their_ids():
    pipeline = pipeline_of()
    told = [pipeline.step(moment(index), None) for index in range(25)]
    assert [ids(tracked) for tracked in told] == [[], *[[1, 2]] * 24]
    tracks = told[-1].tracks
    np.testing.assert_allclose(tracks.xyxy, list(places(24).values()), atol=2.1)
    np.testing.assert_allclose(tracks.velocity, [[160, 0], [-160, 0]], atol=45)
    assert {tracked.source for tracked in told} == {'fdta'}
    assert told[-1].masks is None
    assert pipeline.timings.keys() == {'detection', 'association'}
    assert told[-1].processing_ns >= sum(times[-1] for times in pipeline.timings.values())


def test_depth_of_a_camera_is_that_of_the_box():
    depth = np.full((HEIGHT, WIDTH), 8, np.float32)
    for left, top, right, bottom in places(0).values():
        depth[top:bottom, left:right] = 3 if left < 100 else 5
    camera = CameraModel(WIDTH, HEIGHT, 300, 300, WIDTH / 2, HEIGHT / 2)
    pipeline = pipeline_of(depth={'backend': 'topic'})
    for _ in range(3):
        tracked = pipeline.step(moment(0, depth=depth, camera=camera), None)
    np.testing.assert_allclose(tracked.tracks.depth, [3, 5])
    assert tracked.depth_is_metric
    np.testing.assert_allclose(tracked.tracks.position[:, 2], [3, 5], atol=0.05)
    tracked = pipeline.step(replace(moment(0), stamp_ns=10**8), None)  # without depth
    assert np.isnan(tracked.tracks.depth).all()
    assert ids(tracked) == [1, 2]


@pytest.mark.parametrize('found', [Detections.empty(), Detections.of([[0, 0, 9, 9]])])
def test_detections_of_others_are_refused(found):
    with pytest.raises(UserError, match='finds objects itself'):
        pipeline_of().step(moment(0), found)


def test_without_an_image_it_is_blind():
    pipeline = pipeline_of()
    with pytest.raises(UserError, match='looks for objects in images'):
        pipeline.step(replace(moment(0), image=None), None)
    assert len(pipeline.step(moment(1), None).tracks) == 2


def test_resolution_changes_in_mid_stream():
    pipeline = pipeline_of()
    for index in range(3):
        pipeline.step(moment(index), None)
    small = {who: tuple(side // 2 for side in box) for who, box in places(3).items()}
    frame = Frame(
        3 * PERIOD_NS, 3, WIDTH // 2, HEIGHT // 2, picture(small, (HEIGHT // 2, WIDTH // 2))
    )
    told = [pipeline.step(replace(frame, stamp_ns=k * PERIOD_NS), None) for k in (3, 4)]
    assert [tracked.reset_count for tracked in told] == [1, 1]
    for tracked in told:  # speeds too are of boxes of one size
        np.testing.assert_allclose(tracked.tracks.xyxy, list(small.values()), atol=2.1)
        np.testing.assert_allclose(tracked.tracks.velocity, 0, atol=1e-6)


def test_many_classes():
    network = seeing(window=30, classes=3)
    pipeline = pipeline_of(network)
    for index in range(3):
        tracked = pipeline.step(moment(index), None)
    assert tracked.tracks.label.tolist() == [0, 2]


def test_nobody_is_there_and_somebody_comes_back():
    pipeline = pipeline_of()
    for index in range(3):
        pipeline.step(moment(index), None)
    empty = replace(moment(3), image=picture({}, (HEIGHT, WIDTH)))
    tracked = pipeline.step(empty, None)
    assert (tracked.tracks.state == TrackState.COASTING).all()
    assert ids(pipeline.step(moment(4), None)) == [1, 2]


class TestTime:
    def test_a_leap_forward_forgets(self):
        pipeline = pipeline_of()
        for index in range(3):
            pipeline.step(moment(index), None)
        tracked = pipeline.step(replace(moment(3), stamp_ns=3600 * 10**9), None)
        assert tracked.tracks.id[tracked.tracks.state == TrackState.REMOVED].tolist() == [1, 2]
        assert tracked.tracks.id[tracked.tracks.detection >= 0].tolist() == [3, 4]
        assert tracked.reset_count == 0

    def test_a_leap_back_resets(self):
        pipeline = pipeline_of()
        for index in range(50, 53):
            pipeline.step(moment(index), None)
        tracked = pipeline.step(moment(0), None)
        assert tracked.tracks.id.tolist() == [1, 2]
        assert tracked.reset_count == 1

    def test_stamps_that_stand_still(self):
        """A source without stamps is tracked frame by frame."""
        pipeline = pipeline_of()
        for index in range(25):
            tracked = pipeline.step(replace(moment(index), stamp_ns=7), None)
        assert ids(tracked) == [1, 2]


class TestCameraCut:
    """Two scenes that share nothing but who is in them."""

    def scene(self, index: int) -> Frame:
        background = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        background[:, : WIDTH // 2] = 120
        if index >= 4:
            background = 160 - background
        frame = moment(index)
        there = frame.image.any(-1, keepdims=True)
        return replace(frame, image=np.where(there, frame.image, background))

    @pytest.mark.parametrize(('choice', 'resets'), [('keep', 0), ('reset', 1)])
    def test_what_becomes_of_tracks(self, choice, resets):
        pipeline = pipeline_of(camera_cut=choice)
        told = [pipeline.step(self.scene(index), None) for index in range(8)]
        assert [tracked.reset_count for tracked in told] == [0] * 4 + [resets] * 4
        assert ids(told[3]) == ids(told[7]) == [1, 2]
        assert told[4].frame_index == (0 if resets else 4)


class TestMemory:
    def test_snapshot_through_the_pipeline(self):
        one, two = pipeline_of(tiny_fdta.bold()), pipeline_of(tiny_fdta.bold())
        for index in range(5):
            one.step(moment(index), None)
        two.tracker.restore(one.tracker.snapshot())
        for index in range(5, 12):
            left, right = (it.step(moment(index), None).tracks for it in (one, two))
            assert len(left) > 1
            np.testing.assert_array_equal(left.id, right.id)
            np.testing.assert_array_equal(left.xyxy, right.xyxy)
            np.testing.assert_array_equal(left.association_score, right.association_score)

    def test_two_cameras_share_the_network_alone(self):
        detector = FdtaDetector(seeing(window=30))
        one, two = (Pipeline(config_of(), Models(fdta=detector)) for _ in range(2))
        for index in range(5):
            one.step(moment(index), None)
        tracked = two.step(moment(20), None)
        assert tracked.tracks.id.tolist() == [1, 2]
        assert tracked.frame_index == 0

    def test_reset(self):
        pipeline = pipeline_of()
        pipeline.step(moment(0), None)
        pipeline.reset()
        tracked = pipeline.step(moment(1), None)
        assert tracked.tracks.id.tolist() == [1, 2]
        assert tracked.reset_count == 1

    def test_nothing_of_looks_is_published(self):
        pipeline = pipeline_of()
        tracked = pipeline.step(moment(0), None)
        stream = config_of(stream={'publish_embeddings': True, 'publish_masks': True}).stream
        extras = object_extras(tracked, pipeline.tracker, stream)
        assert [len(vector) for vector in extras.embedding] == [0, 0]


class TestReconfigure:
    def test_live_settings(self):
        pipeline = pipeline_of()
        for index in range(3):
            pipeline.step(moment(index), None)
        pipeline.reconfigure(config_of(fdta={'score': 0.99}))
        tracked = pipeline.step(moment(3), None)
        assert tracked.tracks.id.tolist() == [1, 2]
        assert (tracked.tracks.state == TrackState.COASTING).all()

    @pytest.mark.parametrize(
        'other',
        [
            {'fdta': {'jump_tolerance': 9.0}},
            {'fdta': {'model': 'another'}},
            {'fdta': {'preset': 'release'}},
            {'depth': {'backend': 'topic'}},
            {'camera_cut': 'reset'},
        ],
    )
    def test_others(self, other):
        pipeline = pipeline_of()
        pipeline.step(moment(0), None)
        with pytest.raises(UserError, match='change'):
            pipeline.reconfigure(config_of(**other))
        assert pipeline.step(moment(1), None).tracks.id.tolist() == [1, 2]

    def test_of_the_other_tracker_mean_nothing(self):
        pipeline = pipeline_of()
        pipeline.reconfigure(config_of(tracker={'high_score': 0.9}))
        assert len(pipeline.step(moment(0), None).tracks) == 2


class TestModels:
    @pytest.fixture
    def file(self, tmp_path):
        return tiny_fdta.save(tiny_fdta.bold(), tmp_path / 'bold.safetensors')

    def test_loaded(self, file, device):
        config = config_of(fdta={'model': str(file)}, models={'device': device})
        models = load_models(config)
        assert models.names.keys() == {'fdta'}
        assert models.names['fdta'].startswith('bold.safetensors (fdta, sha256 ')
        assert models.class_names == ('person',)
        assert bool(models.memory()) == device.startswith('cuda')
        warm_up(config, models)
        assert len(Pipeline(config, models).step(moment(0), None).tracks) > 0
        models.close()

    def test_others_are_not_loaded(self, file):
        others = {'detector': {'backend': 'yolox', 'model': '/nowhere'}}
        models = load_models(config_of(fdta={'model': str(file)}, **others))
        assert models.detector is None

    def test_missing(self, tmp_path, monkeypatch):
        with pytest.raises(UserError, match=r'none\.pth: cannot be read'):
            load_models(config_of(fdta={'model': str(tmp_path / 'none.pth')}))
        monkeypatch.setitem(sys.modules, 'torch', None)
        with pytest.raises(UserError, match='torch: not installed'):
            load_models(config_of())


class TestEngine:
    def test_images_in_tracks_out(self, tmp_path):
        """A node's engine, but for the middleware: nothing but images is asked for."""
        config = config_of()
        models = Models(fdta=FdtaDetector(seeing(window=30)), class_names=('person',))
        world = World()
        engine = Engine(config, models, world)
        engine.start()
        for index in range(6):
            engine.receive('', 'image', image(50 * index, moment(index).image))
            world.wait(index + 1)
        engine.stop()
        told = world.tracks()
        assert [ids(tracked) for tracked in told] == [[], *[[1, 2]] * 5]
        assert [tracked.frame.stamp_ns - START for tracked in told[:2]] == [0, PERIOD_NS]
        assert not world.lines

    def test_inputs(self):
        assert inputs(config_of(), 'track').keys() == {'image', 'camera_info'}
        deep = config_of(depth={'backend': 'topic'})
        assert inputs(deep, 'track').keys() == {'image', 'depth', 'camera_info'}

    def test_a_cut_is_told(self):
        config = config_of(camera_cut='reset')
        models = Models(fdta=FdtaDetector(seeing(window=30)), class_names=('person',))
        world, scenes = World(), TestCameraCut()
        engine = Engine(config, models, world)
        engine.start()
        for index in range(6):
            engine.receive('', 'image', image(50 * index, scenes.scene(index).image))
            world.wait(index + 1)
        engine.stop()
        assert [tracked.reset_count for tracked in world.tracks()] == [0] * 4 + [1] * 2
        assert [text for _, text in world.lines if 'the picture was cut' in text]
