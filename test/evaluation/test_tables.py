"""Scores survive their way to the terminal, to JSON, and to CSV."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from score_cases import perturbed, rows_of
from test_metrics import walkers

from mot_perception.errors import UserError
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.tables import from_csv, from_json, score_table, to_csv, to_json

HOSTILE = '[red]a,"b"\n</script>[/red]'


@pytest.fixture(scope='module')
def scores():
    rows = [rows_of(perturbed(walkers(), seed)) for seed in (0, 1)]
    names = 'plain', HOSTILE
    return evaluate(
        SequencePair(name, rows_of(walkers()), tracks)
        for name, tracks in zip(names, rows, strict=True)
    )


@pytest.mark.parametrize(('write', 'read'), [(to_json, from_json), (to_csv, from_csv)])
def test_round_trip_loses_nothing(scores, write, read):
    assert read(write(scores)) == scores


def test_json_is_plain(scores):
    content = json.loads(to_json(scores))
    assert content['combined']['HOTA'] == scores.combined.HOTA
    assert content['sequences'][0]['name'] == 'plain'


@pytest.mark.parametrize('read', [from_json, from_csv])
@pytest.mark.parametrize('text', ['', '{}', 'nonsense', 'name,HOTA\na,b\n', '{"sequences": 3}'])
def test_other_text_is_refused(read, text):
    with pytest.raises(UserError, match='not a scores file'):
        read(text)


def test_table_has_a_line_per_sequence_and_the_sum(scores):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(score_table(scores, 'Scores'))
    text = console.export_text()
    assert 'plain' in text
    assert '[red]a' in text
    assert 'COMBINED' in text
    assert f'{scores.combined.HOTA:.2f}' in text


def test_one_sequence_needs_no_sum():
    pair = SequencePair('walk', rows_of(walkers()), rows_of(walkers()))
    assert score_table(evaluate([pair])).row_count == 1
