"""What the scores must do, whatever the sequence."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_cases import DATA, needs_data, no_rows, perturbed, read_table, rows_of
from trackeval.metrics import HOTA

from mot_perception.errors import UserError
from mot_perception.evaluation.hota import FastHota
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair, metric_data


def walkers(count=4, frames=20):
    """`count` people side by side, 100 px apart, walking right."""
    grid = np.array([(f, k) for f in range(1, frames + 1) for k in range(count)], float)
    size = np.full((len(grid), 2), [30.0, 80.0])
    left_top = np.column_stack([100 * grid[:, 1] + grid[:, 0], np.full(len(grid), 50.0)])
    return np.hstack([grid, left_top, size, np.ones((len(grid), 2))])


def score(gt, tracks, frames=None):
    pair = SequencePair('walk', rows_of(gt), rows_of(tracks), frames)
    return evaluate([pair]).combined


def test_truth_scores_100():
    scores = score(walkers(), walkers())
    assert scores.HOTA == scores.MOTA == scores.IDF1 == scores.LocA == 100
    assert scores.IDSW == scores.FP == scores.FN == scores.Frag == 0
    assert (scores.frames, scores.gt_ids, scores.ids, scores.boxes) == (20, 4, 4, 80)


@needs_data
@pytest.mark.parametrize(
    'path', ['dancetrack/val/dancetrack0018', 'mot17/val_half/MOT17-05-FRCNN']
)
def test_real_truth_scores_100(path):
    table = read_table(DATA / path / 'gt/gt.txt')
    counted = table[(table[:, 6] != 0) & (table[:, 7] == 1)]
    scores = score(table, counted)
    assert scores.HOTA == scores.MOTA == scores.IDF1 == pytest.approx(100)


def test_swapped_identities_cost_association_not_detection():
    tracks = walkers()
    late = tracks[:, 0] > 10
    tracks[late, 1] = np.array([1, 0, 2, 3])[tracks[late, 1].astype(int)]
    scores = score(walkers(), tracks)
    assert scores.DetA == 100
    assert scores.AssA == pytest.approx(100 * (0.5 * 1 + 0.5 / 3))  # two of four have 10 in 30
    assert pytest.approx(75) == scores.IDF1
    assert scores.IDSW == 2
    assert pytest.approx(100 * (1 - 2 / 80)) == scores.MOTA


def test_missing_and_invented_boxes_are_counted():
    tracks = walkers()
    tracks[tracks[:, 1] == 3, 2] += 5000
    scores = score(walkers(), tracks)
    assert (scores.FN, scores.FP, scores.ML, scores.MT) == (20, 20, 1, 3)
    assert scores.DetA == pytest.approx(100 * 60 / 100)


@pytest.mark.parametrize(
    ('consider', 'label', 'false_positives', 'misses'),
    [
        (1, 1, 0, 0),  # a person, found
        (0, 1, 20, 0),  # a person out of the count: the box found there is none of ours
        (0, 8, 0, 0),  # a distractor: finding it is forgiven
        (1, 12, 0, 0),  # a reflection, forgiven whatever the flag says
        (1, 3, 20, 0),  # a car: no distractor, not forgiven
    ],
)
def test_ignored_rows_and_distractors(consider, label, false_positives, misses):
    gt = walkers()
    gt[gt[:, 1] == 2, 6:8] = consider, label
    found = score(gt, walkers())
    assert (false_positives, misses) == (found.FP, found.FN)
    assert found.gt_ids == (4 if consider and label == 1 else 3)
    unseen = score(gt, walkers()[walkers()[:, 1] != 2])
    assert (20 if consider and label == 1 else 0) == unseen.FN


def test_labels_that_are_no_challenge_classes_are_not_read():
    gt = walkers()
    gt[:, 7] = gt[:, 1]  # 0 is no MOTChallenge class
    assert score(gt, walkers()).HOTA == 100


def test_nothing_on_either_side():
    empty = walkers()[:0]
    missed, invented = score(walkers(), empty), score(empty, walkers())
    assert (missed.HOTA, missed.FN, missed.ML) == (0, 80, 4)
    assert (invented.HOTA, invented.FP, invented.gt_ids) == (0, 80, 0)
    nothing = score(empty, empty, frames=7)
    assert (nothing.HOTA, nothing.frames, nothing.gt_boxes, nothing.boxes) == (0, 7, 0, 0)


def test_an_empty_sequence_leaves_the_others_alone():
    pairs = [SequencePair('walk', rows_of(walkers()), rows_of(perturbed(walkers())))]
    alone = evaluate(pairs).combined
    both = evaluate([*pairs, SequencePair('void', no_rows(), no_rows(), 5)]).combined
    assert pytest.approx(alone.HOTA) == both.HOTA
    assert both.frames == alone.frames + 5


def test_combined_is_the_sum_of_counts():
    pairs = [
        SequencePair(name, rows_of(walkers(6)), rows_of(perturbed(walkers(6), seed)))
        for seed, name in enumerate(('a', 'b', 'c'))
    ]
    scores = evaluate(pair for pair in pairs)
    for field in ('IDSW', 'FP', 'FN', 'Frag', 'MT', 'frames', 'gt_boxes', 'boxes', 'ids'):
        total = sum(getattr(row, field) for row in scores.sequences)
        assert getattr(scores.combined, field) == total
    assert [row.name for row in scores.sequences] == ['a', 'b', 'c']


@pytest.mark.parametrize(
    ('change', 'frames', 'says'),
    [
        (lambda rows: rows, 19, 'tracks have frame 20, the sequence has frames 1 to 19'),
        (lambda rows: np.vstack([rows[:1] * [0, *[1] * 7], rows]), 20, 'tracks have frame 0'),
        (lambda rows: np.vstack([rows, rows[:1]]), 20, 'tracks have id 0 twice in frame 1'),
    ],
)
def test_rows_that_cannot_be_scored_are_named(change, frames, says):
    gt = walkers()[walkers()[:, 0] < 19]
    with pytest.raises(UserError, match=f'walk: {says}'):
        score(gt, change(walkers()), frames)


def test_sequences_need_names_of_their_own():
    pair = SequencePair('walk', rows_of(walkers()), rows_of(walkers()))
    with pytest.raises(UserError, match='walk: the sequence is given twice'):
        evaluate([pair, pair])
    with pytest.raises(UserError, match='no sequence to evaluate'):
        evaluate([])


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 1000), st.integers(0, 1000))
def test_names_of_ids_play_no_part(permutation, seed, offset):
    gt, tracks = walkers(6), perturbed(walkers(6), seed)
    known, number = np.unique(tracks[:, 1], return_inverse=True)
    renamed = tracks.copy()
    renamed[:, 1] = np.random.default_rng(seed).permutation(len(known))[number] + offset
    gt_renamed = gt.copy()
    gt_renamed[:, 1] = np.array(permutation)[gt[:, 1].astype(int)]
    before, after = asdict(score(gt, tracks)), asdict(score(gt_renamed, renamed))
    assert after == {k: pytest.approx(v) if k != 'name' else v for k, v in before.items()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.floats(0, 60))
def test_fast_hota_is_trackevals(seed, gt_ids, ids, spread):
    """Crowded random boxes: rival matches, empty frames, exact ties at thresholds."""
    rng = np.random.default_rng(seed)

    def crowd(count):
        grid = np.array([(f, k) for f in range(1, 13) for k in range(count)], float)
        grid = grid[rng.random(len(grid)) < 0.7]
        left_top = np.round(rng.uniform(0, spread, (len(grid), 2)))
        return np.hstack([grid, left_top, np.full((len(grid), 2), 20.0)])

    data = metric_data(SequencePair('crowd', rows_of(crowd(gt_ids)), rows_of(crowd(ids)), 12))
    ours, theirs = FastHota().eval_sequence(data), HOTA().eval_sequence(data)
    assert ours.keys() == theirs.keys()
    for field, value in theirs.items():
        np.testing.assert_allclose(ours[field], value, rtol=1e-12, atol=1e-12, err_msg=field)


def test_length_is_the_last_frame_unless_given():
    pair = SequencePair('walk', rows_of(walkers()), rows_of(walkers(frames=25)))
    assert pair.length() == 25
    assert replace(pair, frames=40).length() == 40
