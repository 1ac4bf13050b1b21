"""Which detections reach which tracks: thresholds, gates and the three stages."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import box, frame, show, tracker_of

from mot_perception.types import Detections, Embeddings


def standing(**settings):
    """A tracker that has seen one standing object for eight frames."""
    tracker = tracker_of(**settings)
    for index in range(8):
        show(tracker, index, box(100))
    return tracker


def vectors(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize(('score', 'used'), [(0.6, False), (0.6001, True), (0.1, False)])
def test_high_score_must_be_exceeded(score, used):
    assert len(show(tracker_of(), 0, box(100), score=score)) == used
    tracks = show(standing(), 8, box(100), score=score)
    assert tracks.detection.tolist() == [0 if used else -1]


def test_birth_needs_its_own_score():
    tracker = tracker_of(birth_score=0.8)
    assert len(show(tracker, 0, box(100), score=0.7)) == 0
    assert len(show(tracker, 1, box(100), score=0.81)) == 1
    assert show(tracker, 2, box(100), score=0.7).detection.tolist() == [0]


@pytest.mark.parametrize(('stage', 'found'), [(True, 0), (False, -1)])
def test_low_scores_keep_a_track_but_start_none(stage, found):
    tracker = standing(low_stage=stage, low_score=0.1, low_gate=0.5, low_misses=1)
    tracks = show(tracker, 8, box(101), box(700), score=0.3)
    assert tracks.id.tolist() == [1]
    assert tracks.detection.tolist() == [found]


@pytest.mark.parametrize(
    ('score', 'x', 'pause', 'found'),
    [
        (0.3, 101, 0, True),
        (0.1, 101, 0, False),  # not above the low score
        (0.3, 130, 0, False),  # overlap below the low gate
        (0.3, 101, 2, False),  # unseen for too long
    ],
)
def test_limits_of_the_low_stage(score, x, pause, found):
    tracker = standing(low_stage=True, low_score=0.1, low_gate=0.5, low_misses=2)
    for index in range(8, 8 + pause):
        show(tracker, index)
    tracks = show(tracker, 8 + pause, box(x), score=score)
    assert tracks.detection.tolist() == [0 if found else -1]


def test_low_scores_teach_no_appearance():
    tracker = standing(low_stage=True)
    show(tracker, 8, box(100), embeddings=Embeddings(appearance=vectors([1, 0])))
    other = Embeddings(appearance=vectors([0, 1]))
    tracks = show(tracker, 9, box(100), score=0.3, embeddings=other)
    assert tracks.detection.tolist() == [0]
    np.testing.assert_array_equal(tracker.tracklets.appearance[0], [1, 0])


@pytest.mark.parametrize('recovery', [True, False])
def test_recovery_finds_who_stopped_while_the_filter_ran_on(recovery):
    tracker = tracker_of(recovery_stage=recovery)
    for index in range(15):
        show(tracker, index, box(15 * index))
    for index in range(15, 22):
        show(tracker, index)
    tracks = show(tracker, 22, box(15 * 14))
    assert tracks.id.tolist() == ([1] if recovery else [1, 2])


def test_last_weight_lets_the_last_box_count_in_the_first_stage():
    found = []
    for weight in (0.0, 0.9):
        tracker = tracker_of(recovery_stage=False, last_weight=weight)
        for index in range(15):
            show(tracker, index, box(15 * index))
        for index in range(15, 22):
            show(tracker, index)
        found.append(show(tracker, 22, box(15 * 14)).id.tolist())
    assert found == [[1, 2], [1]]


@pytest.mark.parametrize('gate_first', [True, False])
def test_no_cue_connects_boxes_beyond_the_gate(gate_first):
    tracker = tracker_of(gate_first=gate_first)
    looks = Embeddings(appearance=vectors([1, 0], [0, 1]))
    for index in range(5):
        show(tracker, index, box(100), box(700), embeddings=looks)
    swapped = Embeddings(appearance=vectors([0, 1], [1, 0]))
    tracks = show(tracker, 5, box(100), box(700), embeddings=swapped)
    pairs = dict(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True))
    assert pairs == {0: 1, 1: 2}


def test_gate_first_keeps_what_gating_afterwards_throws_away():
    """A look-alike elsewhere draws the only track away from where it stands."""
    ids = []
    for gate_first in (True, False):
        tracker = tracker_of(gate_first=gate_first, shortcut=False, recovery_stage=False)
        for index in range(5):
            show(tracker, index, box(100), embeddings=Embeddings(appearance=vectors([1, 0])))
        cues = Embeddings(appearance=vectors([0, 1], [1, 0]))
        tracks = show(tracker, 5, box(100), box(700), embeddings=cues)
        ids.append(dict(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True)))
    assert ids[0] == {0: 1, 1: 2}
    assert ids[1] == {-1: 1, 0: 2, 1: 3}


def test_shortcut_does_not_look_at_cues():
    totals = []
    for shortcut in (True, False):
        tracker = tracker_of(shortcut=shortcut)
        look = Embeddings(appearance=vectors([1, 0], [0, 1]))
        for index in range(3):
            tracks = show(tracker, index, box(100), box(700), embeddings=look)
        totals.append(tracks.association_score)
    np.testing.assert_allclose(totals[0], [1, 1], atol=1e-6)
    np.testing.assert_allclose(totals[1], np.array([1, 1]) + 2.7 + 1, atol=1e-6)


def test_association_score_is_unknown_at_birth():
    assert np.isnan(show(tracker_of(), 0, box(100)).association_score).all()


def test_confident_detections_are_served_first():
    tracker = standing(low_stage=True)
    detections = Detections.of([box(100), box(112)], [0.3, 0.9])
    tracks = tracker.update(frame(8), detections).tracks
    assert tracks.detection.tolist() == [1]


@pytest.mark.parametrize('points', ['centre', 'corners'])
@pytest.mark.parametrize('intervals', ['longest', 'all'])
def test_heading_decides_where_overlaps_tie(points, intervals):
    """Two detections at equal distance of the prediction, ahead and behind of it."""
    tracker = tracker_of(
        direction_weight=0.2,
        direction_points=points,
        direction_intervals=intervals,
        reupdate=False,
    )
    for index in range(6):
        show(tracker, index, box(100 + 2 * index))
    predicted = tracker.tracklets.bank.boxes(1)[0, 0] + 2
    tracks = show(tracker, 6, box(predicted - 12), box(predicted + 12))
    assert tracks.detection[tracks.id == 1].tolist() == [1]


@pytest.mark.parametrize(('gate', 'born'), [(0.5, False), (0.8, True), (1.0, True)])
def test_duplicates_of_a_matched_detection_start_no_track(gate, born):
    tracker = standing(birth_gate=gate)
    tracks = show(tracker, 8, box(100), box(110))
    assert tracks.id.tolist() == ([1, 2] if born else [1])
    assert show(tracker, 9, box(100), box(600)).id.tolist() == ([1, 2, 3] if born else [1, 2])


@pytest.mark.parametrize(('penalty', 'owner'), [(0.0, 2), (0.5, 1)])
def test_newcomers_give_way_to_the_confirmed(penalty, owner):
    tracker = standing(tentative_penalty=penalty, birth_gate=1.0, gate_first=True)
    show(tracker, 8, box(100), box(112))
    tracks = show(tracker, 9, box(108))
    assert tracks.id[tracks.detection == 0].tolist() == [owner]


@pytest.mark.parametrize(('agreement', 'found'), [(0.0, False), (1.0, True)])
def test_all_move_as_most_move(agreement, found):
    """The camera jerks: the narrow one is found because the broad ones show by how much."""
    tracker = tracker_of(common_motion=agreement, recovery_stage=False)
    places = np.array([box(100), box(300), box(500), box(700, w=15)])
    for index in range(10):
        show(tracker, index, *places)
    tracks = show(tracker, 10, *(places + np.array([20, 0, 20, 0])))
    assert (tracks.detection[3] == 3) == found
    np.testing.assert_array_equal(tracks.detection[:3], [0, 1, 2])
