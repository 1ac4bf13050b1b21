"""Time: from stamps or frames, forward, backward, and not at all."""

from __future__ import annotations

import pytest
from tracker_cases import box, frame, tracker_of

from mot_perception.trackers.clock import Clock
from mot_perception.types import Detections, TrackState

SECOND = 1_000_000_000


def test_first_frame_is_one_period():
    clock = Clock(0.05, True, 0.5)
    assert clock.tick(10**18) == 1
    assert clock.tick(10**18 + SECOND) == pytest.approx(20)
    assert clock.now == pytest.approx(21)


def test_frames_do_not_look_at_stamps():
    clock = Clock(0.05, False, 0.5)
    assert [clock.tick(stamp) for stamp in (0, 5 * SECOND, 5 * SECOND, 0)] == [1, 1, 1, 1]
    assert not clock.jumped_back(-(10**18))


def test_a_late_stamp_takes_no_time_and_is_not_counted_twice():
    clock = Clock(1.0, True, 0.5)
    passed = [clock.tick(int(stamp * SECOND)) for stamp in (0, 1, 0.7, 1, 2)]
    assert passed == [1, 1, 0, 0, 1]
    assert clock.now == 3


@pytest.mark.parametrize(('back', 'jumped'), [(0, False), (0.5, False), (0.6, True), (9, True)])
def test_back_beyond_the_tolerance_is_a_jump(back, jumped):
    clock = Clock(0.05, True, 0.5)
    assert not clock.jumped_back(0)
    clock.tick(100 * SECOND)
    assert clock.jumped_back(int((100 - back) * SECOND)) == jumped
    clock.reset()
    assert not clock.jumped_back(0)
    assert clock.now == 0


def stamped(tracker, seconds, x=100):
    detections = Detections.of([box(x)], [0.9])
    return tracker.update(frame(0, round(seconds * SECOND)), detections)


@pytest.mark.parametrize('preset', ['improved', 'paper', 'release'])
def test_jump_back_starts_anew(preset):
    tracker = tracker_of(preset, clock='stamps', jump_tolerance=0.5)
    for seconds in (50.0, 50.05, 50.1):
        first = stamped(tracker, seconds)
    assert (first.reset_count, first.frame_index, first.tracks.age.tolist()) == (0, 2, [2])
    late = stamped(tracker, 49.7)
    assert (late.reset_count, late.frame_index, late.tracks.id.tolist()) == (0, 3, [1])
    stamped(tracker, 50.15, x=900)
    again = stamped(tracker, 49.0)
    assert (again.reset_count, again.frame_index) == (1, 0)
    assert again.tracks.id.tolist() == [1]
    assert again.tracks.age.tolist() == [0]
    assert stamped(tracker, 49.05).reset_count == 1


@pytest.mark.parametrize('preset', ['improved', 'paper', 'release'])
def test_equal_stamps_are_stepped(preset):
    tracker = tracker_of(preset, clock='stamps')
    for index in range(10):
        tracked = stamped(tracker, 5.0)
        assert (tracked.frame_index, tracked.tracks.id.tolist()) == (index, [1])


@pytest.mark.parametrize(
    ('pause', 'same'),
    [
        (0.9, True),
        (1.0, True),
        (1.2, False),  # every frame between would have ended it
        (3600.0, False),
    ],
)
def test_a_long_pause_ends_tracks(pause, same):
    tracker = tracker_of(
        'release', clock='stamps', frame_period=0.05, max_age=1.0, min_hits=1, shortcut=False
    )
    for index in range(5):
        stamped(tracker, index * 0.05)
    tracks = stamped(tracker, 0.2 + pause).tracks
    states = dict(zip(tracks.id.tolist(), tracks.state.tolist(), strict=True))
    if same:
        assert list(states) == [1]
        assert tracks.detection.tolist() == [0]
        return
    assert states[1] == TrackState.REMOVED
    assert tracks.detection.tolist() == [-1, 0]
    assert stamped(tracker, 0.25 + pause).tracks.id.tolist() == [2]


@pytest.mark.parametrize('motion', ['centre_size', 'size_aspect'])
@pytest.mark.parametrize('rate', [10, 20, 50])
def test_velocity_is_in_pixels_per_second_at_any_rate(motion, rate):
    tracker = tracker_of('release', clock='stamps', frame_period=0.05, motion=motion)
    for index in range(2 * rate):
        tracks = stamped(tracker, index / rate, x=60 * index / rate).tracks
    assert tracks.id.tolist() == [1]
    assert tracks.velocity[0] == pytest.approx([60, 0], abs=2)


@pytest.mark.parametrize('rate', [10, 20, 40])
def test_a_gap_is_relived_in_the_time_it_took(rate):
    """Hidden for half a second; found again, he is as fast as before."""
    tracker = tracker_of('release', clock='stamps', frame_period=0.05)
    for index in range(2 * rate):
        stamped(tracker, index / rate, x=60 * index / rate)
    for index in range(2 * rate, 2 * rate + rate // 2):
        tracker.update(frame(index, round(index / rate * SECOND)), Detections.empty())
    tracks = stamped(tracker, 2.5, x=150).tracks
    assert tracks.id.tolist() == [1]
    assert tracks.velocity[0] == pytest.approx([60, 0], abs=4)


def test_dropped_frames_are_bridged_by_stamps():
    """Ten frames are lost: somebody who runs on is found where the stamps say he must be."""
    arrivals = [*range(15), *range(25, 30)]
    for clock, ids in (('stamps', {1}), ('frames', {1, 2})):
        tracker = tracker_of('release', clock=clock, frame_period=0.05, recovery_stage=False)
        seen = set()
        for step in arrivals:
            tracks = stamped(tracker, step * 0.05, x=10 * step).tracks
            seen |= set(tracks.id.tolist())
        assert seen == ids
