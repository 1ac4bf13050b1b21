"""How good OpenCV's people detector is on real frames, and what its scores mean.

    python benchmarks/people.py

For each set the precision and recall at IoU 0.5 of the boxes above the tracker's three thresholds,
and the median time of a frame. At the end, the logistic regression of being right on the SVM's
value, sets weighted equally: `SLOPE` and `OFFSET` of the detector come from it, on these frames.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from sets import DATA

from mot_perception.bags.source import open_source
from mot_perception.boxes import iou
from mot_perception.perception import people_detector
from mot_perception.perception.people_detector import PeopleDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETS = {
    'TUD-Stadtmitte': ('frames/TUD-Stadtmitte/img1', 'frames/TUD-Stadtmitte/gt/gt.txt', 1),
    'KITTI-17': ('frames/KITTI-17/img1', 'frames/KITTI-17/gt/gt.txt', 1),
    'vtest': ('video/vtest/vtest.avi', 'video/vtest/gt/gt.txt', 4),
}
"""Frames, ground truth, and every how many frames is looked at."""
THRESHOLDS = 0.1, 0.6, 0.8


def truth_of(file: str) -> dict[int, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Return boxes and whether they count, by frame."""
    rows = np.loadtxt(DATA / file, delimiter=',')
    boxes = rows[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    return {
        int(frame): (boxes[rows[:, 0] == frame], rows[rows[:, 0] == frame, 6] > 0)
        for frame in np.unique(rows[:, 0])
    }


def judge(
    boxes: NDArray[np.float64], truth: NDArray[np.float64], counts: NDArray[np.bool_]
) -> list[bool | None]:
    """Say of each box, the best first, whether it is right; None for what does not count."""
    overlap = iou(boxes, truth)
    verdicts: list[bool | None] = []
    for row in overlap:
        best = int(row.argmax()) if len(row) else -1
        if best < 0 or row[best] < 0.5:
            verdicts.append(False)
            continue
        overlap[:, best] = 0
        verdicts.append(True if counts[best] else None)
    return verdicts


def measure(name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_], int, float]:
    """Return scores, whether each is right, how many there are to find, and milliseconds."""
    frames, gt, step = SETS[name]
    (sequence,) = open_source(DATA / frames, fps=10)
    truth, detector = truth_of(gt), PeopleDetector(0.05)
    scores, right, total, times = [], [], 0, []
    for item in sequence.frames():
        number = item.frame.index + 1
        if number % step:
            continue
        start = time.perf_counter()
        (found,) = detector.detect([item.frame.image])
        times.append(time.perf_counter() - start)
        boxes, counts = truth.get(number, (np.empty((0, 4)), np.empty(0, bool)))
        total += counts.sum()
        for score, verdict in zip(found.score, judge(found.xyxy, boxes, counts), strict=True):
            if verdict is not None:
                scores.append(score)
                right.append(verdict)
    return np.array(scores), np.array(right), total, float(np.median(times) * 1e3)


def fit(results: list[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> NDArray[np.float64]:
    """Return slope and offset of the logistic regression."""
    slope, offset = people_detector.SLOPE, people_detector.OFFSET

    def loss(parameters: NDArray[np.float64]) -> float:
        return sum(
            np.logaddexp(
                0, np.where(right, -1, 1) * (parameters[0] * value + parameters[1])
            ).mean()
            for value, right in values
        )

    values = [((np.log(s / (1 - s)) - offset) / slope, right) for s, right in results]
    return np.asarray(minimize(loss, [slope, offset]).x)


def main() -> None:
    """Measure all sets and print."""
    table = Table('set', 'a frame', *(f'precision {t}' for t in THRESHOLDS), box=None)
    for threshold in THRESHOLDS:
        table.add_column(f'recall {threshold}')
    results = []
    for name in SETS:
        scores, right, total, milliseconds = measure(name)
        above = [scores >= threshold for threshold in THRESHOLDS]
        precision = [f'{right[a].mean():.2f}' if a.any() else '' for a in above]
        recall = [f'{right[a].sum() / total:.2f}' for a in above]
        table.add_row(name, f'{milliseconds:.0f} ms', *precision, *recall)
        results.append((scores, right))
    console = Console(width=120)
    console.print(table)
    slope, offset = fit(results)
    console.print(f'score = 1 / (1 + exp(−({slope:.2f} value {offset:+.2f})))')


if __name__ == '__main__':
    main()
