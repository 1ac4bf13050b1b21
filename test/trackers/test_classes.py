"""Objects of different class, as a detector of many classes sees them."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import box, frame, tracker_of

from mot_perception.types import Detections

PERSON, BICYCLE = 0, 1


def step(tracker, index, *seen, score=0.9):
    boxes, labels = zip(*seen, strict=True)
    found = Detections.of(boxes, np.full(len(boxes), score), labels)
    return tracker.update(frame(index), found).tracks


@pytest.mark.parametrize(('by_class', 'expected'), [(True, {1: BICYCLE}), (False, {1: PERSON})])
@pytest.mark.parametrize('score', [0.9, 0.5])
def test_a_rider_does_not_take_the_bicycles_track(by_class, expected, score):
    tracker = tracker_of('improved', by_class=by_class, birth_gate=1.0, last_weight=0.0)
    for index in range(5):
        step(tracker, index, (box(100), BICYCLE))
    tracks = step(tracker, 5, (box(101), PERSON), score=score)
    old = tracks.select(tracks.id == 1)
    assert dict(zip(old.id.tolist(), old.label.tolist(), strict=True)) == expected
    assert (old.detection >= 0).tolist() == [not by_class]


def test_rider_and_bicycle_keep_their_identities_in_one_place():
    tracker = tracker_of('improved')
    step(tracker, 0, (box(97), PERSON))
    for index in range(8):
        seen = [(box(100 + 3 * index), PERSON), (box(102 + 3 * index), BICYCLE)]
        tracks = step(tracker, index + 1, *(seen if index % 2 else seen[::-1]))
    assert tracks.id.tolist() == [1, 2]
    assert tracks.label.tolist() == [PERSON, BICYCLE]
    assert tracks.hits.tolist() == [9, 8]
