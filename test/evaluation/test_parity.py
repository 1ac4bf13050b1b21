"""Our numbers are TrackEval's: its own folder-based evaluation is run beside ours."""

from __future__ import annotations

import contextlib
import io
from dataclasses import asdict

import numpy as np
import pytest
from score_cases import DATA, needs_data, perturbed, read_table, rows_of

from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair

SETS = {
    'dancetrack': ['dancetrack/val/dancetrack0018', 'dancetrack/val/dancetrack0065'],
    'mot17': ['mot17/val_half/MOT17-02-FRCNN', 'mot17/val_half/MOT17-09-FRCNN'],
    'sportsmot': ['sportsmot/val/v_9MHDmAMxO5I_c002', 'sportsmot/val/v_0kUtTtmLaJA_c006'],
    'mot15': ['frames/TUD-Stadtmitte', 'frames/KITTI-17'],
}


def trackeval_on_folders(root, gt, tracks, benchmark):
    """Write both sides as folders and return TrackEval's own results per sequence."""
    import trackeval

    lengths = {}
    (root / 'tracks/ours/data').mkdir(parents=True)
    for name, table in gt.items():
        (root / 'gt' / name / 'gt').mkdir(parents=True)
        np.savetxt(root / 'gt' / name / 'gt/gt.txt', table, delimiter=',', fmt='%.17g')
        rows = tracks[name]
        ones = np.ones((len(rows), 1))
        rows = np.hstack([rows[:, :6], ones, -ones, -ones, -ones])
        np.savetxt(root / f'tracks/ours/data/{name}.txt', rows, delimiter=',', fmt='%.17g')
        lengths[name] = int(max(table[:, 0].max(), tracks[name][:, 0].max()))
    config = {
        'GT_FOLDER': str(root / 'gt'),
        'TRACKERS_FOLDER': str(root / 'tracks'),
        'BENCHMARK': benchmark,
        'SEQ_INFO': lengths,
        'SKIP_SPLIT_FOL': True,
        'PRINT_CONFIG': False,
    }
    quiet = {'PRINT_CONFIG': False, 'THRESHOLD': 0.5}
    flags = ['PRINT_RESULTS', 'PRINT_CONFIG', 'TIME_PROGRESS', 'OUTPUT_SUMMARY']
    flags += ['OUTPUT_DETAILED', 'PLOT_CURVES', 'OUTPUT_EMPTY_CLASSES']
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = [trackeval.metrics.HOTA()]
        metrics += [kind(quiet) for kind in (trackeval.metrics.CLEAR, trackeval.metrics.Identity)]
        evaluator = trackeval.Evaluator(dict.fromkeys(flags, False))
        results, _ = evaluator.evaluate([trackeval.datasets.MotChallenge2DBox(config)], metrics)
    return results['MotChallenge2DBox']['ours']


def assert_same(ours, theirs):
    theirs = theirs['pedestrian']
    for field in ('HOTA', 'AssA', 'DetA', 'LocA', 'AssRe', 'AssPr', 'DetRe', 'DetPr'):
        assert getattr(ours, field) == pytest.approx(100 * theirs['HOTA'][field].mean(), abs=1e-9)
    for field in ('IDF1', 'IDR', 'IDP'):
        assert getattr(ours, field) == pytest.approx(100 * theirs['Identity'][field], abs=1e-9)
    assert pytest.approx(100 * theirs['CLEAR']['MOTA'], abs=1e-9) == ours.MOTA
    counts = {k: theirs['CLEAR'][k] for k in ('IDSW', 'Frag', 'MT', 'ML')}
    counts |= {k: theirs['CLEAR'][f'CLR_{k}'] for k in ('FP', 'FN')}
    counts |= {'ids': theirs['Count']['IDs'], 'gt_ids': theirs['Count']['GT_IDs']}
    counts |= {'boxes': theirs['Count']['Dets'], 'gt_boxes': theirs['Count']['GT_Dets']}
    assert {k: asdict(ours)[k] for k in counts} == counts


@needs_data
@pytest.mark.parametrize('benchmark', SETS)
def test_real_sequences_score_as_in_trackeval(benchmark, tmp_path):
    gt = {path.split('/')[-1]: read_table(DATA / path / 'gt/gt.txt') for path in SETS[benchmark]}
    tracks = {name: perturbed(table, seed) for seed, (name, table) in enumerate(gt.items())}
    mot15 = benchmark == 'mot15'
    theirs = trackeval_on_folders(tmp_path, gt, tracks, 'MOT15' if mot15 else 'MOT17')
    columns = slice(0, 7) if mot15 else slice(0, 8)  # MOT15 has no classes, but coordinates
    ours = evaluate(
        SequencePair(name, rows_of(gt[name][:, columns]), rows_of(tracks[name])) for name in gt
    )
    for scores in ours.sequences:
        assert_same(scores, theirs[scores.name])
        assert scores.IDSW > 0
        assert 20 < scores.HOTA < 95
    assert_same(ours.combined, theirs['COMBINED_SEQ'])
