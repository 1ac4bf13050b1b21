"""The report is one whole, harmless file that says what it should."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from score_cases import no_rows, perturbed, rows_of
from test_metrics import walkers

from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.report import SequenceReport, render_report, write_report

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>\'"&{{ 7 * 7 }}'
STAGES = {'motion': np.full(5, 0.001), 'association': np.full(5, 0.0005)}


class Page(HTMLParser):
    """Collects tags, the text, and the data of the scripts."""

    VOID = 'meta', 'link', 'img', 'br'

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text, self.data = [], [], '', []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script' and data.lstrip().startswith('{'):
            self.data.append(json.loads(data))
        elif self.open and self.open[-1] not in {'script', 'style'}:
            self.text += data

    def all(self, name, **attributes):
        return [a for tag, a in self.tags if tag == name and attributes.items() <= a.items()]


def sequence(name='walk', seed=0, **changes):
    truth = walkers(4, 200)
    report = SequenceReport(
        name, rows_of(perturbed(truth, seed)), rows_of(truth), 640, 360, fps=20, frames=200
    )
    return replace(report, **changes)


def scores_of(sequences):
    return evaluate(SequencePair(s.name, s.ground_truth, s.tracks, s.frames) for s in sequences)


def page(sequences, scores=None, stages=STAGES, run=None, title='A run'):
    html = render_report(title, sequences, scores, stages, run or {'input': 'walk.mcap'})
    parsed = Page(html)
    assert parsed.open == []
    return parsed


def test_scores_and_switches_are_on_the_page():
    shown = sequence()
    scores = scores_of([shown])
    parsed = page([shown], scores)
    for name in ('HOTA', 'AssA', 'DetA', 'IDF1', 'MOTA'):
        assert f'{getattr(scores.combined, name):.1f}' in parsed.text
    assert f'{scores.combined.IDSW} switches' in parsed.text
    ticks = [a['d'].count('M') for a in parsed.all('path', **{'class': 'switch'})]
    assert scores.combined.IDSW in ticks
    assert scores.combined.IDSW > 1


def test_hovering_knows_every_run():
    shown = sequence()
    (data,) = page([shown], scores_of([shown])).data
    runs = np.array(data['runs']).reshape(-1, 5)
    assert data['lines'] == [0, 1, 2, 3]
    assert (runs[:, 3] >= runs[:, 2]).all()
    assert runs[:, 3].max() <= data['length'] == 200
    assert {str(i) for i in runs[:, 1]} <= data['colours'].keys()
    assert data['states'] is None


def test_nothing_is_loaded_from_elsewhere():
    picture = np.full((36, 64, 3), 128, np.uint8)
    shown = sequence(picture=picture)
    html = render_report('A run', [shown], scores_of([shown]), STAGES, {})
    assert not re.search(r'(href|src)\s*=\s*"(?!#|data:image/jpeg;base64,)', html)
    assert not re.search(r'url\(|@import|https?://(?!www\.w3\.org/2000/svg)', html)
    assert "default-src 'none'" in html
    assert html.count('data:image/jpeg;base64,') == 1


def test_hostile_names_stay_text():
    shown = sequence(HOSTILE)
    facts = {HOSTILE: HOSTILE, 'configuration': {HOSTILE: {HOSTILE: HOSTILE}}}
    stages = {HOSTILE: np.ones(3)}
    parsed = page([shown], scores_of([shown]), stages, facts, HOSTILE)
    assert len(parsed.all('script')) == 2  # the table of the one sequence, and ours
    assert parsed.all('img') == []
    assert parsed.text.count(HOSTILE) >= 7
    assert not any(key.startswith('on') for _, attributes in parsed.tags for key in attributes)


def test_without_truth_the_tracks_have_lanes_and_states():
    shown = sequence(ground_truth=None)
    states = np.ones(len(shown.tracks), np.int8)
    states[shown.tracks.frame > 30] = 2
    parsed = page([replace(shown, states=states)])
    (data,) = parsed.data
    assert data['kind'] == 'track'
    assert set(data['lines']) == set(shown.tracks.id.tolist())
    assert data['states'][2] == 'predicted'
    assert any('faint' in a.get('class', '') for a in parsed.all('path'))
    assert 'HOTA' not in parsed.text
    assert f'{len(set(shown.tracks.id.tolist()))} tracks' in parsed.text


def test_truth_without_scores_still_shows_switches():
    parsed = page([sequence()])
    assert 'switches' in parsed.text
    assert parsed.all('table', **{'class': 'scores'}) == []


def test_several_sequences_are_linked_from_the_table():
    shown = [sequence('first', 0), sequence('second', 1)]
    parsed = page(shown, scores_of(shown))
    links = {a['href'] for a in parsed.all('a')}
    assert links == {f'#{a["id"]}' for a in parsed.all('article')} == {'#s0', '#s1'}
    assert 'all together' in parsed.text


@pytest.mark.parametrize(
    'changes',
    [
        {'tracks': no_rows()},
        {'ground_truth': no_rows()},
        {'tracks': no_rows(), 'ground_truth': no_rows(), 'frames': None},
        {'tracks': no_rows(), 'ground_truth': None},
        {'width': 0, 'height': 0, 'fps': 0.0, 'frames': None},
        {'frames': 10},  # shorter than what was tracked
        {'picture': np.zeros((1, 1, 3), np.uint8), 'picture_frame': 10_000},
    ],
)
def test_edges(changes):
    parsed = page([sequence(**changes)], stages={})
    (data,) = parsed.data
    assert data['length'] >= 1
    assert 'nan' not in parsed.text.lower()
    assert all('nan' not in (a['d'] or '') for a in parsed.all('path'))


def test_no_sequences_at_all():
    assert page([], stages={}).data == []


def test_picture_has_the_boxes_of_its_frame():
    picture = np.full((360, 640, 3), 99, np.uint8)
    shown = sequence(picture=picture, picture_frame=30, tracks=rows_of(walkers(4, 60)))
    parsed = page([shown])
    boxes = [a for a in parsed.all('rect') if 'x' in a]
    assert [int(a['x']) for a in boxes] == [30, 130, 230, 330]
    assert 'frame 30' in parsed.text


def test_large_runs_stay_small():
    rng = np.random.default_rng(0)
    frames, people = 4000, 60
    grid = np.array([(f, k) for f in range(1, frames + 1) for k in range(people)], float)
    boxes = np.hstack([rng.uniform(0, 600, (len(grid), 2)), np.full((len(grid), 2), 40.0)])
    flicker = grid[:, :2].copy()
    flicker[:, 1] = grid[:, 1] + people * rng.integers(0, 500, len(grid))
    shown = SequenceReport(
        'flicker', rows_of(np.hstack([flicker, boxes])), rows_of(np.hstack([grid, boxes])),
        640, 360,
    )  # fmt: skip
    html = render_report('Flicker', [shown], None, {}, {})
    assert len(html) < 2_500_000


def test_facts_are_sorted_into_plain_and_nested():
    run = {'input': 'a.mcap', 'fps': 29.97002997, 'configuration': {'tracker': {'iou': 0.3}}}
    parsed = page([sequence()], run=run)
    assert '29.97' in parsed.text
    assert 'tracker.iou' in parsed.text
    assert parsed.all('details')


def test_written_whole_and_never_over_something(tmp_path):
    path = tmp_path / 'new' / 'report.html'
    arguments = {'title': 'A run', 'sequences': [sequence()]}
    write_report(path, **arguments)
    first = path.read_text('utf-8')
    assert first.startswith('<!doctype html>')
    with pytest.raises(UserError, match='exists already'):
        write_report(path, **arguments)
    write_report(path, **{**arguments, 'title': 'Again'}, force=True)
    assert '<h1>Again</h1>' in path.read_text('utf-8')
    assert [file.name for file in path.parent.iterdir()] == ['report.html']
