"""Which tracks results are made of: who is seen, and who is safely hidden for a moment."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import PRESETS, course, frame, tracker_of

from mot_perception.presence import counted
from mot_perception.types import NANOSECONDS, Frame, TrackedFrame, Tracks, TrackState

NOW = 100 * NANOSECONDS
HIDER = [100, 100, 140, 200]


def hidden(
    state=TrackState.COASTING, xyxy=(110, 90, 150, 190), unseen=0.2, followed=5.0, speed=0.0
):
    """Whether somebody behind (or near) the one who is seen is counted."""
    last = NOW - round(unseen * NANOSECONDS)
    tracks = Tracks(
        id=np.array([7, 9]),
        state=np.array([state, TrackState.CONFIRMED], np.int8),
        xyxy=np.array([xyxy, HIDER], float),
        score=np.ones(2),
        association_score=np.ones(2),
        label=np.zeros(2, np.int32),
        detection=np.array([-1, 0]),
        velocity=np.array([[0, speed], [0, 0]]),
        age=np.array([200, 200]),
        hits=np.array([190, 200]),
        misses=np.array([4, 0]),
        first_seen_ns=np.array([last - round(followed * NANOSECONDS), 0]),
        last_seen_ns=np.array([last, NOW]),
        depth=np.full(2, np.nan),
        depth_stddev=np.full(2, np.nan),
    )
    ids = counted(TrackedFrame(Frame(NOW, 0, 640, 480), tracks)).id.tolist()
    assert ids in ([9], [7, 9])
    return 7 in ids


def test_well_known_slow_and_covered_counts():
    assert hidden()


@pytest.mark.parametrize(
    'unlike',
    [
        {'xyxy': (500, 90, 540, 190)},  # nobody stands before him
        {'xyxy': (136, 90, 176, 190)},  # hardly covered
        {'unseen': 30.0},  # long gone
        {'followed': 0.1},  # hardly known
        {'speed': 500.0},  # his prediction is a guess
        {'state': TrackState.TENTATIVE},
        {'state': TrackState.REMOVED},
    ],
)
def test_others_do_not_count(unlike):
    assert not hidden(**unlike)


def test_an_empty_frame_counts_nobody():
    assert len(counted(TrackedFrame(frame(0), Tracks()))) == 0


@pytest.mark.parametrize('preset', PRESETS)
def test_all_confirmed_count(preset):
    tracker = tracker_of(preset)
    for moment in course(0):
        tracked = tracker.update(*moment)
        present = counted(tracked)
        assert set(tracked.tracks.confirmed().id) <= set(present.id)
        assert np.isin(present.state, [TrackState.CONFIRMED, TrackState.COASTING]).all()
        if preset == 'release':
            np.testing.assert_array_equal(present.id, tracked.tracks.confirmed().id)
