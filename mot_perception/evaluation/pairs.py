"""Ground truth and tracks of one sequence, brought into the arrays TrackEval's metrics read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mot_perception.boxes import iou
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

PERSON = 1
CLASSES = range(1, 14)
"""Class numbers of the MOTChallenge; any other number says that the rows carry no class."""
DISTRACTORS = (2, 7, 8, 12)
"""Person on vehicle, static person, distractor, reflection: finding them is no error."""
MATCH_IOU = 0.5
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class SequencePair:
    """One sequence to score.

    Attributes:
        name: Name of the sequence.
        ground_truth: Rows of the annotation, frames from 1; rows with `consider` 0 and, where the
            labels are MOTChallenge classes, rows of other classes than persons do not count.
        tracks: Rows of the tracker; their labels and scores play no part.
        frames: Length of the sequence; None: the last frame that either side mentions.
    """

    name: str
    ground_truth: MotRows
    tracks: MotRows
    frames: int | None = None

    def length(self) -> int:
        """Return the number of frames, at least 1."""
        if self.frames is not None:
            return max(self.frames, 1)
        return max(self.ground_truth.last_frame, self.tracks.last_frame, 1)


@dataclass(frozen=True)
class _Side:
    """The rows of one side, cut into frames."""

    id: list[Ints]
    xyxy: list[Floats]
    extra: list[Ints]


def metric_data(pair: SequencePair) -> dict[str, Any]:
    """Return the dictionary that `eval_sequence` of TrackEval's metrics takes.

    The rules of TrackEval's MotChallenge2DBox: a track box whose best partner (assignment at
    IoU ≥ 0.5 over all annotated boxes) is a distractor is dropped; then only persons with
    `consider` ≠ 0 are kept; ids are renumbered from 0 (`gt_names` and `tracker_names`, which
    TrackEval does not read, hold the ids as they were).

    Raises:
        UserError: a frame number lies outside the sequence, or an id occurs twice in a frame.
    """
    frames = pair.length()
    gt, tracks = pair.ground_truth, pair.tracks
    truth = _cut(pair.name, 'ground truth', gt, frames, _kind(gt))
    found = _cut(pair.name, 'tracks', tracks, frames, np.zeros(len(tracks), np.int64))
    similarity = [iou(a, b) for a, b in zip(truth.xyxy, found.xyxy, strict=True)]
    for t, kind in enumerate(truth.extra):
        if (kind == _COUNTS).all():
            continue
        keep = ~_on_distractor(similarity[t], kind)
        found.id[t] = found.id[t][keep]
        truth.id[t] = truth.id[t][kind == _COUNTS]
        similarity[t] = similarity[t][kind == _COUNTS][:, keep]
    gt_ids, gt_names = _renumber(truth.id)
    tracker_ids, tracker_names = _renumber(found.id)
    return {
        'seq': pair.name,
        'num_timesteps': frames,
        'num_gt_dets': sum(map(len, gt_ids)),
        'num_tracker_dets': sum(map(len, tracker_ids)),
        'num_gt_ids': len(gt_names),
        'num_tracker_ids': len(tracker_names),
        'gt_ids': gt_ids,
        'tracker_ids': tracker_ids,
        'similarity_scores': similarity,
        'gt_names': gt_names,
        'tracker_names': tracker_names,
    }


_COUNTS, _IGNORED, _DISTRACTS = 1, 0, -1


def _kind(gt: MotRows) -> Ints:
    """Say of each annotated box whether it counts, is ignored, or is a distractor."""
    kind = np.where(gt.consider != 0, _COUNTS, _IGNORED)
    if not np.isin(gt.label, CLASSES).all():
        return kind
    kind[gt.label != PERSON] = _IGNORED
    kind[np.isin(gt.label, DISTRACTORS)] = _DISTRACTS
    return kind


def _cut(name: str, side: str, rows: MotRows, frames: int, extra: Ints) -> _Side:
    """Cut rows into frames 1..frames, keeping their order within a frame."""
    frame = rows.frame
    outside = frame[(frame < 1) | (frame > frames)]
    if len(outside):
        raise UserError(
            f'{name}: {side} have frame {outside[0]}, the sequence has frames 1 to {frames};'
            ' number the frames from 1 and check seqLength in seqinfo.ini'
        )
    _refuse_duplicates(name, side, rows)
    cuts = np.searchsorted(frame, np.arange(1, frames + 2))
    spans = [slice(*span) for span in pairwise(cuts)]
    return _Side(
        [rows.id[s] for s in spans], [rows.xyxy[s] for s in spans], [extra[s] for s in spans]
    )


def _refuse_duplicates(name: str, side: str, rows: MotRows) -> None:
    """Stop at an id that has two boxes in one frame: no metric is defined for it."""
    order = np.lexsort((rows.id, rows.frame))
    frame, ids = rows.frame[order], rows.id[order]
    again = np.flatnonzero((np.diff(frame) == 0) & (np.diff(ids) == 0))
    if len(again):
        where = f'id {ids[again[0]]} twice in frame {frame[again[0]]}'
        raise UserError(f'{name}: {side} have {where}; keep one box per id and frame')


def _on_distractor(similarity: Floats, kind: Ints) -> NDArray[np.bool_]:
    """Say which track boxes are matched to a distractor."""
    matched = np.zeros(similarity.shape[1], bool)
    if not (kind == _DISTRACTS).any() or not len(matched):
        return matched
    score = np.where(similarity < MATCH_IOU - _EPS, 0, similarity)
    rows, columns = linear_sum_assignment(-score)
    hit = (score[rows, columns] > _EPS) & (kind[rows] == _DISTRACTS)
    matched[columns[hit]] = True
    return matched


def _renumber(ids: list[Ints]) -> tuple[list[Ints], Ints]:
    """Replace ids by 0, 1, 2 … in their order; return them and what they stand for."""
    known, number = np.unique(np.concatenate(ids), return_inverse=True)
    cuts = np.cumsum([len(of_frame) for of_frame in ids])[:-1]
    return np.split(number, cuts), known
