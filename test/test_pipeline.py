"""The pipeline: perception wired to a tracker, with or without images and depth."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception import pipeline as module
from mot_perception.config import Config, load_config
from mot_perception.depthseg.fusion import fuse
from mot_perception.models import Models
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.pipeline import Pipeline
from mot_perception.types import Detections, Frame, TrackState

WIDTH, HEIGHT, FPS = 320, 180, 30
FULL = load_config('selftrencmot')


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


def test_frame_size_may_change():
    pipeline = Pipeline(FULL)
    pipeline.step(*moment(0))
    small = Frame(
        33_333_333, 1, 64, 48, np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)
    )
    pipeline.step(small, Detections.of([[5, 5, 20, 40]]))


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
    monkeypatch.setattr(
        module, 'fuse', lambda depth, masks: used.append(depth) or fuse(depth, masks)
    )
    for each in moments:
        pipeline.step(*each)
    np.testing.assert_array_equal(used[-2], sample(moments[1][0].depth))
    np.testing.assert_array_equal(used[-1], sample(moments[index][0].depth))
    assert not np.array_equal(*(sample(each[0].depth) for each in moments))
