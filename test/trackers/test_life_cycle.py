"""Birth, confirmation, loss, recovery and end of a track."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import PRESETS, box, frame, show, tracker_of

from mot_perception.types import Detections, TrackState

TENTATIVE, CONFIRMED, COASTING, REMOVED = (
    TrackState.TENTATIVE,
    TrackState.CONFIRMED,
    TrackState.COASTING,
    TrackState.REMOVED,
)


def states(tracker, first, seen):
    """States of one standing object that is shown in the frames where `seen` is true."""
    out = []
    for index, there in enumerate(seen, first):
        tracks = show(tracker, index, *([box(100)] if there else []))
        out += [tracks.state.tolist()]
    return out


def test_release_confirms_at_once_in_the_first_frames():
    assert states(tracker_of(), 0, [1, 1, 1, 1]) == [[CONFIRMED]] * 4


@pytest.mark.parametrize('born', [1, 2])
def test_release_confirms_for_as_long_as_frames_are_the_first_three(born):
    tracker = tracker_of()
    states(tracker, 0, [0] * born)
    early, late = [[CONFIRMED]] * (3 - born), [[TENTATIVE]] * born
    assert states(tracker, born, [1, 1, 1, 1]) == [*early, *late, [CONFIRMED]]


def test_release_confirms_at_the_fourth_detection():
    tracker = tracker_of()
    states(tracker, 0, [0] * 10)
    assert states(tracker, 10, [1] * 5) == [[TENTATIVE]] * 3 + [[CONFIRMED]] * 2


def test_release_hides_a_found_one_until_its_third_match():
    tracker = tracker_of()
    states(tracker, 0, [1] * 8)
    found = states(tracker, 8, [0, 1, 1, 1, 1])
    assert found[1:] == [[TENTATIVE]] * 2 + [[CONFIRMED]] * 2
    assert found[0] != [CONFIRMED]


def test_a_found_one_is_confirmed_at_once_without_warm_up():
    tracker = tracker_of(warm_up_again=False)
    states(tracker, 0, [1] * 8)
    assert states(tracker, 8, [0, 0, 1]) == [[COASTING], [COASTING], [CONFIRMED]]


def test_release_ends_after_31_frames_unseen_and_says_so_once():
    tracker = tracker_of()
    states(tracker, 0, [1] * 8)
    unseen = states(tracker, 8, [0] * 33)
    assert [REMOVED] not in unseen[:30]
    assert unseen[30:] == [[REMOVED], [], []]


def test_release_still_finds_after_30_frames_unseen():
    tracker = tracker_of()
    states(tracker, 0, [1] * 8)
    states(tracker, 8, [0] * 30)
    tracks = show(tracker, 38, box(100))
    assert tracks.id.tolist() == [1]
    assert tracks.misses.tolist() == [0]


@pytest.mark.parametrize('patience', [0, 1, 4])
def test_unconfirmed_tracks_have_their_own_patience(patience):
    tracker = tracker_of(tentative_misses=patience)
    states(tracker, 0, [0] * 5)
    unseen = states(tracker, 5, [1, *[0] * 6])[1:]
    assert unseen == [[TENTATIVE]] * patience + [[REMOVED]] + [[]] * (5 - patience)


@pytest.mark.parametrize('hits', [1, 2, 5])
def test_min_hits_counts_the_birth_where_it_is_an_observation(hits):
    for birth, needed in ((True, hits), (False, hits + 1)):
        tracker = tracker_of(min_hits=hits, birth_is_observation=birth)
        states(tracker, 0, [0] * 10)
        assert states(tracker, 10, [1] * 7).index([CONFIRMED]) == needed - 1


@pytest.mark.parametrize('preset', PRESETS)
def test_a_benchmark_counts_matched_confirmed_tracks_alone(preset):
    tracker = tracker_of(preset)
    states(tracker, 0, [1] * 8)
    tracks = show(tracker, 8, box(500))
    assert len(tracks) == 2
    assert len(tracks.confirmed()) == 0
    assert tracks.detection.tolist() == [-1, 0]


def test_coasting_boxes_go_on():
    tracker = tracker_of(warm_up_again=False)
    for index in range(10):
        show(tracker, index, box(100 + 5 * index))
    for index in range(10, 15):
        tracks = show(tracker, index)
        assert tracks.state.tolist() == [COASTING]
        assert tracks.xyxy[0] == pytest.approx(box(100 + 5 * index), abs=0.5)
        assert tracks.misses.tolist() == [index - 9]


@pytest.mark.parametrize(('coasting', 'grows'), [('frozen', False), ('moving', True)])
def test_size_of_the_unseen(coasting, grows):
    tracker = tracker_of(coasting_size=coasting, motion='centre_size')
    for index in range(20):
        show(tracker, index, box(100, w=40 + 2 * index, h=100 + 5 * index))
    widths = [np.ptp(show(tracker, index).xyxy[0, [0, 2]]) for index in range(20, 26)]
    assert (widths[-1] > widths[1] + 4) == grows
    assert (widths[-1] == pytest.approx(widths[1])) != grows


def test_columns_tell_the_history():
    tracker = tracker_of(birth_is_observation=True)
    seen = [0, 1, 1, 0, 1, 0, 0]
    for index, there in enumerate(seen):
        detections = Detections.of([box(100)] * there, [0.75] * there, [3] * there)
        tracks = tracker.update(frame(index), detections).tracks
    assert tracks.age.tolist() == [5]
    assert tracks.hits.tolist() == [3]
    assert tracks.misses.tolist() == [2]
    assert tracks.first_seen_ns.tolist() == [frame(1).stamp_ns]
    assert tracks.last_seen_ns.tolist() == [frame(4).stamp_ns]
    assert tracks.score.tolist() == [0.75]
    assert tracks.label.tolist() == [3]
    assert tracks.detection.tolist() == [-1]
    assert np.isnan(tracks.depth).all()


@pytest.mark.parametrize('preset', PRESETS)
def test_ids_start_at_one_and_are_never_used_again(preset):
    tracker = tracker_of(preset, max_age=0.2)
    expected = 1
    for index in range(0, 200, 20):
        tracks = show(tracker, index, box(100), box(600))
        assert tracks.id.tolist() == [expected, expected + 1]
        expected += 2
        for later in range(1, 20):
            show(tracker, index + later)
        assert len(tracker.tracklets) == 0


@pytest.mark.parametrize('preset', PRESETS)
def test_reset_forgets_and_counts(preset):
    tracker = tracker_of(preset)
    for count in range(3):
        for index in range(4):
            tracked = tracker.update(frame(index), Detections.of([box(100)]))
            assert tracked.tracks.id.tolist() == [1]
            assert (tracked.reset_count, tracked.frame_index) == (count, index)
        tracker.reset()
        assert len(tracker.tracklets) == 0


@pytest.mark.parametrize('preset', PRESETS)
def test_negative_coordinates_have_a_heading(preset):
    tracker = tracker_of(preset)
    for index in range(4):
        show(tracker, index, [-61 + 4 * index, -81, 9 + 4 * index, 11])
    heading = tracker.tracklets['headings'][0, 0]
    assert heading[0] > 0.6
    assert heading[1] == pytest.approx(0, abs=1e-6)
