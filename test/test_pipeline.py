"""The pipeline: perception wired to a tracker, with or without images and depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mot_perception import pipeline as module
from mot_perception.config import (
    Config,
    DepthSegConfig,
    DetectorConfig,
    MasksConfig,
    load_config,
)
from mot_perception.depthseg.fusion import RawMap
from mot_perception.errors import UserError
from mot_perception.models import Models
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.perception.protocols import Depth
from mot_perception.pipeline import Pipeline
from mot_perception.trackers.settings import TrackerConfig
from mot_perception.types import CameraModel, Detections, Frame, TrackState

WIDTH, HEIGHT, FPS = 320, 180, 30
FULL = load_config('selftrencmot').model_copy(
    update={'depthseg': DepthSegConfig(backend='raw')}  # needs no torch
)


def moment(index: int, *, image: bool = True, depth: bool = True) -> tuple[Frame, Detections]:
    """A red one at 3 m goes right, a blue one at 5 m goes left."""
    x = 2 * index
    boxes = np.array([[20 + x, 40, 60 + x, 160], [240 - x, 50, 270 - x, 140]], float)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    metres = np.full((HEIGHT, WIDTH), 8, np.float32)
    for box, colour, distance in reversed(
        list(zip(boxes, ((0, 0, 200), (200, 0, 0)), (3, 5), strict=True))
    ):
        left, top, right, bottom = box.astype(int)
        picture[top:bottom, left:right] = colour
        metres[top:bottom, left:right] = distance
    frame = Frame(
        stamp_ns=index * 1_000_000_000 // FPS,
        index=index,
        width=WIDTH,
        height=HEIGHT,
        image=picture if image else None,
        depth=metres if depth else None,
    )
    return frame, Detections.of(boxes, [0.9, 0.9])


@pytest.mark.parametrize('config', [Config(), FULL], ids=['motion', 'full'])
def test_two_cross_and_keep_their_ids(config):
    pipeline = Pipeline(config)
    identities = set()
    for index in range(90):
        tracked = pipeline.step(*moment(index))
        tracks = tracked.tracks.confirmed()
        identities |= set(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True))
    assert len(identities) == 2


def test_depth_is_that_of_the_matched_detection():
    pipeline = Pipeline(FULL)
    for index in range(5):
        tracked = pipeline.step(*moment(index))
    assert tracked.depth_is_metric
    tracks = tracked.tracks
    np.testing.assert_allclose(tracks.depth, np.array([3, 5])[tracks.detection])
    np.testing.assert_allclose(tracks.depth_stddev, 0)


def test_depth_without_masks_is_that_of_the_box():
    settings = FULL.model_dump()
    settings |= {'masks': {'backend': 'none'}, 'depthseg': {'backend': 'none'}}
    pipeline = Pipeline(Config.model_validate(settings))
    for index in range(5):
        tracked = pipeline.step(*moment(index))
    assert tracked.depth_is_metric
    np.testing.assert_allclose(tracked.tracks.depth, np.array([3, 5])[tracked.tracks.detection])


@pytest.mark.parametrize('seen', [True, False])
def test_with_a_camera_objects_are_placed_in_3d(seen):
    """The red one is 2 px further right in every frame: 60 px/s at 3 m and 300 px of focal length.

    An unseen one is predicted, also in a frame without depth.
    """
    camera = CameraModel(WIDTH, HEIGHT, 300, 300, WIDTH / 2, HEIGHT / 2)
    pipeline = Pipeline(FULL)
    for index in range(30):
        frame, detections = moment(index)
        pipeline.step(replace(frame, camera=camera), detections)
    frame, detections = moment(30, depth=seen)
    if not seen:
        detections = Detections.empty()
    tracks = pipeline.step(replace(frame, camera=camera), detections).tracks
    red = tracks.position[:, 2] < 4
    np.testing.assert_allclose(
        tracks.position[red], [[(100 - 160) / 100, (100 - 90) / 100, 3]], atol=0.02
    )
    np.testing.assert_allclose(tracks.linear_velocity[red], [[0.6, 0, 0]], atol=0.05)
    assert np.isfinite(tracks.position_covariance).all()


def test_depth_of_an_unseen_object_is_unknown():
    pipeline = Pipeline(FULL)
    for index in range(5):
        pipeline.step(*moment(index))
    frame, detections = moment(5)
    tracked = pipeline.step(frame, detections.select(np.array([0])))
    unseen = tracked.tracks.state == TrackState.COASTING
    assert unseen.any()
    assert np.isnan(tracked.tracks.depth[unseen]).all()


@pytest.mark.parametrize(('image', 'depth'), [(False, False), (True, False), (False, True)])
def test_cues_without_input_are_off(image, depth):
    pipeline = Pipeline(FULL)
    for index in range(4):
        tracked = pipeline.step(*moment(index, image=image, depth=depth))
    assert len(tracked.tracks.confirmed()) == 2
    assert tracked.depth_is_metric == depth
    assert ('appearance' in pipeline.timings) == image
    assert ('masks' in pipeline.timings) == depth
    if not depth:
        assert np.isnan(tracked.tracks.depth).all()


def test_depth_that_comes_and_goes():
    pipeline = Pipeline(FULL)
    for index in range(12):
        tracked = pipeline.step(*moment(index, depth=index % 3 > 0, image=index % 2 > 0))
        assert tracked.depth_is_metric == (index % 3 > 0)
    assert sorted(tracked.tracks.confirmed().id) == [1, 2]


class _Remembers(DepthConsistentMasks):
    """Writes down between which frames it was asked to step."""

    def __init__(self) -> None:
        self.steps = []

    def step(self, previous, current, xyxy):
        self.steps.append((previous.index, current.index))
        return super().step(previous, current, xyxy)


def test_masks_step_from_the_frame_before():
    """The first frame, the first after a reset and the first after a gap are their own past."""
    masks = _Remembers()
    pipeline = Pipeline(FULL, Models(masks=masks))
    for index in range(3):
        pipeline.step(*moment(index))
    pipeline.reset()
    pipeline.step(*moment(3))
    pipeline.step(*moment(4, depth=False))
    pipeline.step(*moment(5))
    assert masks.steps == [(0, 0), (0, 1), (1, 2), (3, 3), (5, 5)]


def test_embeddings_reach_the_tracker_row_by_row(monkeypatch):
    pipeline = Pipeline(FULL)
    seen = []
    update = pipeline.tracker.update
    monkeypatch.setattr(
        pipeline.tracker, 'update', lambda f, d, e: seen.append((d, e)) or update(f, d, e)
    )
    pipeline.step(*moment(0))
    pipeline.step(*moment(1))
    detections, embeddings = seen[1]
    n = len(detections)
    for vectors in (embeddings.appearance, embeddings.depthseg, embeddings.depthseg_previous):
        assert len(vectors) == n
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embeddings.depthseg_valid.tolist() == [True, True]
    # As it looked one frame ago: like itself then, unlike the other.
    similarity = embeddings.depthseg_previous @ seen[0][1].depthseg.T
    assert similarity.diagonal().min() > 0.9
    assert similarity[[0, 1], [1, 0]].max() < 0.1


def test_motion_only_passes_no_cue(monkeypatch):
    pipeline = Pipeline(Config())
    seen = []
    update = pipeline.tracker.update
    monkeypatch.setattr(
        pipeline.tracker, 'update', lambda f, d, e: seen.append(e) or update(f, d, e)
    )
    pipeline.step(*moment(0))
    assert seen[0] is None or seen[0].appearance is seen[0].depthseg is None


def test_empty_frames_are_stepped():
    pipeline = Pipeline(FULL)
    for index in range(4):
        pipeline.step(*moment(index))
    frame, _ = moment(4)
    tracked = pipeline.step(frame, Detections.empty())
    assert tracked.frame_index == 4
    assert (tracked.tracks.state == TrackState.COASTING).any()


def test_detections_nobody_can_use():
    frame, good = moment(0)
    bad = np.array([[np.nan] * 4, [50, 50, 10, 10], [-np.inf, 0, np.inf, 9], [900, 900, 950, 990]])
    boxes = np.vstack([good.xyxy, bad])
    pipeline = Pipeline(FULL)
    for _ in range(3):
        tracked = pipeline.step(frame, Detections.of(boxes, np.full(len(boxes), 0.9)))
        assert set(tracked.tracks.detection) <= {0, 1, 5, -1}


def test_boxes_of_two_frame_sizes_do_not_meet():
    pipeline = Pipeline(FULL)
    for index in range(3):
        before = pipeline.step(*moment(index))
    assert len(before.tracks) > 1
    frames = [
        Frame(stamp, 1, 64, 48, np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32))
        for stamp in (133_333_333, 166_666_666)
    ]
    told = [pipeline.step(frame, Detections.of([[5, 5, 20, 40]])) for frame in frames]
    assert [tracked.reset_count for tracked in (before, *told)] == [0, 1, 1]
    for tracked in told:
        np.testing.assert_allclose(tracked.tracks.xyxy, [[5, 5, 20, 40]], atol=0.5)
    pipeline.reset()
    assert pipeline.step(*moment(5)).reset_count == 2  # as nothing is known of other sizes then


def test_a_frame_of_unknown_size_is_of_no_other_size():
    pipeline = Pipeline(Config())
    for index in range(4):
        frame, detections = moment(index)
        if index == 2:
            frame = Frame(frame.stamp_ns, index, 0, 0)
        assert pipeline.step(frame, detections).reset_count == 0


def test_timings_are_per_frame_and_bounded(monkeypatch):
    monkeypatch.setattr(module, 'TIMES_KEPT', 5)
    pipeline = Pipeline(FULL)
    for index in range(9):
        tracked = pipeline.step(*moment(index))
    assert {stage: len(times) for stage, times in pipeline.timings.items()} == dict.fromkeys(
        ['masks', 'appearance', 'depth-segmentation', 'association', 'object depth'], 5
    )
    assert tracked.processing_ns >= sum(times[-1] for times in pipeline.timings.values())


def test_reset_starts_ids_again():
    pipeline = Pipeline(Config())
    for index in range(3):
        pipeline.step(*moment(index))
    pipeline.reset()
    tracked = pipeline.step(*moment(3))
    assert sorted(tracked.tracks.id) == [1, 2]
    assert tracked.reset_count == 1


def test_two_pipelines_share_nothing():
    one, other = Pipeline(FULL), Pipeline(FULL)
    for index in range(3):
        one.step(*moment(index))
    assert sorted(other.step(*moment(0)).tracks.id) == [1, 2]
    assert len(other.timings['association']) == 1


@pytest.mark.parametrize(('choice', 'index'), [('own', 0), ('current', 1)])
def test_the_past_mask_lies_on_the_depth_that_is_asked_for(monkeypatch, choice, index):
    settings = FULL.model_dump() | {'depthseg': {'backend': 'raw', 'previous_depth': choice}}
    pipeline = Pipeline(Config.model_validate(settings))
    moments = [moment(0), moment(1)]
    used = []
    embed = RawMap.embed
    monkeypatch.setattr(
        RawMap, 'embed', lambda cue, depth, masks: used.append(depth) or embed(cue, depth, masks)
    )
    for each in moments:
        pipeline.step(*each)
    past, now = used[-2:]
    np.testing.assert_array_equal(past, sample(moments[index][0].depth))
    np.testing.assert_array_equal(now, sample(moments[1][0].depth))
    assert not np.array_equal(*(sample(each[0].depth) for each in moments))


def test_tracks_may_be_described_by_their_own_boxes_one_frame_later():
    settings = FULL.model_dump() | {'masks': {'backend': 'depth', 'prompts': 'tracks'}}
    ours, release = Pipeline(Config.model_validate(settings)), Pipeline(FULL)
    for index in range(4):
        tracked, expected = ours.step(*moment(index)), release.step(*moment(index))
        # After the first frame nobody has prompted the new tracks yet.
        assert ours.tracker.tracklets['depthseg_known'].all() == (index > 0)
    np.testing.assert_array_equal(tracked.tracks.id, expected.tracks.id)
    learnt, past = ours.tracker.tracklets.depthseg[:2], release.tracker.tracklets.depthseg[:2]
    assert np.einsum('ne,ne->n', learnt, past).min() > 0.8  # the same objects, a frame apart


class _Finds:
    """A detector that remembers what it has seen."""

    class_names = ('person',)
    name = 'finds'

    def __init__(self) -> None:
        self.seen = []

    def detect(self, images):
        self.seen += images
        return [moment(0)[1] for _ in images]


class _Far:
    """Depth of an image: its left half is near."""

    name = 'far'

    def __init__(self, metric: bool) -> None:
        self.metric = metric

    def estimate(self, image, focal=None):
        depth = np.full(image.shape[:2], 6, np.float32)
        depth[:, : WIDTH // 2] = 2
        return Depth(depth, self.metric)


class TestDetection:
    def test_looks_where_no_detections_are_given(self):
        finder = _Finds()
        pipeline = Pipeline(Config(), Models(detector=finder))
        frame, expected = moment(0)
        tracked = pipeline.step(frame, None)
        assert len(finder.seen) == 1
        assert finder.seen[0] is frame.image
        np.testing.assert_array_equal(tracked.tracks.xyxy, expected.xyxy)
        assert len(pipeline.timings['detection']) == 1

    @pytest.mark.parametrize('given', [moment(0)[1], Detections.empty()], ids=['some', 'none'])
    def test_takes_what_is_given(self, given):
        finder = _Finds()
        pipeline = Pipeline(Config(), Models(detector=finder))
        tracked = pipeline.step(moment(0)[0], given)
        assert len(tracked.tracks) == len(given)
        assert finder.seen == []
        assert 'detection' not in pipeline.timings

    def test_no_detector(self):
        pipeline = Pipeline(Config(), Models())
        with pytest.raises(UserError, match=r"set detector\.backend to 'hog'"):
            pipeline.step(moment(0)[0], None)

    def test_no_image(self):
        pipeline = Pipeline(Config(), Models(detector=_Finds()))
        with pytest.raises(UserError, match='nor an image'):
            pipeline.step(moment(0, image=False)[0], None)

    def test_models_are_shared(self):
        finder = _Finds()
        one, other = (Pipeline(Config(), Models(detector=finder)) for _ in range(2))
        for pipeline in (one, other, one):
            tracked = pipeline.step(moment(0)[0], None)
        assert len(finder.seen) == 3
        assert tracked.frame_index == 1

    def test_loads_what_is_not_given(self):
        tracked = Pipeline(Config()).step(moment(0)[0], None)
        assert len(tracked.tracks) == 0  # there are only rectangles


class TestDepth:
    @pytest.mark.parametrize('masks', ['none', 'depth'])
    @pytest.mark.parametrize('metric', [True, False])
    def test_estimated(self, masks, metric):
        config = Config.model_validate(
            {
                'depth': {'backend': 'transformers', 'model': 'far'},
                'masks': {'backend': masks},
            }
        )
        loaded = DepthConsistentMasks() if masks == 'depth' else None
        pipeline = Pipeline(config, Models(depth=_Far(metric), masks=loaded))
        tracked = pipeline.step(*moment(0))  # whose own depth is another
        np.testing.assert_allclose(tracked.tracks.depth, [2, 6])
        assert tracked.depth_is_metric == metric
        np.testing.assert_array_equal(np.unique(tracked.frame.depth), [2, 6])
        assert len(pipeline.timings['depth']) == 1

    def test_estimated_only_in_images(self):
        config = Config.model_validate({'depth': {'backend': 'transformers', 'model': 'far'}})
        pipeline = Pipeline(config, Models(depth=_Far(True)))
        tracked = pipeline.step(*moment(0, image=False))
        assert np.isnan(tracked.tracks.depth).all()
        assert not tracked.depth_is_metric

    def test_of_the_camera(self):
        pipeline = Pipeline(Config.model_validate({'depth': {'backend': 'topic'}}), Models())
        tracked = pipeline.step(*moment(0))
        np.testing.assert_allclose(tracked.tracks.depth, [3, 5])
        assert tracked.depth_is_metric

    def test_none_is_none(self):
        tracked = Pipeline(Config(), Models()).step(*moment(0))
        assert tracked.frame.depth is None
        assert np.isnan(tracked.tracks.depth).all()
        assert not tracked.depth_is_metric


class TestReconfigure:
    def test_live_settings(self):
        pipeline = Pipeline(FULL)
        for index in range(5):
            before = pipeline.step(*moment(index))
        tracker = FULL.tracker.model_copy(update={'high_score': 0.95, 'low_score': 0.92})
        pipeline.reconfigure(FULL.model_copy(update={'tracker': tracker}))
        after = pipeline.step(*moment(5))
        assert after.tracks.id.tolist() == before.tracks.id.tolist()
        assert (after.tracks.state == TrackState.COASTING).all()

    @pytest.mark.parametrize(
        'other',
        [
            FULL.model_copy(update={'masks': MasksConfig()}),
            FULL.model_copy(update={'detector': DetectorConfig(score=0.5)}),
            FULL.model_copy(update={'tracker': TrackerConfig(motion='size_aspect')}),
        ],
        ids=['masks', 'detector', 'tracker'],
    )
    def test_others(self, other):
        pipeline = Pipeline(FULL)
        pipeline.step(*moment(0))
        with pytest.raises(UserError, match='change'):
            pipeline.reconfigure(other)
        assert len(pipeline.step(*moment(1)).tracks) == 2
