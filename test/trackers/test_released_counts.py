"""Counts of OC-SORT's reference run with perfect detections on real sequences."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import frame, tracker_of

from mot_perception.types import Detections

# Ground-truth boxes; then output rows, ids created and label changes at either gate.
GOLDEN = {
    'dancetrack/val/dancetrack0043': (1675, {0.1: (1585, 15, 8), 0.3: (1581, 15, 6)}),
    'dancetrack/val/dancetrack0026': (3993, {0.1: (3662, 25, 43), 0.3: (3656, 29, 45)}),
    'dancetrack/val/dancetrack0018': (2935, {0.1: (2876, 17, 8), 0.3: (2874, 19, 10)}),
    'mot17/val_half/MOT17-09-FRCNN': (2879, {0.1: (2856, 18, 0), 0.3: (2856, 18, 0)}),
    'sportsmot/val/v_9MHDmAMxO5I_c003': (2441, {0.1: (2412, 12, 0), 0.3: (2408, 16, 0)}),
}


def counts(table, gate):
    """Rows, ids and label changes of ground-truth boxes in id order with score 1."""
    tracker = tracker_of('release', gate=gate, recovery_gate=gate)
    rows, changes, label_of = 0, 0, {}
    for index in range(1, int(table[:, 0].max()) + 1):
        truth = table[table[:, 0] == index]
        truth = truth[np.argsort(truth[:, 1])]
        boxes = np.hstack([truth[:, 2:4], truth[:, 2:4] + truth[:, 4:6]])
        tracks = tracker.update(frame(index), Detections.of(boxes)).tracks.confirmed()
        rows += len(tracks)
        for person, label in zip(truth[tracks.detection, 1], tracks.id, strict=True):
            changes += label_of.get(person, label) != label
            label_of[person] = label
    return rows, tracker.snapshot().next_id - 1, changes


@pytest.mark.parametrize('gate', [0.1, 0.3])
@pytest.mark.parametrize('sequence', GOLDEN)
def test_counts(shared_data, sequence, gate):
    path = shared_data / sequence / 'gt' / 'gt.txt'
    if not path.is_file():
        pytest.skip(f'this sequence is not there: {path}')
    table = np.loadtxt(path, delimiter=',')
    if sequence.startswith('mot17'):  # people alone, and of them those that are considered
        table = table[(table[:, 6:8] == 1).all(1)]
    boxes, golden = GOLDEN[sequence]
    assert len(table) == boxes
    assert counts(table, gate) == golden[gate]
