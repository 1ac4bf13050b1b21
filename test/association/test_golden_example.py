"""Three detections, three tracks: every matrix of the released association."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.association import cues
from mot_perception.association.assignment import match, solve

DETECTIONS = np.array([[10, 10, 30, 50], [28, 12, 48, 52], [100, 100, 140, 180]], float)
SCORES = np.array([0.9, 0.8, 0.65])
PREDICTED = np.array([[12, 10, 32, 50], [26, 10, 46, 50], [95, 100, 135, 180]], float)
HEADINGS = np.array([[[1, 0]], [[-1, 0]], [[0, 0]]], float)
REFERENCES = np.array([[6, 10, 26, 50], [34, 10, 54, 50], [np.nan] * 4])
EMBEDDING = np.array([[0.9, 0.6, 0.1], [0.7, 0.75, 0.2], [0.1, 0.2, 0.8]])
DEPTHSEG = np.array([[0.95, 0.4, 0], [0.5, 0.9, 0.1], [0, 0.1, 0.99]])

IOU = [[0.818182, 0.111111, 0], [0.104972, 0.746725, 0], [0, 0, 0.777778]]
DIRECTION = [[0.089959, 0.089983, 0], [0.075383, 0.063613, 0], [0.03134, -0.025018, 0]]
WEIGHT = [[2.95, 2.925, 3.15], [2.825, 2.8, 3.025], [3.1, 3.075, 3.3]]
TOTAL = [
    [4.513141, 2.356095, 0.315],
    [2.657855, 3.810338, 0.705],
    [0.34134, 0.689982, 4.407778],
]


def heading_cue():
    return 0.2 * cues.direction(DETECTIONS, SCORES, REFERENCES, HEADINGS)


def total():
    weight = cues.adaptive_weight(EMBEDDING, 2.7, 2.0)
    seen = cues.cosine(EMBEDDING.astype(np.float32), np.eye(3, dtype=np.float32))
    shape = cues.cosine(DEPTHSEG.astype(np.float32), np.eye(3, dtype=np.float32))
    return cues.overlap(DETECTIONS, PREDICTED) + heading_cue() + weight * seen + shape


def test_overlap():
    np.testing.assert_allclose(cues.overlap(DETECTIONS, PREDICTED), IOU, atol=1e-6)


def test_direction():
    np.testing.assert_allclose(heading_cue(), DIRECTION, atol=1e-6)


def test_adaptive_weight():
    np.testing.assert_allclose(cues.adaptive_weight(EMBEDDING, 2.7, 2.0), WEIGHT, atol=1e-6)


def test_total():
    np.testing.assert_allclose(total(), TOTAL, atol=1e-6)


@pytest.mark.parametrize('order', [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
def test_everyone_finds_his_own(order):
    similarity = total()[order]
    for rows, columns in (solve(similarity), match(similarity, np.array(IOU)[order] > 0.1)):
        np.testing.assert_array_equal(np.array(order)[rows], columns)


def test_a_constant_cue_does_not_change_who_is_who():
    _, columns = solve(total() + 3.7)
    np.testing.assert_array_equal(columns, solve(total())[1])
