"""The timeline tells what CLEAR counts, and nothing of a sequence is lost in its runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import DATA, needs_data, no_rows, perturbed, read_table, rows_of
from test_metrics import walkers

from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.timeline import Runs, match_timeline, track_runs


def runs_of(runs):
    return list(zip(*(c.tolist() for c in (runs.row, runs.value, runs.first, runs.last))))  # noqa: B905


def test_a_swap_is_two_runs_and_one_switch_per_row():
    tracks = walkers(2, 20)
    tracks[:, 1] += 7
    late = tracks[:, 0] > 10
    tracks[late, 1] = 15 - tracks[late, 1]
    timeline = match_timeline(SequencePair('walk', rows_of(walkers(2, 20)), rows_of(tracks)))
    assert runs_of(timeline.covered) == [
        (0, 7, 1, 10), (0, 8, 11, 20), (1, 8, 1, 10), (1, 7, 11, 20),
    ]  # fmt: skip
    switches = timeline.switches
    assert switches.row.tolist() == [0, 1]
    assert switches.frame.tolist() == [11, 11]
    assert switches.before.tolist() == [7, 8]
    assert switches.after.tolist() == [8, 7]


def test_missed_frames_cut_a_run_but_are_no_switch():
    tracks = walkers(1, 20)
    tracks = tracks[(tracks[:, 0] < 5) | (tracks[:, 0] > 8)]
    timeline = match_timeline(SequencePair('walk', rows_of(walkers(1, 20)), rows_of(tracks)))
    assert runs_of(timeline.covered) == [(0, 0, 1, 4), (0, 0, 9, 20)]
    assert runs_of(timeline.present) == [(0, 0, 1, 20)]
    assert len(timeline.switches) == 0


def test_a_rival_with_better_overlap_does_not_take_over():
    gt, tracks = walkers(1, 10), walkers(2, 10)
    tracks[:, 2] = np.where(tracks[:, 1] == 0, tracks[:, 0] + 5, tracks[:, 0])
    tracks = tracks[(tracks[:, 1] == 0) | (tracks[:, 0] > 3)]
    timeline = match_timeline(SequencePair('walk', rows_of(gt), rows_of(tracks)))
    assert runs_of(timeline.covered) == [(0, 0, 1, 10)]


@pytest.mark.parametrize('gt', [True, False])
@pytest.mark.parametrize('tracks', [True, False])
def test_empty_sides(gt, tracks):
    sides = [rows_of(walkers(1, 3)) if side else no_rows() for side in (gt, tracks)]
    timeline = match_timeline(SequencePair('walk', *sides, 3))
    assert len(timeline.covered) == (gt and tracks)
    assert len(timeline.present) == gt
    assert len(timeline.switches) == 0


@needs_data
@pytest.mark.parametrize(
    'path',
    ['dancetrack/val/dancetrack0018', 'mot17/val_half/MOT17-02-FRCNN', 'frames/KITTI-17'],
)
def test_switches_on_real_sequences_are_idsw(path):
    table = read_table(DATA / path / 'gt/gt.txt')
    table = table[:, : 7 if 'KITTI' in path else 8]
    pair = SequencePair(path, rows_of(table), rows_of(perturbed(table, jitter=0.15)))
    scores, timeline = evaluate([pair]).combined, match_timeline(pair)
    assert len(timeline.switches) == scores.IDSW > 0
    covered, present = timeline.covered, timeline.present
    assert (covered.last - covered.first + 1).sum() == scores.gt_boxes - scores.FN
    assert (present.last - present.first + 1).sum() == scores.gt_boxes
    assert set(present.row.tolist()) == set(table[counted(table), 1].astype(int).tolist())


def counted(table):
    return (table[:, 6] != 0) & ((table[:, 7] == 1) if table.shape[1] > 7 else True)


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(1, 15)), st.integers(0, 2)))
def test_runs_hold_every_frame_once(frames):
    keys = list(frames)
    columns = [np.array([key[k] for key in keys], np.int64) for k in (0, 1)]
    runs = Runs.of(*columns, np.array([frames[key] for key in keys], np.int64))
    unrolled = {
        (row, frame): value
        for row, value, first, last in runs_of(runs)
        for frame in range(first, last + 1)
    }
    assert unrolled == frames
    joined = zip(runs_of(runs), runs_of(runs)[1:])  # noqa: B905
    assert not any(a[:2] == b[:2] and a[3] + 1 == b[2] for a, b in joined)


def test_states_of_tracks_without_truth():
    rows = rows_of(walkers(1, 6))
    assert runs_of(track_runs(rows)) == [(0, 1, 1, 6)]
    states = np.array([0, 0, 1, 1, 2, 1], np.int8)
    expected = [(0, 0, 1, 2), (0, 1, 3, 4), (0, 2, 5, 5), (0, 1, 6, 6)]
    assert runs_of(track_runs(rows, states)) == expected
