"""Time the evaluation beside TrackEval's own, on the same files in one run, and compare scores.

    python benchmarks/evaluation_speed.py ../shared/data/dancetrack/val

Tracks are the ground truth with boxes jittered, a tenth missed, and identities cut. TrackEval runs
its folder-based evaluation (MotChallenge2DBox; HOTA, CLEAR, Identity), ours `evaluate_folders`;
both on one process and one thread, reading of the files included.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mot_perception.bags.mot import read_mot, write_mot
from mot_perception.evaluation.folders import evaluate_folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from mot_perception.bags.rows import MotRows

REPEATS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('set', type=Path, help='folder of MOTChallenge sequences')
    folder = parser.parse_args().set
    sequences = sorted(path.name for path in folder.iterdir() if (path / 'gt/gt.txt').is_file())
    with tempfile.TemporaryDirectory() as scratch:
        tracks = Path(scratch, 'tracks/ours/data')
        for seed, name in enumerate(sequences):
            truth = read_mot(folder / name / 'gt/gt.txt', kind='gt')
            write_mot(tracks / f'{name}.txt', perturbed(truth, seed))
        theirs = timed(lambda: trackeval_scores(folder, Path(scratch), sequences))
        ours = timed(lambda: evaluate_folders(folder, tracks))
    combined = ours[1].combined
    reference = theirs[1]['COMBINED_SEQ']['pedestrian']
    table = Table(title=f'{len(sequences)} sequences, {combined.frames} frames')
    for column in ('', 's', 'HOTA', 'IDF1', 'MOTA', 'IDSW'):
        table.add_column(column, justify='right')
    rates = reference['HOTA']['HOTA'].mean(), reference['Identity']['IDF1']
    rates = *rates, reference['CLEAR']['MOTA']
    cells = [f'{100 * rate:.4f}' for rate in rates]
    table.add_row('TrackEval', f'{theirs[0]:.2f}', *cells, str(reference['CLEAR']['IDSW']))
    cells = [f'{rate:.4f}' for rate in (combined.HOTA, combined.IDF1, combined.MOTA)]
    table.add_row('evaluate_folders', f'{ours[0]:.2f}', *cells, str(combined.IDSW))
    table.add_row('ratio', f'{theirs[0] / ours[0]:.1f}')
    Console().print(table)


def perturbed(truth: MotRows, seed: int) -> MotRows:
    """Return tracks that miss, jitter, and change identity every hundred frames or so."""
    rng = np.random.default_rng(seed)
    rows = truth.select(truth.consider & (rng.random(len(truth)) < 0.9))
    size = np.tile(rows.xyxy[:, 2:] - rows.xyxy[:, :2], 2)
    rows.xyxy[:] += rng.normal(0, 0.06, rows.xyxy.shape) * size
    rows.id[:] = rows.id * 1000 + rows.frame // (80 + rows.id % 50)
    return rows.select((rows.xyxy[:, 2:] > rows.xyxy[:, :2] + 1).all(1))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median time of some runs, seconds, and the result."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        result = work()
        times.append(perf_counter() - start)
    return float(np.median(times)), result


def trackeval_scores(folder: Path, scratch: Path, sequences: list[str]) -> dict[str, Any]:
    """Return what TrackEval's own evaluation says of the same files."""
    import trackeval

    config = {
        'GT_FOLDER': str(folder),
        'TRACKERS_FOLDER': str(scratch / 'tracks'),
        'SEQ_INFO': dict.fromkeys(sequences),
        'SKIP_SPLIT_FOL': True,
        'PRINT_CONFIG': False,
    }
    quiet = {'PRINT_CONFIG': False}
    flags = ['PRINT_RESULTS', 'PRINT_CONFIG', 'TIME_PROGRESS', 'OUTPUT_SUMMARY']
    flags += ['OUTPUT_DETAILED', 'PLOT_CURVES', 'OUTPUT_EMPTY_CLASSES']
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = [trackeval.metrics.HOTA()]
        metrics += [kind(quiet) for kind in (trackeval.metrics.CLEAR, trackeval.metrics.Identity)]
        dataset = trackeval.datasets.MotChallenge2DBox(config)
        evaluator = trackeval.Evaluator(dict.fromkeys(flags, False))
        results, _ = evaluator.evaluate([dataset], metrics)
    return dict(results['MotChallenge2DBox']['ours'])


if __name__ == '__main__':
    main()
