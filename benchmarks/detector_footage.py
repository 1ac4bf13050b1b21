"""Real detections matched with ground truth: what `calibrate_detector.py` measures."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from mot_perception.boxes import iou, xywh_to_xyxy
from mot_perception.scenes.detector_model import visibility_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Footage:
    """One sequence: per frame the boxes, ids and ignored boxes, and the real detections."""

    width: int
    height: int
    boxes: list
    ids: list
    ignored: list
    detections: list
    scores: list


@dataclass
class Observed:
    """Columns: one row for each ground-truth box, one for each false positive."""

    track: np.ndarray
    frame: np.ndarray
    visibility: np.ndarray
    tall: np.ndarray
    score: np.ndarray
    error: np.ndarray
    extras: np.ndarray
    extra: np.ndarray
    clutter: np.ndarray
    frames: int


def load(folder: Path) -> Footage:
    """Read one MOTChallenge sequence."""
    ini = configparser.ConfigParser()
    ini.read(folder / 'seqinfo.ini')
    info = ini['Sequence']
    gt, det = (np.loadtxt(folder / name, delimiter=',') for name in ('gt/gt.txt', 'det/det.txt'))
    counts = (gt[:, 6] > 0) & (gt[:, 7] == 1)
    numbers = range(1, int(info['seqLength']) + 1)

    def split(rows: np.ndarray) -> list:
        return [rows[rows[:, 0] == number] for number in numbers]

    figures, ignored, found = split(gt[counts]), split(gt[~counts]), split(det)
    return Footage(
        int(info['imWidth']),
        int(info['imHeight']),
        [xywh_to_xyxy(rows[:, 2:6]) for rows in figures],
        [rows[:, 1].astype(np.int64) for rows in figures],
        [xywh_to_xyxy(rows[:, 2:6]) for rows in ignored],
        [xywh_to_xyxy(rows[:, 2:6]) for rows in found],
        [rows[:, 6] for rows in found],
    )


def observe(footage: list[Footage]) -> Observed:
    """Match detections with ground truth, frame by frame."""
    figures, extra, clutter, frames = [], [], [], 0
    for number, one in enumerate(footage):
        for frame in range(len(one.boxes)):
            rows, extras, stray = _observe_frame(one, frame)
            key = np.tile([number * 100_000, frame], (len(rows), 1))
            key[:, 0] += one.ids[frame]
            figures.append(np.column_stack([key, rows]))
            extra.append(extras)
            clutter.append(np.column_stack([np.tile([number, frame], (len(stray), 1)), stray]))
        frames += len(one.boxes)
    f = np.concatenate(figures)
    columns = (f[:, 0], f[:, 1], f[:, 2], f[:, 3], f[:, 4], f[:, 5:9], f[:, 9])
    return Observed(*columns, np.concatenate(extra), np.concatenate(clutter), frames)


def _observe_frame(one: Footage, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, found, scores = one.boxes[frame], one.detections[frame], one.scores[frame]
    overlap = iou(boxes, found)
    row, column = linear_sum_assignment(np.where(overlap >= 0.5, -overlap, 0))
    good = overlap[row, column] >= 0.5
    row, column = row[good], column[good]
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    rows = np.full((len(boxes), 8), np.nan)
    rows[:, 0] = visibility_of(boxes)
    rows[:, 1] = size[:, 1] / one.height
    rows[row, 2] = scores[column]
    rows[row, 3:7] = ((found[column] - boxes[row]) / size[row]).reshape(-1, 4)
    false = np.ones(len(found), bool)
    false[column] = False
    if len(one.ignored[frame]):
        false &= iou(found, one.ignored[frame]).max(1, initial=0) < 0.5
    near = overlap.max(0, initial=0)
    owner = overlap.argmax(0) if len(boxes) else np.zeros(len(found), int)
    touching, stray = false & (near >= 0.1), false & (near < 0.1)
    rows[:, 7] = np.bincount(owner[touching], minlength=len(boxes))
    of = owner[touching]
    extras = np.column_stack(
        [(found[touching] - boxes[of]) / size[of], scores[touching], near[touching]]
    )
    wide, tall = (found[stray, 2:] - found[stray, :2]).T
    return (
        rows,
        extras,
        np.column_stack([found[stray], scores[stray], tall / one.height, wide / tall]),
    )
