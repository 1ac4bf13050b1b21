"""Rows of an ablation differ in what they say they do, and in nothing else."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('trackeval')

import torch

from mot_perception.cli.main import main
from mot_perception.config import load_config
from mot_perception.depthseg.checkpoint import save_autoencoder
from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.errors import UserError
from mot_perception.perception.grid import GRID
from mot_perception.training import ablation
from mot_perception.training.ablation import Score, ablate, models_for, summarise
from mot_perception.training.ablation_cues import Cues, DepthAlone, WithoutDepth
from mot_perception.training.ablation_footage import staged
from mot_perception.training.ablation_masks import MaskTracker, Outlines, mask_iou
from mot_perception.training.ablation_once import CueOnce
from mot_perception.training.ablation_rows import BASELINE, CALIBRATED, choose, rows_of

BASE = load_config('selftrencmot')
TINY = ['--frames', '8', '--people', '3', '--seeds', '1', '--scenes', '1']


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """An encoder that learned nothing, as a file."""
    file = tmp_path_factory.mktemp('encoder') / 'encoder.safetensors'
    torch.manual_seed(5)
    save_autoencoder(CropAutoencoder(), file, {})
    return file


def scores(path):
    with (path / 'ablation.csv').open(newline='') as stream:
        return list(csv.DictReader(stream))


def test_all_usual_rows_are_scored_and_the_same_again(tmp_path, weights):
    pages = []
    for name in ('one', 'two'):
        out = tmp_path / name
        arguments = [*TINY, '--encoder', str(weights), '--out', str(out), '--quiet']
        assert main(['ablate', *arguments]) == 0
        pages.append((out / 'ablation.csv').read_bytes())
    assert pages[0] == pages[1]
    rows = scores(tmp_path / 'one')
    usual = choose(rows_of(BASE, ()), (), {'trained, full frame'})
    assert [row['row'] for row in rows] == [row.name for row in usual]
    assert {row['footage'] for row in rows} == {'walk-1 seed 9000'}
    assert all(0 < float(row['HOTA']) <= 100 and row['frames'] == '8' for row in rows)
    page = (tmp_path / 'one' / 'ablation.md').read_text('utf-8')
    assert all(f'| {row["row"]} |' in page for row in rows)
    assert 'encoder.safetensors (cropped, sha256' in page


def test_the_table_has_chosen_rows_and_the_baseline(tmp_path, capsys):
    arguments = ['ablate', *TINY, '--seeds', '2', '--rows', 'raw', '--out', str(tmp_path / 'out')]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert 'raw' in printed
    assert BASELINE in printed
    assert 'Δ HOTA' in printed
    assert [(row['row'], row['seed']) for row in scores(tmp_path / 'out')] == [
        (BASELINE, '9000'),
        ('raw', '9000'),
        (BASELINE, '9001'),
        ('raw', '9001'),
    ]


def test_a_bag_is_tracked_with_each_seed_only_where_something_is_random(tmp_path):
    bag = tmp_path / 'bag'
    assert main(['scene', str(bag), '--seconds', '0.3', '--people', '2', '--quiet']) == 0
    arguments = ['ablate', str(bag), '--rows', 'untrained', '--seeds', '2', '--quiet']
    assert main([*arguments, '--out', str(tmp_path / 'out')]) == 0
    assert [(row['row'], row['seed'], row['frames']) for row in scores(tmp_path / 'out')] == [
        (BASELINE, '9000', '9'),
        ('untrained', '9000', '9'),
        ('untrained', '9001', '9'),
    ]


def ground_truth(folder, frames=6):
    """Two people who pass each other, without images."""
    (folder / 'gt').mkdir(parents=True)
    lines = [
        f'{frame},{person},{x},{100},{40},{120},1,1,1\n'
        for frame in range(1, frames + 1)
        for person, x in ((1, 100 + 5 * frame), (2, 300 - 5 * frame))
    ]
    (folder / 'gt' / 'gt.txt').write_text(''.join(lines))
    (folder / 'seqinfo.ini').write_text(
        f'[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=20\nseqLength={frames}\n'
        'imWidth=640\nimHeight=360\nimExt=.jpg\n'
    )
    return folder


def test_scenes_move_as_a_ground_truth(tmp_path):
    folder = ground_truth(tmp_path / 'passing')
    arguments = ['ablate', '--boxes', str(folder), '--frames', '4', '--seeds', '1', '--quiet']
    assert main([*arguments, '--rows', 'depth-only', '--out', str(tmp_path / 'out')]) == 0
    rows = scores(tmp_path / 'out')
    assert [row['row'] for row in rows] == [BASELINE, 'depth-only']
    assert {row['footage'] for row in rows} == {'passing seed 9000'}
    assert {row['frames'] for row in rows} == {'4'}


def test_masks_of_the_mask_model(tmp_path):
    scored = {}
    for masks in ('config', 'model'):
        out = tmp_path / masks
        arguments = ['--frames', '12', '--people', '8', '--seeds', '1', '--scenes', '1']
        arguments += ['--masks', masks, '--rows', 'mask-iou', '--out', str(out), '--quiet']
        assert main(['ablate', *arguments]) == 0
        scored[masks] = [{**row, 'footage': ''} for row in scores(out)]
        page = (out / 'ablation.md').read_text('utf-8')
        assert ('- masks: mask model' in page) == (masks == 'model')
    baseline = [[row for row in it if row['row'] == BASELINE] for it in scored.values()]
    assert baseline[0] == baseline[1]
    assert scored['config'] != scored['model']


def assert_refused(capsys, arguments, what):
    assert main(['ablate', *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert said.startswith('error: ')
    assert what in said


@pytest.mark.parametrize(
    ('arguments', 'what'),
    [
        (['--rows', 'magic'], "no row 'magic'; there are mask-iou, box-iou"),
        (['--rows', 'full-frame'], '--full-frame-encoder'),
        (['nowhere'], 'nowhere: does not exist'),
        (['--boxes', 'nowhere'], 'nowhere: does not exist'),
        (['--encoder', 'nowhere.safetensors'], 'nowhere.safetensors'),
        (['--config', 'motion'], 'depth.backend and masks.backend must be set'),
        (['nowhere', '--masks', 'model'], 'nowhere: --masks model is for rendered scenes'),
    ],
)
def test_refused(capsys, arguments, what):
    assert_refused(capsys, [*TINY, '--quiet', *arguments], what)


def test_what_lacks_depth_truth_or_place_is_refused(tmp_path, capsys, weights):
    folder = ground_truth(tmp_path / 'boxes')
    (folder / 'det').mkdir()
    (folder / 'det' / 'det.txt').write_text('1,-1,100,100,40,120,0.9\n')
    assert_refused(capsys, [str(folder), '--quiet'], 'boxes: no depth; give a bag')
    (folder / 'gt' / 'gt.txt').unlink()
    assert_refused(capsys, [str(folder), '--quiet'], 'boxes: has no ground truth')
    out = ['--out', str(tmp_path), '--quiet']
    assert_refused(capsys, [*TINY, *out], 'exists already')
    arguments = [*TINY, '--full-frame-encoder', str(weights), '--quiet']
    assert_refused(capsys, arguments, 'of the form cropped')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['boxes']


def test_rows_differ_from_the_base_in_one_thing():
    rows = {row.name: row for row in rows_of(BASE, ())}
    assert rows[BASELINE].config == rows['encoder'].config == BASE
    assert rows['mask-iou'].tracker is MaskTracker
    changed = {
        'current-depth': ('depthseg', 'previous_depth', 'current'),
        'average': ('tracker', 'depthseg_update', 'average'),
        'prompt-tracks': ('masks', 'prompts', 'tracks'),
        'not-neutral': ('tracker', 'neutral', False),
    }
    for name, (section, key, value) in changed.items():
        assert getattr(getattr(rows[name].config, section), key) == value
        restored = getattr(rows[name].config, section).model_copy(
            update={key: getattr(getattr(BASE, section), key)}
        )
        assert rows[name].config.model_copy(update={section: restored}) == BASE
        assert rows[name].cue == 'trained'
    assert rows['paper'].config.tracker.preset == 'paper'
    assert rows['paper'].config.tracker.gate_first is False


def test_other_cues_have_their_own_weight_and_nothing_else():
    rows = {row.name: row for row in rows_of(BASE, ())}
    for name in ('raw', 'untrained', 'depth-only', 'mask-only', 'encoder-mask-only'):
        row = rows[name]
        tracker = row.config.tracker
        assert (tracker.depthseg_weight, tracker.depthseg_middle) == CALIBRATED[row.cue]
        own = {
            name: getattr(BASE.tracker, name) for name in ('depthseg_weight', 'depthseg_middle')
        }
        same = row.config.model_copy(update={'tracker': tracker.model_copy(update=own)})
        assert same == BASE


def test_usual_rows_are_there_once_and_have_weights():
    missing = {'trained', 'trained, mask only', 'trained, full frame'}
    rows = choose(rows_of(BASE, missing), (), missing)
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert not {'encoder', 'improved', 'improved-box-iou', 'own-depth', 'neutral'} & set(names)
    assert {'raw', 'depth-only', 'current-depth', 'paper', 'release'} <= set(names)
    asked = [row.name for row in choose(rows_of(BASE, missing), ['neutral'], missing)]
    assert asked == [BASELINE, 'neutral']
    with pytest.raises(UserError, match='row encoder: needs a trained encoder'):
        choose(rows_of(BASE, missing), ['encoder'], missing)


def test_mask_iou_is_that_of_the_masks():
    random = np.random.default_rng(0)
    masks = random.random((5, 6, 8)) < 0.4
    masks[3] = False
    vectors, valid = Outlines().embed(np.ones((6, 8), np.float32), masks)
    assert valid.tolist() == [True, True, True, False, True]
    found = mask_iou(vectors, vectors[1:])
    for i, one in enumerate(masks):
        for j, other in enumerate(masks[1:]):
            both, either = (one & other).sum(), (one | other).sum()
            assert found[i, j] == pytest.approx(both / either if either else 0, abs=1e-5)


def test_depth_alone_knows_neither_place_nor_scale():
    depth = np.full(GRID, 5.0, np.float32)
    masks = np.zeros((4, *GRID), np.bool_)
    for k in range(3):
        masks[k, 10 * k : 10 * k + 8, 20 * k : 20 * k + 5] = True
    depth[masks[1]] = 5.5
    depth[masks[2]] = 5.5
    vectors, valid = DepthAlone().embed(depth, masks)
    assert valid.tolist() == [True, True, True, False]
    cosine = vectors @ vectors.T
    assert cosine[1, 2] == pytest.approx(1)
    assert cosine[0, 1] == pytest.approx(np.exp(-((np.log(1.1) / 0.1) ** 2)), abs=1e-3)
    assert not vectors[3].any()
    np.testing.assert_allclose(DepthAlone().embed(7 * depth, masks)[0], vectors, atol=1e-5)


class Counting:
    """A cue that counts how often it is asked."""

    name = 'counting'

    def __init__(self):
        self.seen = []

    def embed(self, depth, masks):
        self.seen.append(depth.copy())
        return np.ones((len(masks), 1), np.float32), np.ones(len(masks), np.bool_)


def test_without_depth_only_holes_are_left_of_it():
    cue = Counting()
    depth = np.array([[1, 0], [np.nan, 7]], np.float32)
    WithoutDepth(cue).embed(depth, np.ones((1, 2, 2), np.bool_))
    np.testing.assert_array_equal(cue.seen[0], [[1, 0], [0, 1]])


def test_a_cue_looks_once_and_answers_do_not_depend_on_what_others_do():
    cue = Counting()
    once = CueOnce(cue)
    depth, masks = np.array([[1, np.nan]], np.float32), np.ones((2, 1, 2), np.bool_)
    valid = once.embed(depth, masks)[1]
    valid[:] = False
    assert once.embed(depth.copy(), masks)[1].all()
    assert len(cue.seen) == 1
    once.embed(depth * 2, masks)
    once.embed(depth, masks.copy())
    assert len(cue.seen) == 3


def test_untrained_encoders_follow_from_the_seed_and_leave_it():
    cues = Cues(BASE.models)
    masks = np.zeros((1, *GRID), np.bool_)
    masks[0, 20:40, 20:30] = True
    depth = np.full(GRID, 3, np.float32)
    state = torch.random.get_rng_state()
    first, second, again = (
        cue.get('untrained', seed).embed(depth, masks)[0]
        for cue, seed in ((cues, 1), (cues, 2), (Cues(BASE.models), 1))
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0.01


def test_sharing_perception_changes_nothing(monkeypatch, weights):
    """Together, rows get what each gets alone; and with weight, cues do matter."""
    strong = BASE.tracker.model_copy(update={'depthseg_weight': 5.0})
    base = BASE.model_copy(update={'tracker': strong})
    cues = Cues(base.models, weights)
    footage = staged(1, 3, 15, people=8, alike=True)
    names = 'mask-iou', 'encoder', 'depth-only', 'current-depth', 'prompt-tracks'
    rows = choose(rows_of(base, cues.missing), names, cues.missing)
    models = models_for(base, detect=False)
    together = ablate([footage], rows, base, models, cues)
    for name in ('MasksOnce', 'AppearanceOnce', 'CueOnce'):
        monkeypatch.setattr(ablation, name, lambda it: it)
    alone = [score for row in rows for score in ablate([footage], [row], base, models, cues)]
    assert together == alone
    assert len({score.AssA for score in together}) > 2


def test_summary_is_of_differences_on_the_same_footage():
    def score(row, footage, hota):
        return Score(row, footage, 0, 10, hota, 2 * hota, 50.0, hota, 1)

    both = [score('base', 'a', 60), score('base', 'b', 40)]
    both += [score('x', 'a', 61), replace(score('x', 'b', 44), seed=1)]
    base, x = summarise(both, 'base')
    assert (base.row, base.runs, base.gain['HOTA'], base.error['AssA']) == ('base', 2, 0, 0)
    assert x.mean['HOTA'] == pytest.approx(52.5)
    assert x.gain == pytest.approx({'HOTA': 2.5, 'AssA': 5, 'IDF1': 2.5})
    assert x.error == pytest.approx({'HOTA': 1.5, 'AssA': 3, 'IDF1': 1.5})
