"""The numbers behind the drawings: bars, trails, counts, colours, times."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import no_rows, perturbed, rows_of
from test_metrics import walkers

from mot_perception.evaluation import figures
from mot_perception.evaluation.colours import COLOURS, identity_colours
from mot_perception.evaluation.lanes import many
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.report import short
from mot_perception.evaluation.stages import LogScale, stage_times
from mot_perception.evaluation.timeline import Runs, Switches, match_timeline, track_runs


def runs(*rows):
    columns = np.array(rows, np.int64).reshape(-1, 4)
    return Runs(*columns.T)


def test_bars_span_their_frames():
    drawn = figures.bar_paths(
        runs((4, 1, 1, 10), (4, 2, 12, 12), (9, 1, 3, 5)), {4: 0, 9: 1}, 10, np.array([0, 1, 0])
    )
    assert drawn == {0: 'M0 5h10M2 15h3', 1: 'M11 5h1'}


def test_rows_without_a_place_are_not_drawn():
    assert figures.bar_paths(runs((4, 1, 1, 10)), {}, 10, np.array([0])) == {}
    assert figures.hover_table(runs((4, 1, 1, 10)), {}, np.array([1]), np.array([1])) == []


def test_rows_come_by_appearance_and_the_longest_stay():
    some = runs((1, 0, 5, 6), (2, 0, 1, 2), (3, 0, 3, 3))
    assert figures.row_order(some, 9) == ([2, 3, 1], 0)
    assert figures.row_order(some, 2) == ([2, 1], 1)
    assert figures.row_order(runs(), 2) == ([], 0)


def test_a_switch_is_a_tick_at_its_frame():
    columns = np.array([[7, 7], [5, 9], [1, 2], [2, 1]], np.int64)
    assert figures.switch_path(Switches(*columns), {7: 3}, 10, 5) == 'M4 30v10M8 30v10'
    assert figures.switch_path(Switches(*columns), {7: 3}, 10, 1) == 'M4 30v10'
    assert figures.switch_path(Switches(*columns[:, :0]), {}, 10, 5) == ''


@given(st.integers(1, 60), st.integers(0, 1000))
def test_thinned_runs_keep_order_and_limit(limit, seed):
    rng = np.random.default_rng(seed)
    frames = np.flatnonzero(rng.random(400) < 0.6) + 1
    whole = Runs.of(frames % 3, frames, rng.integers(0, 2, len(frames)))
    thin = figures.thinned(whole, limit)
    assert len(thin) <= max(limit, 0)
    assert (thin.last >= thin.first).all()
    assert all(np.diff(thin.row) >= 0)
    same = np.diff(thin.row) == 0
    assert (thin.first[1:][same] > thin.last[:-1][same]).all()


def test_few_runs_are_left_alone():
    some = runs((1, 0, 5, 6), (1, 0, 8, 9))
    assert figures.thinned(some, 2) is some
    assert figures.thinned(some, 1).last.tolist() == [9]  # the gap is closed


def test_a_trail_can_be_read_back():
    rows = rows_of(walkers(1, 100))
    step, trails = figures.trails(rows, 20, 25, 10)
    ((identity, first, path),) = trails
    assert (step, identity, first) == (4, 0, 1)
    x, y, *moves = map(int, re.findall(r'-?\d+', path))
    xs = np.cumsum([x, *moves[::2]])
    foot = rows.xyxy[::4, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(xs[: len(foot)], foot, atol=0.5)
    assert xs[-1] == round(rows.xyxy[-1, [0, 2]].mean())
    assert y == 130
    assert not any(moves[1::2])


def test_trails_break_at_long_gaps_and_stay_within_their_limits():
    table = walkers(3, 200)
    rows = rows_of(table[(table[:, 0] < 50) | (table[:, 0] > 150)])
    assert len(figures.trails(rows, 25, 1000, 100)[1]) == 6
    step, trails = figures.trails(rows, 25, 20, 4)
    assert len(trails) == 4
    assert sum(path.count(' ') for *_, path in trails) <= 2 * (20 + 2 * 4)
    assert step > 1
    assert figures.trails(no_rows(), 25, 20, 4) == (1, [])


def test_counts_are_steps_from_the_floor():
    frames = np.array([1, 1, 2, 4], np.int64)
    assert figures.count_path(frames, 4, 40, 2) == 'M0 40V0H1V20H2V40H3V20H4'
    assert figures.count_path(frames, 4, 40, 2, bins=2) == 'M0 40V10H2V30H4'


@pytest.mark.parametrize(
    ('length', 'fps', 'ticks'),
    [
        (100, 20, ['0 s', '1 s', '2 s', '3 s', '4 s', '5 s']),
        (1203, 20, ['0 s', '10 s', '20 s', '30 s', '40 s', '50 s', '60 s']),
        (100, 0, ['0', '20', '40', '60', '80', '100']),
        (1, 0, ['0', '0.2', '0.4', '0.6', '0.8', '1']),
    ],
)
def test_axis_has_round_ticks(length, fps, ticks):
    found = figures.axis_ticks(length, fps)
    assert [text for _, text in found] == ticks
    assert found[0][0] == 0
    assert max(place for place, _ in found) <= 100.001


def test_neighbours_in_time_have_different_colours():
    table = walkers(9, 300)
    pair = SequencePair('walk', rows_of(table), rows_of(perturbed(table)))
    switches = match_timeline(pair).switches
    colours = identity_colours(track_runs(pair.tracks), switches)
    assert len(switches) > 20
    assert colours.keys() == set(pair.tracks.id.tolist())
    assert set(colours.values()) <= set(range(COLOURS))
    before, after = (np.vectorize(colours.get)(c) for c in (switches.before, switches.after))
    assert (before != after).all()


def test_few_tracks_share_no_colour():
    colours = identity_colours(track_runs(rows_of(walkers(COLOURS))))
    assert sorted(colours.values()) == list(range(COLOURS))
    assert identity_colours(track_runs(no_rows())) == {}


def test_a_colour_is_free_again_when_its_track_has_ended():
    alone = [(k, 1, 10 * k + 1, 10 * k + 10) for k in range(2 * COLOURS)]
    together = [(100 + k, 1, 1000, 1100) for k in range(COLOURS - 1)]
    lasting = [(99, 1, 1, 2000)]
    colours = identity_colours(runs(*alone, *lasting, *together))
    assert len({colours[k] for k in (99, *range(100, 100 + COLOURS - 1))}) == COLOURS


def test_stage_times():
    fast, slow = stage_times({'fast': np.full(10, 0.001), 'slow': np.arange(1, 4) / 1000})
    assert (fast.mean, fast.p50, fast.worst) == pytest.approx((1, 1, 1))
    assert (slow.mean, slow.p50, slow.worst) == pytest.approx((2, 2, 3))
    assert fast.share == pytest.approx(10 / 16)
    assert fast.share + slow.share == pytest.approx(1)
    assert stage_times({'never': np.empty(0), 'broken': np.array([np.nan])}) == []
    assert stage_times({'instant': np.zeros(3)})[0].share == 0


def test_log_scale_holds_all_times():
    times = stage_times({'a': np.array([0.00002, 0.00004]), 'b': np.array([0.05])})
    scale = LogScale.over(times)
    assert (scale.low, scale.high) == (-2, 2)
    assert [text for _, text in scale.ticks()] == ['0.01', '0.1', '1', '10', '100']
    assert scale.at(1) == 50
    assert scale.at(0) == 0
    assert scale.at(1e9) == 100


@pytest.mark.parametrize(
    ('value', 'text'), [(0, '0'), (0.01234, '0.0123'), (1.2345, '1.23'), (123.4, '123')]
)
def test_short_numbers(value, text):
    assert short(value) == text


def test_nouns_follow_their_number():
    assert many(1, 'person', 'people') == '1 person'
    assert many(1200, 'frame') == '1\u202f200 frames'
