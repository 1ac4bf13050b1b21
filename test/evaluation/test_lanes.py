"""What a timeline says in words and draws in bars."""

from __future__ import annotations

import numpy as np
from score_cases import rows_of
from test_metrics import walkers

from mot_perception.evaluation.lanes import lane_figure, lanes_of_people, lanes_of_tracks
from mot_perception.evaluation.report import render_report


def test_predicted_frames_are_faint():
    states = np.array([0, 1, 1, 1, 2, 2], np.int8)
    lanes = lanes_of_tracks(rows_of(walkers(1, 6)), states, 6)
    figure = lane_figure(lanes, {0: 5}, 100)
    assert figure['bars'] == [(5, False, 'M1 12h3'), (5, True, 'M0 12h1M4 12h2')]
    assert figure['hover']['runs'] == [0, 0, 1, 1, 0, 0, 0, 2, 4, 1, 0, 0, 5, 6, 2]
    assert figure['about'] == '6 frames · 1 track'


def test_people_missed_and_switched_are_said():
    tracks = walkers(2, 20)
    tracks = tracks[(tracks[:, 1] == 0) | (tracks[:, 0] > 10)]
    tracks[(tracks[:, 0] > 15) & (tracks[:, 1] == 1), 1] = 7
    lanes = lanes_of_people('walk', rows_of(walkers(2, 20)), rows_of(tracks), 20)
    assert lanes.about == '20 frames · 2 people · 3 identities · 1 switch · 25.0 % missed'
    figure = lane_figure(lanes, {0: 0, 1: 1, 7: 2}, 100)
    assert figure['present'] == 'M0 12h20M0 36h20'
    assert figure['bars'] == [
        (0, False, 'M0 12h20'), (1, False, 'M10 36h5'), (2, False, 'M15 36h5'),
    ]  # fmt: skip
    assert figure['switches'] == 'M15 24v24'


def test_many_lanes_are_thin_and_the_rest_is_counted():
    figures = {}
    for n in (5, 40, 160):
        lanes = lanes_of_tracks(rows_of(walkers(n, 2)), None, 2)
        figures[n] = lane_figure(lanes, dict.fromkeys(range(n), 0), 999)
    assert [figures[n]['line'] for n in (5, 40, 160)] == [24, 9, 5]
    assert len(figures[160]['labels']) == 150
    assert figures[160]['below'].endswith('10 lanes seen shortest not drawn.')


def test_limits_hold_for_lanes():
    states = np.arange(60, dtype=np.int8) % 2
    lanes = lanes_of_tracks(rows_of(walkers(1, 60)), states, 60)
    assert len(lanes.thinned(10).runs) == len(lanes.thinned(10).ids) == 10
    assert lanes.thinned(60) is lanes


def test_frames_per_second_follow_from_the_stages():
    stages = {'motion': np.full(3, 0.003), 'association': np.full(3, 0.002)}
    html = render_report('A run', [], None, stages, {})
    assert '5.00 ms a frame on average, 200 frames per second' in html
