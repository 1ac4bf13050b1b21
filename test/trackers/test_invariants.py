"""What holds for every preset on any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_cases import COLUMNS, PRESETS, assert_same, course, frame, tracker_of

from mot_perception.types import Detections, TrackState

ALL_PRESETS = pytest.mark.parametrize('preset', PRESETS)
numbers = st.one_of(st.floats(-2000, 2000), st.floats(), st.sampled_from([0, 1e-300, 1e300]))
rows = st.lists(
    st.tuples(numbers, numbers, numbers, numbers, st.one_of(st.floats(0, 1), st.floats()))
)


def run(tracker, moments):
    return [tracker.update(*moment) for moment in moments]


def check_frame(tracked, detections):
    """What every frame's answer must satisfy."""
    tracks = tracked.tracks
    for name in COLUMNS:
        assert len(getattr(tracks, name)) == len(tracks)
    assert len(np.unique(tracks.id)) == len(tracks)
    assert (tracks.id >= 1).all()
    matched = tracks.detection >= 0
    used = tracks.detection[matched]
    assert len(np.unique(used)) == len(used)
    assert detections.valid()[used].all()
    observed = matched & (tracks.hits > 0)  # a birth may show the filter's box instead
    seen = detections.xyxy[tracks.detection[observed]]
    np.testing.assert_array_equal(tracks.xyxy[observed], seen)
    np.testing.assert_array_equal(tracks.score[matched], detections.score[used])
    np.testing.assert_array_equal(tracks.label[matched], detections.label[used])
    assert (tracks.last_seen_ns[matched] == tracked.frame.stamp_ns).all()
    assert (tracks.misses[matched] == 0).all()
    assert (tracks.misses[~matched] > 0).all()
    assert matched[tracks.state == TrackState.CONFIRMED].all()
    assert not matched[tracks.state == TrackState.COASTING].any()
    assert np.isfinite(tracks.xyxy).all()
    assert np.isfinite(tracks.velocity).all()
    assert (tracks.xyxy[:, 2:] >= tracks.xyxy[:, :2]).all()
    assert (tracks.first_seen_ns <= tracks.last_seen_ns).all()


def check_ids(answers):
    """Ids are born in order, live without a break and never come back."""
    alive, newest, removed = set(), 0, set()
    for tracked in answers:
        ids = tracked.tracks.id.tolist()
        ended = tracked.tracks.id[tracked.tracks.state == TrackState.REMOVED].tolist()
        born = set(ids) - alive
        assert alive <= set(ids)
        assert sorted(born) == list(range(newest + 1, newest + 1 + len(born)))
        newest += len(born)
        assert not removed & set(ids)
        removed |= set(ended)
        alive = set(ids) - set(ended)


@ALL_PRESETS
@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('invalid', [False, True])
def test_every_frame_of_a_course(preset, seed, invalid):
    moments = list(course(seed, invalid=invalid))
    answers = run(tracker_of(preset), moments)
    for tracked, (_, detections) in zip(answers, moments, strict=True):
        check_frame(tracked, detections)
    check_ids(answers)
    assert len(answers[-1].tracks) > 0


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(PRESETS), st.lists(rows, max_size=5), st.booleans())
def test_no_detection_brings_it_down(preset, frames, repeat):
    tracker = tracker_of(preset)
    for index, boxes in enumerate(frames * (1 + repeat)):
        table = np.array(boxes, float).reshape(-1, 5)
        detections = Detections.of(table[:, :4], table[:, 4])
        check_frame(tracker.update(frame(index), detections), detections)


@ALL_PRESETS
def test_empty_frames_are_stepped(preset):
    tracker = tracker_of(preset)
    for index in range(3):
        tracked = tracker.update(frame(index), Detections.empty())
        assert (len(tracked.tracks), tracked.frame_index) == (0, index)
    tracker.update(frame(3), Detections.of([[0, 0, 40, 100]]))
    tracked = tracker.update(frame(4), Detections.empty())
    assert tracked.tracks.age.tolist() == [1]
    assert tracked.tracks.misses.tolist() == [1]


@ALL_PRESETS
def test_a_frame_that_is_invalid_throughout_is_an_empty_frame(preset):
    moments = list(course(0, frames=20))
    blind = Detections.of([[5, 5, 1, 1], [np.nan] * 4, [0, 0, 9, 9]], [0.9, 0.9, 1.5])
    one, other = tracker_of(preset), tracker_of(preset)
    run(one, moments), run(other, moments)
    assert_same(one.update(frame(20), blind), other.update(frame(20), Detections.empty()))


@ALL_PRESETS
def test_a_thousand_detections(preset):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 4000, (1000, 2))
    tracker = tracker_of(preset)
    for index in range(6):
        moved = corner + index * np.array([2, 1])
        detections = Detections.of(
            np.hstack([moved, moved + np.array([40, 90])]), np.full(1000, 0.9)
        )
        tracked = tracker.update(frame(index), detections)
        check_frame(tracked, detections)
    kept = tracked.tracks.id[tracked.tracks.detection.argsort()] == np.arange(1, 1001)
    assert len(tracked.tracks) == 1000
    assert kept.mean() > 0.97


@ALL_PRESETS
def test_trackers_share_nothing(preset):
    one, two = list(course(1)), list(course(2))
    alone = run(tracker_of(preset), one), run(tracker_of(preset), two)
    first, second = tracker_of(preset), tracker_of(preset)
    for index in range(len(one)):
        assert_same(first.update(*one[index]), alone[0][index])
        if index == 30:
            tracker_of(preset)
        assert_same(second.update(*two[index]), alone[1][index])


@ALL_PRESETS
def test_what_was_given_and_what_was_answered_stays_as_it_is(preset):
    moments = list(course(3))
    copies = [(d.xyxy.copy(), d.score.copy(), d.label.copy()) for _, d in moments]
    tracker, answers, kept = tracker_of(preset), [], []
    for moment in moments:
        answers.append(tracker.update(*moment).tracks)
        kept.append([getattr(answers[-1], name).copy() for name in COLUMNS])
    for (_, detections), (xyxy, score, label) in zip(moments, copies, strict=True):
        np.testing.assert_array_equal(detections.xyxy, xyxy)
        np.testing.assert_array_equal(detections.score, score)
        np.testing.assert_array_equal(detections.label, label)
    for tracks, columns in zip(answers, kept, strict=True):
        for name, column in zip(COLUMNS, columns, strict=True):
            np.testing.assert_array_equal(getattr(tracks, name), column)


@ALL_PRESETS
@pytest.mark.parametrize('seed', range(3))
def test_permuting_detections_permutes_their_numbers_alone(preset, seed):
    """Ids are given in the order of the rows, so they are compared by who they were born as."""
    rng = np.random.default_rng(seed)
    one, other, names = tracker_of(preset), tracker_of(preset), {}
    for now, detections in course(seed):
        order = rng.permutation(len(detections))
        here = one.update(now, detections).tracks
        there = other.update(now, detections.select(order)).tracks
        back = np.where(there.detection >= 0, order[there.detection], -1)
        here_order = np.lexsort([*here.xyxy.T, here.first_seen_ns])
        there_order = np.lexsort([*there.xyxy.T, there.first_seen_ns])
        for name in COLUMNS:
            if name not in ('id', 'detection'):
                ours, theirs = getattr(here, name)[here_order], getattr(there, name)[there_order]
                np.testing.assert_array_equal(ours, theirs, err_msg=name)
        np.testing.assert_array_equal(here.detection[here_order], back[there_order])
        for ours, theirs in zip(here.id[here_order], there.id[there_order], strict=True):
            assert names.setdefault(ours, theirs) == theirs


@ALL_PRESETS
def test_everything_moves_with_the_origin(preset):
    shift = np.array([4096, -2048, 4096, -2048])
    here, there = tracker_of(preset), tracker_of(preset)
    for now, detections in course(5):
        moved = Detections(detections.xyxy + shift, detections.score, detections.label)
        ours, theirs = here.update(now, detections).tracks, there.update(now, moved).tracks
        np.testing.assert_array_equal(ours.id, theirs.id)
        np.testing.assert_array_equal(ours.detection, theirs.detection)
        np.testing.assert_allclose(ours.xyxy + shift, theirs.xyxy, atol=1e-6)
