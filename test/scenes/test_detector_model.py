"""The detector model: valid output always, memory, suppression, and the calibrated statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.boxes import iou
from mot_perception.scenes.detector_model import (
    DetectorModel,
    simulate_detections,
    visibility_of,
)
from mot_perception.scenes.detector_profiles import DANCETRACK, MOT17, VISIBILITY_KNOTS

WIDTH, HEIGHT = 1920, 1080
PROFILES = pytest.mark.parametrize('profile', [DANCETRACK, MOT17], ids=['dancetrack', 'mot17'])


def boxes_apart(count: int) -> np.ndarray:
    """Return figures in a row that do not touch."""
    left = np.arange(count) * 150.0 + 20
    return np.column_stack([left, np.full(count, 300.0), left + 100, np.full(count, 600.0)])


def run(profile, visibility: float, frames: int = 400, count: int = 12):
    """Match every detection of separate, equally hidden figures with its figure."""
    boxes, ids = boxes_apart(count), np.arange(count)
    model = DetectorModel(3, profile)
    score = np.full((frames, count), np.nan)
    error = np.full((frames, count, 4), np.nan)
    for frame in range(frames):
        found = model(boxes, np.full(count, visibility), WIDTH, HEIGHT, ids + frame // 20 * count)
        overlap = iou(boxes, found.xyxy)
        best = overlap.argmax(1)
        seen = overlap.max(1) >= 0.5
        score[frame, seen] = found.score[best[seen]]
        error[frame, seen] = ((found.xyxy[best] - boxes) / (100, 300, 100, 300))[seen]
    return score, error


@pytest.mark.parametrize('frames', [[], [np.empty((0, 4))], [np.empty((0, 4)), boxes_apart(2)]])
def test_empty_frames_are_frames(frames):
    out = simulate_detections(frames, WIDTH, HEIGHT)
    assert len(out) == len(frames)
    assert all(d.valid().all() for d in out)


def test_no_figures_and_no_clutter_is_empty():
    found = DetectorModel(0, DANCETRACK)(np.empty((0, 4)), np.empty(0), WIDTH, HEIGHT)
    assert found.xyxy.shape == (0, 4)


def test_same_seed_same_detections():
    frames, ids = [boxes_apart(5)] * 10, [np.arange(5)] * 10
    one, two, other = (simulate_detections(frames, WIDTH, HEIGHT, s, ids) for s in (1, 1, 2))
    assert all(np.array_equal(a.xyxy, b.xyxy) for a, b in zip(one, two, strict=True))
    assert all(np.array_equal(a.score, b.score) for a, b in zip(one, two, strict=True))
    assert not all(np.array_equal(a.xyxy, b.xyxy) for a, b in zip(one, other, strict=True))


@PROFILES
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_detection_is_valid_and_none_overlap_too_much(profile, data):
    number = data.draw(st.integers(0, 15))
    edge = st.floats(-200, 2000, allow_nan=False)
    size = st.floats(1, 900)
    boxes = np.array(
        [
            (x, y, x + w, y + h)
            for x, y, w, h in data.draw(
                st.lists(st.tuples(edge, edge, size, size), min_size=number, max_size=number)
            )
        ]
    ).reshape(-1, 4)
    visibility = np.array(data.draw(st.lists(st.floats(0, 1), min_size=number, max_size=number)))
    model = DetectorModel(data.draw(st.integers(0, 2**32)), profile)
    for ids in (None, np.arange(number), np.arange(number)[::-1]):
        found = model(boxes, visibility, WIDTH, HEIGHT, ids)
        assert found.valid().all()
        assert (np.diff(found.score) <= 0).all()
        overlap = iou(found.xyxy, found.xyxy)
        np.fill_diagonal(overlap, 0)
        assert overlap.max(initial=0) <= profile.nms_iou


@PROFILES
def test_hidden_figures_are_missed_more_scored_lower_and_placed_worse(profile):
    seen_score, seen_error = run(profile, 1.0, frames=200)
    hidden_score, hidden_error = run(profile, 0.0, frames=200)
    assert np.isnan(hidden_score).mean() > np.isnan(seen_score).mean() + 0.03
    assert np.nanmedian(hidden_score) < np.nanmedian(seen_score) - 0.1
    assert np.nanstd(hidden_error) > 1.5 * np.nanstd(seen_error)


@PROFILES
@pytest.mark.parametrize('row', range(len(VISIBILITY_KNOTS)))
def test_scores_follow_the_calibrated_quantiles(profile, row):
    score, _ = run(profile, VISIBILITY_KNOTS[row])
    for level in (0.5, 0.75):
        wanted = np.interp(level, profile.score_levels, profile.score[row])
        assert np.nanquantile(score, level) == pytest.approx(wanted, abs=0.08)


@PROFILES
def test_edge_errors_follow_the_calibrated_scale(profile):
    _, error = run(profile, 1.0)
    spread = np.nanquantile(np.abs(error), 0.683, axis=(0, 1))
    wanted = np.array([profile.side[-1], profile.top[-1], profile.side[-1], profile.bottom[-1]])
    assert (spread > 0.7 * wanted).all()
    assert (spread < 2.0 * wanted).all()


def test_errors_have_memory_only_with_ids():
    def correlation(ids):
        boxes = boxes_apart(12)
        model = DetectorModel(1)
        left = []
        for _ in range(300):
            found = model(boxes, np.ones(12), WIDTH, HEIGHT, ids)
            best = iou(boxes, found.xyxy).argmax(1)
            left.append(np.clip(found.xyxy[best, 0] - boxes[:, 0], -5, 5))
        left = np.array(left)
        return np.corrcoef(left[:-1].ravel(), left[1:].ravel())[0, 1]

    assert correlation(np.arange(12)) > 0.4
    assert abs(correlation(None)) < 0.1


def test_memory_follows_the_id_not_the_row():
    boxes = boxes_apart(6)
    straight, turned = DetectorModel(5), DetectorModel(5)
    ids = np.arange(6)
    straight(boxes, np.ones(6), WIDTH, HEIGHT, ids)
    turned(boxes, np.ones(6), WIDTH, HEIGHT, ids)
    before = dict(zip(straight._ids, straight._slow[:, 1], strict=True))
    turned(boxes, np.ones(6), WIDTH, HEIGHT, ids[::-1])
    after = dict(zip(turned._ids, turned._slow[:, 1], strict=True))
    memory = DANCETRACK.edge_memory.per_frame
    for one in ids:
        assert abs(after[one] - memory * before[one]) < 4 * np.sqrt(1 - memory**2)
    assert len(turned._ids) == 6


def test_state_forgets_who_left():
    model = DetectorModel(0)
    for frame in range(50):
        model(boxes_apart(3), np.ones(3), WIDTH, HEIGHT, np.arange(3) + 3 * frame)
    assert len(model._ids) == 3
    assert len(model._clutter) < 50


def test_visibility_against_a_pixel_count():
    random = np.random.default_rng(0)
    corner = random.integers(0, 60, (8, 2))
    boxes = np.concatenate([corner, corner + random.integers(16, 40, (8, 2))], 1).astype(float)
    for box, got in zip(boxes, visibility_of(boxes, samples=64), strict=True):
        left, top, right, bottom = box.astype(int)
        canvas = np.zeros((128, 128), bool)
        for other in boxes[boxes[:, 3] > box[3]].astype(int):
            canvas[other[1] : other[3], other[0] : other[2]] = True
        assert got == pytest.approx(1 - canvas[top:bottom, left:right].mean(), abs=0.03)


def test_visibility_edge_rows():
    assert visibility_of(np.empty((0, 4))).shape == (0,)
    twin = np.array([[0, 0, 10, 10.0]] * 2)  # same foot line: neither is nearer
    assert visibility_of(twin).tolist() == [1, 1]
    behind = np.array([[0, 0, 10, 10], [0, 0, 10, 20.0]])
    assert visibility_of(behind).tolist() == [0, 1]


def test_suppression_swallows_the_twin_behind():
    twins = np.array([[500, 300, 600, 600], [503, 298, 603, 598.0]])
    counts = [
        len(d) for d in simulate_detections([twins] * 200, WIDTH, HEIGHT, 0, [np.arange(2)] * 200)
    ]
    alone = [
        len(d)
        for d in simulate_detections(
            [boxes_apart(2)] * 200, WIDTH, HEIGHT, 0, [np.arange(2)] * 200
        )
    ]
    assert np.mean(counts) < np.mean(alone) - 0.2
