"""Which identity was where when: runs of frames, and the frames at which an identity changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from mot_perception.evaluation.pairs import MATCH_IOU, metric_data
from mot_perception.types import TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.bags.rows import MotRows
    from mot_perception.evaluation.pairs import SequencePair

    Ints = NDArray[np.int64]

_EPS = float(np.finfo(float).eps)
_CONTINUITY = 1000.0
"""CLEAR's weight for keeping the partner of the frame before: above any sum of similarities."""


@dataclass(frozen=True)
class Runs:
    """N stretches of consecutive frames in which a row had one value, sorted by row and frame.

    Attributes:
        row: int64 N, the object the stretch belongs to.
        value: int64 N, what held: the tracker id that covered it, or the state of a track.
        first: int64 N, first frame.
        last: int64 N, last frame.
    """

    row: Ints
    value: Ints
    first: Ints
    last: Ints

    def __len__(self) -> int:
        """Return the number of stretches."""
        return len(self.row)

    @classmethod
    def of(cls, row: Ints, frame: Ints, value: Ints) -> Runs:
        """Join single frames, in any order, into runs."""
        order = np.lexsort((frame, row))
        row, frame, value = row[order], frame[order], value[order]
        breaks = (np.diff(row) != 0) | (np.diff(frame) != 1) | (np.diff(value) != 0)
        start = np.flatnonzero(np.concatenate([[True], breaks])[: len(row)])
        end = np.flatnonzero(np.concatenate([breaks, [True]])[-len(row) :]) if len(row) else start
        return cls(row[start], value[start], frame[start], frame[end])


@dataclass(frozen=True)
class Switches:
    """N changes of identity, as CLEAR counts them, sorted by object and frame.

    Attributes:
        row: int64 N, ground-truth id.
        frame: int64 N, the frame in which the new id first covers it.
        before: int64 N, the tracker id that covered it last.
        after: int64 N, the tracker id that covers it now.
    """

    row: Ints
    frame: Ints
    before: Ints
    after: Ints

    def __len__(self) -> int:
        """Return the number of switches: IDSW."""
        return len(self.row)


@dataclass(frozen=True)
class Timeline:
    """What happened to every ground-truth identity of a sequence.

    Attributes:
        present: When each ground-truth id is annotated; the value is the id itself.
        covered: Which tracker id covered it when; frames in between were missed.
        switches: Where the covering id changed.
        ids: Number of tracker ids, without those that only ever followed a distractor.
    """

    present: Runs
    covered: Runs
    switches: Switches
    ids: int


def match_timeline(pair: SequencePair) -> Timeline:
    """Match tracks to ground truth frame by frame as CLEAR does, and join the frames.

    One assignment per frame over pairs with IoU ≥ 0.5, which first keeps the pairs of the frame
    before and then maximises the summed IoU: `len(switches)` is TrackEval's IDSW.
    """
    data = metric_data(pair)
    frame, gt, tracker = _matches(data['gt_ids'], data['tracker_ids'], data['similarity_scores'])
    gt, tracker = data['gt_names'][gt], data['tracker_names'][tracker]
    annotated = data['gt_names'][np.concatenate(data['gt_ids'])]
    counts = [len(ids) for ids in data['gt_ids']]
    when = np.repeat(np.arange(1, len(counts) + 1), counts)
    return Timeline(
        Runs.of(annotated, when, annotated),
        Runs.of(gt, frame, tracker),
        _switches(gt, frame, tracker),
        data['num_tracker_ids'],
    )


def track_runs(tracks: MotRows, states: NDArray[np.int8] | None = None) -> Runs:
    """Return when each track is reported; the value is its state, CONFIRMED if none is given."""
    value = np.full(len(tracks), int(TrackState.CONFIRMED))
    value = value if states is None else np.asarray(states, np.int64)
    return Runs.of(tracks.id, tracks.frame, value)


def _matches(
    gt_ids: list[Ints], tracker_ids: list[Ints], similarities: list[NDArray[np.float64]]
) -> tuple[Ints, Ints, Ints]:
    """Return frame, ground-truth index, and tracker index of every match."""
    partner: dict[int, int] = {}
    found: list[Ints] = [np.empty((3, 0), np.int64)]
    for t, (gt, tracker, similarity) in enumerate(
        zip(gt_ids, tracker_ids, similarities, strict=True), start=1
    ):
        if not similarity.size:
            continue
        before = np.array([partner.get(i, -1) for i in gt.tolist()])
        score = _CONTINUITY * (tracker[None] == before[:, None]) + similarity
        score[similarity < MATCH_IOU - _EPS] = 0
        rows, columns = linear_sum_assignment(-score)
        real = score[rows, columns] > _EPS
        matched = gt[rows[real]], tracker[columns[real]]
        partner = dict(zip(*(side.tolist() for side in matched), strict=True))
        found.append(np.stack([np.full(len(matched[0]), t), *matched]))
    frame, gt_index, tracker_index = np.concatenate(found, axis=1)
    return frame, gt_index, tracker_index


def _switches(gt: Ints, frame: Ints, tracker: Ints) -> Switches:
    order = np.lexsort((frame, gt))
    gt, frame, tracker = gt[order], frame[order], tracker[order]
    at = 1 + np.flatnonzero((np.diff(gt) == 0) & (np.diff(tracker) != 0))
    return Switches(gt[at], frame[at], tracker[at - 1], tracker[at])
