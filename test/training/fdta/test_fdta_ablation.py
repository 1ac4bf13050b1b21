"""Many ways to train FDTA: which they are, and that a table is made of what was measured."""

from __future__ import annotations

import csv
import io
import json

import pytest
from test_train_fdta import Squares, settings

from mot_perception.errors import UserError
from mot_perception.trackers.fdta_settings import FdtaConfig
from mot_perception.training.fdta.ablation import Outcome, ablate, summarise, to_csv
from mot_perception.training.fdta.ablation_rows import BASELINE, Row, choose, rows_of
from mot_perception.training.fdta.scoring import METRICS
from mot_perception.training.fdta.settings import improved, release, with_adapters

COMMON = {'clips': 10, 'epochs': 1}


def test_rows_have_names_of_their_own_and_differ():
    rows = rows_of(COMMON)
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    ways = [row.training.model_dump_json() for row in rows]
    assert len(set(ways)) == len(ways)
    assert {row.training.clips for row in rows} == {10}


def test_table_4_is_what_is_usual():
    names = [row.name for row in choose(rows_of(COMMON), ())]
    assert names == [
        'baseline', 'spatial', 'temporal', 'identity', 'spatial+temporal', 'spatial+identity',
        'temporal+identity', 'all',
    ]  # fmt: skip


def test_every_change_of_ours_has_a_row():
    """Taking a row's change back changes `all` in one setting, and all settings are there."""
    rows = {row.name: row for row in rows_of(COMMON)}
    whole = flat(rows['all'].training.model_dump())
    switched = set()
    for row in rows.values():
        if row.about.startswith('all, but'):
            other = flat(row.training.model_dump())
            (name,) = (key for key in whole if whole[key] != other[key])
            switched.add(name)
    ours, theirs = flat(improved().model_dump()), flat(release().model_dump())
    differ = {key for key in ours if ours[key] != theirs[key]}
    how_to_track = {key for key in differ if key.startswith('tracker.')} - {'tracker.min_hits'}
    assert switched == differ - how_to_track


def flat(values, prefix=''):
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f'{prefix}{name}.')
        else:
            found[prefix + name] = value
    return found


def test_an_unknown_row_is_told():
    with pytest.raises(UserError, match="no row 'nonsense'"):
        choose(rows_of(COMMON), ['nonsense'])


def test_rows_are_trained_scored_and_not_done_again(tmp_path):
    whole = settings(epochs=1, tracker=FdtaConfig(score=0.0, birth_score=0.0))
    rows = [
        Row(BASELINE, 'none', with_adapters(whole, ())),
        Row('all', 'all', whole),
    ]
    steps = []
    run = lambda: ablate(  # noqa: E731
        tmp_path,
        rows,
        [0, 1],
        lambda _: ([Squares()], [Squares(name='held out')]),
        device='cpu',
        progress=lambda name: lambda _: steps.append(name),
    )
    outcomes = run()
    assert [(it.row, it.seed) for it in outcomes] == [
        ('baseline', 0), ('all', 0), ('baseline', 1), ('all', 1),
    ]  # fmt: skip
    done = len(steps)
    assert done == 8
    assert run() == outcomes
    assert len(steps) == done
    kept = json.loads((tmp_path / 'all-1' / 'scores.json').read_text())
    assert kept['scores'] == outcomes[-1].scores


def test_gains_are_paired_by_seed():
    def outcome(row, seed, hota):
        return Outcome(row, seed, {name: hota if name == 'HOTA' else 0.0 for name in METRICS})

    outcomes = [outcome('baseline', 0, 10.0), outcome('x', 0, 12.0),
                outcome('baseline', 1, 20.0), outcome('x', 1, 23.0)]  # fmt: skip
    base, row = summarise(outcomes, 'baseline')
    assert base.gain['HOTA'] == 0
    assert row.gain['HOTA'] == 2.5
    assert row.spread['HOTA'] == pytest.approx(7.778, abs=1e-3)
    lines = list(csv.DictReader(io.StringIO(to_csv(outcomes))))
    assert [float(line['HOTA']) for line in lines] == [10, 12, 20, 23]
