"""Going back to a snapshot is as if nothing had happened since; nothing grows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tracker_cases import PRESETS, assert_same, box, course, frame, show, tracker_of

from mot_perception.types import Detections, Embeddings

ALL_PRESETS = pytest.mark.parametrize('preset', PRESETS)


def with_cues(moments, seed=0, width=8):
    rng = np.random.default_rng(seed)
    for now, detections in moments:
        look, shape = rng.normal(size=(2, len(detections), width)).astype(np.float32)
        look /= np.linalg.norm(look, axis=1, keepdims=True)
        shape /= np.linalg.norm(shape, axis=1, keepdims=True)
        valid = rng.random(len(detections)) < 0.8
        yield now, detections, Embeddings(look, shape, shape, valid)


@ALL_PRESETS
@pytest.mark.parametrize('cues', [False, True])
def test_continues_exactly(preset, cues):
    moments = list(with_cues(course(1)) if cues else course(1))
    tracker = tracker_of(preset)
    for moment in moments[:25]:
        tracker.update(*moment)
    snapshot = tracker.snapshot()
    first = [tracker.update(*moment) for moment in moments[25:]]
    for _ in range(2):
        tracker.restore(snapshot)
        for moment, expected in zip(moments[25:], first, strict=True):
            assert_same(tracker.update(*moment), expected)


@ALL_PRESETS
def test_another_tracker_continues_after_a_round_trip_of_bytes(preset):
    moments = list(with_cues(course(2)))
    tracker, other = tracker_of(preset), tracker_of(preset)
    for moment in moments[:25]:
        tracker.update(*moment)
    other.restore(pickle.loads(pickle.dumps(tracker.snapshot())))
    for moment in moments[25:]:
        assert_same(other.update(*moment), tracker.update(*moment))


@ALL_PRESETS
def test_back_over_a_reset_and_a_jump_of_time(preset):
    tracker = tracker_of(preset)
    for index in range(100, 110):
        show(tracker, index, box(100))
    snapshot = tracker.snapshot()
    expected = tracker.update(frame(110), Detections.of([box(101)]))
    tracker.reset()
    show(tracker, 0, box(900), box(300), box(600))
    tracker.restore(snapshot)
    assert_same(tracker.update(frame(110), Detections.of([box(101)])), expected)


@ALL_PRESETS
def test_back_to_before_the_first_vectors(preset):
    tracker, look = tracker_of(preset), Embeddings(np.eye(1, 4, dtype=np.float32))
    show(tracker, 0, box(100))
    snapshot = tracker.snapshot()
    expected = tracker.update(frame(1), Detections.of([box(101)]), look)
    tracker.restore(snapshot)
    assert_same(tracker.update(frame(1), Detections.of([box(101)]), look), expected)


@ALL_PRESETS
def test_back_to_an_empty_tracker(preset):
    tracker = tracker_of(preset)
    snapshot = tracker.snapshot()
    show(tracker, 0, box(100))
    tracker.restore(snapshot)
    assert len(tracker.tracklets) == 0
    assert show(tracker, 0, box(100)).id.tolist() == [1]


def test_nothing_grows_in_three_thousand_frames():
    """Births and deaths all the time: the memory after each hundred frames is as before."""
    rng, tracker, sizes, rooms = np.random.default_rng(0), tracker_of(), [], []
    for index in range(3000):
        ahead = np.arange(8) * 130 + index % 100 + rng.normal(0, 0.5, 8)
        boxes = np.array([box(x, 110 * (index // 50 % 6)) for x in ahead])
        detections = Detections.of(boxes[rng.random(8) < 0.9])
        look = rng.normal(size=(len(detections), 16)).astype(np.float32)
        tracker.update(frame(index), detections, Embeddings(look, look, look))
        if index % 100 == 99:
            sizes.append(len(pickle.dumps(tracker.snapshot())))
            rooms.append(len(tracker.tracklets.bank.state))
    assert tracker.snapshot().next_id > 200
    assert max(rooms) <= 64
    assert max(sizes[15:]) < max(sizes[:15]) + 64  # larger numbers take a byte more


def test_room_of_a_crowd_is_given_back():
    tracker = tracker_of()
    crowd = [box(60 * column, 120 * row) for column in range(40) for row in range(30)]
    show(tracker, 0, *crowd)
    assert len(tracker.tracklets.bank.state) >= 1200
    for index in range(1, 40):
        tracks = show(tracker, index, crowd[7])
    assert tracks.id.tolist() == [8]
    assert len(tracker.tracklets.bank.state) == 64
