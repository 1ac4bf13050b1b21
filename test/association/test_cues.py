"""Each cue beside a loop; what must hold of it whatever the boxes."""

from __future__ import annotations

import association_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mot_perception.association import cues

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(0, 5)
cosines = arrays(float, st.tuples(counts, counts), elements=st.floats(-1, 1))


def boxes_of(rng, n, spread=60):
    """Boxes that often overlap, with negative coordinates too."""
    corner = rng.integers(-spread, spread, (n, 2)).astype(float)
    return np.hstack([corner, corner + rng.integers(1, spread, (n, 2))])


def table(function, n, m):
    return np.array([[function(i, j) for j in range(m)] for i in range(n)]).reshape(n, m)


@settings(deadline=None)
@given(seeds, counts, counts, st.sampled_from([0.0, 1.0, 2.0, 0.5]))
def test_overlap(seed, n, m, power):
    rng = np.random.default_rng(seed)
    a, b = boxes_of(rng, n), boxes_of(rng, m)
    expected = table(lambda i, j: oracle.iou(a[i], b[j], power), n, m)
    np.testing.assert_allclose(cues.overlap(a, b, power), expected, atol=1e-12)


@pytest.mark.parametrize('power', [0.0, 1.0, 3.0])
@pytest.mark.parametrize(
    ('track', 'expected'),
    [
        ((0, 0, 10, 20), 1),  # itself
        ((10, 0, 20, 20), 0),  # side by side, they touch
        ((0, 20, 10, 40), 0),  # one on the other
        ((np.nan,) * 4, 0),  # unknown
        ((5, 5, 5, 5), 0),  # a point
        ((8, 8, 2, 2), 0),  # inverted
    ],
)
def test_overlap_at_the_edges(track, expected, power):
    box = np.array([[0, 0, 10, 20]], float)
    assert cues.overlap(box, np.array([track], float), power)[0, 0] == expected


def test_height_tells_people_of_equal_width_apart():
    seen = np.array([[0, 0, 40, 100]], float)
    same_height, shorter = [20, 0, 60, 100], [0, 50, 40, 100]
    plain = cues.overlap(seen, np.array([same_height, shorter], float))[0]
    modulated = cues.overlap(seen, np.array([same_height, shorter], float), 1.0)[0]
    assert modulated[0] == plain[0]
    assert modulated[1] == plain[1] / 2


@settings(deadline=None)
@given(seeds, counts, counts, st.floats(0, 1), st.sampled_from([0.0, 2.0]))
def test_raise_to_last(seed, n, m, weight, power):
    rng = np.random.default_rng(seed)
    boxes, predicted, last = boxes_of(rng, n), boxes_of(rng, m), boxes_of(rng, m)
    last[rng.random(m) < 0.3] = np.nan
    misses = rng.integers(0, 4, m)
    overlaps = cues.overlap(boxes, predicted, power)

    def expected(i, j):
        if misses[j] <= 1 or np.isnan(last[j, 0]):
            return overlaps[i, j]
        return max(overlaps[i, j], weight * oracle.iou(boxes[i], last[j], power))

    wanted = table(expected, n, m)
    cues.raise_to_last(overlaps, boxes, last, misses, power, weight)
    np.testing.assert_allclose(overlaps, wanted, atol=1e-12)


@settings(deadline=None)
@given(seeds, counts, counts, st.sampled_from([1, 4]))
def test_direction(seed, n, m, points):
    rng = np.random.default_rng(seed)
    boxes, references = boxes_of(rng, n), boxes_of(rng, m)
    references[rng.random(m) < 0.2] = np.nan
    if n and m:
        references[0] = boxes[0]  # nobody moved: no direction
    scores, wanted, base = rng.random(n), rng.random((n, m)) < 0.8, rng.random((n, m))
    angles = rng.uniform(0, 2 * np.pi, (m, points))
    headings = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    headings *= rng.choice([0, 0.4, 1], (m, 1, 1))

    def one(i, j):
        return oracle.direction(boxes[i], scores[i], references[j], headings[j])

    cue, expected = cues.direction(boxes, scores, references, headings), table(one, n, m)
    np.testing.assert_allclose(cue, expected, atol=1e-7)
    assert (np.abs(cue) <= scores[:, None] / 2 + 1e-12).all()
    total = base.copy()
    cues.add_direction(total, 0.3, wanted, boxes, scores, references, headings)
    np.testing.assert_allclose(total, base + 0.3 * np.where(wanted, expected, 0), atol=1e-7)


@pytest.mark.parametrize('points', [1, 4])
@pytest.mark.parametrize(
    ('heading', 'share'),
    [
        ((1, 0), 0.1),  # goes on
        ((-1, 0), -0.1),  # turned round
        ((0, 1), 0),  # aside
        ((0, 0), 0),  # heading unknown
    ],
)
@pytest.mark.parametrize('origin', [0, -500])
def test_direction_at_the_edges(points, heading, share, origin):
    reference = np.array([[0, 0, 20, 40]], float) + origin
    boxes, headings = (
        np.add(reference, [[30, 0, 30, 0]]),
        np.tile(np.array(heading, float), (1, points, 1)),
    )
    cue = 0.2 * cues.direction(boxes, np.array([0.7]), reference, headings)
    assert cue[0, 0] == pytest.approx(share * 0.7, abs=1e-4)


@settings(deadline=None)
@given(seeds, counts, counts, st.floats(0, 2))
def test_penalties(seed, n, m, weight):
    """Differences of confidence, and distances of foot lines in heights of the track."""
    rng = np.random.default_rng(seed)
    scores, track_scores = rng.random(n), rng.random(m)
    boxes, tracks = boxes_of(rng, n), boxes_of(rng, m)
    wanted, base = rng.random((n, m)) < 0.7, rng.random((n, m))

    def confidence(i, j):
        return wanted[i, j] * abs(scores[i] - track_scores[j])

    def foot(i, j):
        height = max(tracks[j, 3] - tracks[j, 1], 1)
        return wanted[i, j] * abs(boxes[i, 3] - tracks[j, 3]) / height

    total = base.copy()
    cues.add_confidence(total, weight, wanted, scores, track_scores)
    np.testing.assert_allclose(total, base - weight * table(confidence, n, m), atol=1e-12)
    total = base.copy()
    cues.add_foot(total, weight, wanted, boxes, tracks)
    np.testing.assert_allclose(total, base - weight * table(foot, n, m), atol=1e-12)


def test_cosines_of_unit_vectors():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 16)), rng.normal(size=(4, 16))
    a[2] = b[1]
    unit = [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in (a, b)]
    similarity = cues.cosine(*unit)
    wanted = rng.random((3, 4)) < 0.5
    some = cues.cosine_where(*unit, wanted)
    np.testing.assert_allclose(some, np.where(wanted, similarity, 0), atol=1e-6)
    assert similarity.dtype == np.float64
    expected = table(lambda i, j: np.dot(unit[0][i], unit[1][j]), 3, 4)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    assert similarity[2, 1] == pytest.approx(1, abs=1e-6)


@given(cosines, st.sampled_from([0.0, 0.3, 2.0]))
def test_adaptive_weight(similarity, cap):
    expected = oracle.adaptive_weight(similarity, 2.7, cap)
    np.testing.assert_allclose(cues.adaptive_weight(similarity, 2.7, cap), expected, atol=1e-12)


@pytest.mark.parametrize(
    ('similarity', 'expected'),
    [
        ([[0.9]], [[1]]),  # alone: nothing stands out
        ([[0.9, 0.5]], [[1.2, 1.2]]),  # one detection: no bonus for columns
        ([[0.9], [0.5]], [[1.2], [1.2]]),  # one track: no bonus for rows
    ],
)
def test_adaptive_weight_of_a_single_row_or_column(similarity, expected):
    np.testing.assert_allclose(cues.adaptive_weight(np.array(similarity), 1.0, 2.0), expected)


@given(seeds)
def test_adaptive_weight_follows_permutations(seed):
    rng = np.random.default_rng(seed)
    similarity, rows, columns = rng.uniform(-1, 1, (4, 5)), rng.permutation(4), rng.permutation(5)
    weight = cues.adaptive_weight(similarity, 1.3, 0.4)
    mixed = cues.adaptive_weight(similarity[rows][:, columns], 1.3, 0.4)
    np.testing.assert_array_equal(mixed, weight[rows][:, columns])


@given(seeds, counts, counts)
def test_neutral(seed, n, m):
    rng = np.random.default_rng(seed)
    similarity, candidates = rng.uniform(-1, 1, (n, m)), rng.random((n, m)) < 0.7
    known = rng.random((n, m)) < 0.8
    similarity[rng.random((n, m)) < 0.1] = np.nan
    expected = np.zeros((n, m))
    for i in range(n):
        usable = [
            j
            for j in range(m)
            if candidates[i, j] and known[i, j] and not np.isnan(similarity[i, j])
        ]
        for j in usable:
            expected[i, j] = similarity[i, j] - np.mean(similarity[i, usable])
    result = cues.neutral(similarity, candidates, known)
    np.testing.assert_allclose(result, expected, atol=1e-12)
    np.testing.assert_allclose(result.sum(1), 0, atol=1e-12)


def test_one_unknown_entry_leaves_the_other_evidence_as_it_is():
    similarity = np.array([[0.9, 0.1, np.nan], [0.2, 0.8, 0.5], [np.nan] * 3])
    everything = np.ones((3, 3), bool)
    expected = [[0.4, -0.4, 0], [-0.3, 0.3, 0], [0, 0, 0]]
    np.testing.assert_allclose(cues.neutral(similarity, everything, everything), expected)


def test_a_lone_candidate_gets_no_bonus():
    similarity, candidates = np.array([[0.9, 0.8]]), np.array([[True, False]])
    np.testing.assert_array_equal(cues.neutral(similarity, candidates, candidates), [[0, 0]])
