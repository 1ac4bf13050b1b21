"""The released tracker's golden numbers, through the tracker."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import frame, show, tracker_of

from mot_perception.types import Detections, Embeddings

BIRTH = (100, 200, 150, 320)
F1, F2 = (104, 201, 154, 321), (108, 202, 158, 322)
F5, F6 = (126, 206, 176, 328), (130, 207, 180, 329)

# Boxes shown; state (cx, cy, s, r, vcx, vcy, vs); heading (x, y); matches in a row.
RUN = [
    ([BIRTH], [125, 260, 6000, 0.416667, 0, 0, 0], (0, 0), 0),
    ([F1], [128.9996, 260.9999, 6000, 0.416667, 3.995206, 0.998801, 0], (0, 0), 1),
    (
        [F2],
        [132.999694, 261.999924, 6000, 0.416667, 3.999177, 0.999794, 0],
        (0.970142, 0.242536),
        2,
    ),
    (
        [],
        [136.998872, 262.999718, 6000, 0.416667, 3.999177, 0.999794, 0],
        (0.970142, 0.242536),
        2,
    ),
    (
        [],
        [140.998049, 263.999512, 6000, 0.416667, 3.999177, 0.999794, 0],
        (0.970142, 0.242536),
        0,
    ),
    (
        [F5],
        [150.84387, 266.94796, 6091.704076, 0.412582, 5.515288, 1.505106, 22.104734],
        (0.963518, 0.267644),
        1,
    ),
    (
        [F6],
        [155.455166, 268.151727, 6108.079742, 0.411913, 5.313177, 1.437734, 20.82666],
        None,
        2,
    ),
]


def test_six_frames_with_a_gap():
    tracker = tracker_of('release')
    for index, (boxes, state, heading, streak) in enumerate(RUN):
        tracks = show(tracker, index, *boxes)
        memory = tracker.tracklets
        assert tracks.id.tolist() == [1]
        ours = np.concatenate([memory.bank.state[0, 0], memory.bank.state[0, 1, :3]])
        np.testing.assert_allclose(ours, state, atol=1e-5)
        if heading:
            np.testing.assert_allclose(memory['headings'][0, 0], heading, atol=1e-5)
        assert memory['streak'][0] == streak
        np.testing.assert_allclose(tracks.velocity[0] / 30, state[4:6], atol=1e-5)
        expected = boxes[0] if boxes else tracker.tracklets.bank.boxes(1)[0]
        np.testing.assert_allclose(tracks.xyxy[0], expected, atol=1e-5)


def test_reupdate_is_a_switch():
    ends = []
    for settings in ({}, {'reupdate_twice': False}, {'reupdate': False}):
        tracker = tracker_of('release', **settings)
        for index, (boxes, *_) in enumerate(RUN[:6]):
            show(tracker, index, *boxes)
        ends.append(tracker.tracklets.bank.state[0, 1, 0])
    assert ends[0] == pytest.approx(5.515288, abs=1e-5)
    assert len(set(ends)) == 3


def test_totals_of_the_golden_example():
    """The state of three tracks is planted; each match reports its total of eq. 5."""
    tracker = tracker_of('release')
    born = [[12, 10, 32, 50], [26, 10, 46, 50], [95, 100, 135, 180]]
    vectors = np.eye(3, dtype=np.float32)
    known = Embeddings(appearance=vectors, depthseg=vectors)
    show(tracker, 0, *born, embeddings=known)
    memory = tracker.tracklets
    memory['last'][:2] = [[6, 10, 26, 50], [34, 10, 54, 50]]
    memory['headings'][:, 0] = [[1, 0], [-1, 0], [0, 0]]
    detections = Detections.of(
        [[10, 10, 30, 50], [28, 12, 48, 52], [100, 100, 140, 180]], [0.9, 0.8, 0.65]
    )
    cues = Embeddings(
        appearance=np.array([[0.9, 0.6, 0.1], [0.7, 0.75, 0.2], [0.1, 0.2, 0.8]], np.float32),
        depthseg=vectors,
        depthseg_previous=np.array([[0.95, 0.4, 0], [0.5, 0.9, 0.1], [0, 0.1, 0.99]], np.float32),
    )
    tracks = tracker.update(frame(1), detections, cues).tracks
    np.testing.assert_array_equal(tracks.detection, [0, 1, 2])
    golden = [4.513141, 3.810338, 4.407778]
    np.testing.assert_allclose(tracks.association_score, golden, atol=1e-5)


@pytest.mark.parametrize(
    ('score', 'alpha'), [(1.0, 0.95), (0.9, 0.9625), (0.8, 0.975), (0.65, 0.99375)]
)
def test_alpha_follows_the_confidence(score, alpha):
    """Of two orthogonal vectors the average keeps the old by α and the new by 1 − α."""
    tracker = tracker_of('release')
    old, new = np.eye(2, dtype=np.float32)
    for index, vector in enumerate((old, new)):
        cue = Embeddings(appearance=vector[None], depthseg=vector[None])
        show(tracker, index, BIRTH, score=score, embeddings=cue)
    kept, learnt = tracker.tracklets.appearance[0]
    assert kept / (kept + learnt) == pytest.approx(alpha, abs=1e-6)
    assert kept**2 + learnt**2 == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(tracker.tracklets.depthseg[0], new)
