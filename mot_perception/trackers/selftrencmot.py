"""SelfTrEncMOT's association: boxes, headings, appearance and depth × mask, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mot_perception.association import cues
from mot_perception.association.assignment import match, solve
from mot_perception.association.common_motion import common_motion
from mot_perception.boxes import warp
from mot_perception.errors import UserError
from mot_perception.motion.kalman import MEAN, KalmanBank, warp_states
from mot_perception.motion.models import CENTRE_SIZE, SIZE_ASPECT, MotionModel
from mot_perception.trackers import life
from mot_perception.trackers.clock import Clock
from mot_perception.trackers.first_stage import FirstStage
from mot_perception.trackers.settings import LIVE, TrackerConfig
from mot_perception.trackers.tracklets import Tracklets, TrackletsSnapshot
from mot_perception.trackers.vectors import remember
from mot_perception.types import Embeddings, TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import Detections, Frame

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

_EPSILON = 1e-6
_FIXED = [name for name, it in TrackerConfig.model_fields.items() if LIVE not in it.metadata]
_NO_EMBEDDINGS = Embeddings()
_SETTLED = 3
"""Matches after which a track's velocity is known well enough to tell of the camera's."""


@dataclass(frozen=True)
class TrackerSnapshot:
    """Everything a tracker remembers; `restore` brings it back exactly."""

    tracklets: TrackletsSnapshot
    clock: Clock
    next_id: int
    frame_index: int
    reset_count: int


class SelfTrEncMotTracker:
    """Tracks detections by IoU, heading, appearance and depth-segmentation (eq. 5).

    Three stages: confident detections with all cues; unconfident ones by overlap with the
    predicted box; what is left of the confident ones by overlap with the last observed box.
    Rows of all matrices are detections, columns tracks.

    Attributes:
        config: The settings.
        tracklets: The live tracks, open to inspection after each step.
        stage: How confident detections are matched; ablations look at others.
    """

    stage: ClassVar[type[FirstStage]] = FirstStage

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._model = _motion_model(self.config)
        self._rules = _rules(self.config)
        self._clock = Clock(
            self.config.frame_period, self.config.clock == 'stamps', self.config.jump_tolerance
        )
        self._reset_count = -1
        self.reset()
        self._filter = _filter(self.tracklets.bank)

    def reset(self) -> None:
        """Forget all tracks; ids start again at 1."""
        self.tracklets = Tracklets(self._model)
        self._clock.reset()
        self._next_id, self._frame_index = 1, 0
        self._reset_count += 1

    def reconfigure(self, config: TrackerConfig) -> None:
        """Go on with other settings, all tracks kept.

        Raises:
            UserError: A setting differs that is not `Live`; nothing is applied then.
        """
        for name in _FIXED:
            if getattr(config, name) != getattr(self.config, name):
                raise UserError(f'tracker.{name} cannot change while the tracker runs; restart it')
        self.config, self._rules = config, _rules(config)

    def snapshot(self) -> TrackerSnapshot:
        """Return a copy of the tracker's memory."""
        return TrackerSnapshot(
            self.tracklets.snapshot(),
            replace(self._clock),
            self._next_id,
            self._frame_index,
            self._reset_count,
        )

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Continue from a snapshot as if nothing had happened since."""
        self.tracklets.restore(snapshot.tracklets)
        self._clock = replace(snapshot.clock)
        self._next_id, self._frame_index = snapshot.next_id, snapshot.frame_index
        self._reset_count = snapshot.reset_count

    def update(
        self,
        frame: Frame,
        detections: Detections,
        embeddings: Embeddings | None = None,
        camera_motion: Array | None = None,
    ) -> TrackedFrame:
        """Step one frame; see `Tracker.update`."""
        started = perf_counter_ns()
        if self._clock.jumped_back(frame.stamp_ns):
            self.reset()
        if camera_motion is not None:
            self._follow_camera(camera_motion)
        tracks, embeddings = self.tracklets, embeddings or _NO_EMBEDDINGS
        tracks.bank.predict(len(tracks), self._clock.tick(frame.stamp_ns))
        predicted = life.advance(
            tracks.rows, tracks.bank.state, self._clock.now, self._filter, self._rules
        )
        found = self._associate(detections, embeddings, predicted)
        life.observe(
            tracks.rows,
            tracks.bank.state,
            found.detection_of,
            found.similarity,
            detections.xyxy,
            detections.score,
            detections.label,
            self._clock.now,
            frame.stamp_ns,
            self._filter,
            self._rules,
        )
        matched = np.flatnonzero(found.detection_of >= 0)
        rows = found.detection_of[matched]
        remember(self.config, tracks, matched, rows, detections.score[rows], embeddings)
        self._give_birth(frame, found.newborn, detections, embeddings)
        return self._report(frame, started)

    def appearance_of(self, ids: Index) -> list[NDArray[np.float32]]:
        """Return what the tracks with these ids look like; see `Tracker.appearance_of`."""
        tracks, nothing = self.tracklets, np.empty(0, np.float32)
        rows = np.flatnonzero(tracks['appearance_known'])
        known = dict(zip(tracks['id'][rows].tolist(), tracks.appearance[rows], strict=True))
        return [known.get(identity, nothing) for identity in ids.tolist()]

    def seen_boxes(self) -> tuple[Index, Array]:
        """Return rows and boxes (K×4, the filter's) of the tracks seen in the latest frame."""
        rows = np.flatnonzero(self.tracklets['misses'] == 0)
        return rows, self.tracklets.bank.boxes(len(self.tracklets))[rows]

    def learn_depthseg(
        self, rows: Index, vectors: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Teach the tracks in `rows` of `seen_boxes` depth-segmentation vectors.

        Args:
            rows: K, before the next `update`.
            vectors: K×E unit vectors.
            valid: bool K; the others become unknown.
        """
        picks, scores = np.arange(len(rows)), self.tracklets['score'][rows]
        taught = Embeddings(depthseg=vectors, depthseg_valid=valid)
        remember(self.config, self.tracklets, rows, picks, scores, taught)

    def _follow_camera(self, camera_motion: Array) -> None:
        """Bring everything that is remembered into the view of the new frame."""
        tracks = self.tracklets
        for states in (tracks.bank.state[: len(tracks)], tracks['prior']):
            warp_states(states, camera_motion, self._model)
        for boxes in (tracks['last'], tracks['boxes']):
            boxes[:] = warp(boxes, camera_motion)

    def _associate(
        self, detections: Detections, embeddings: Embeddings, predicted: Array
    ) -> _Matching:
        """Match detections to tracks in three stages."""
        config, tracks = self.config, self.tracklets
        high, low = life.confident(
            detections.xyxy, detections.score, config.high_score, config.low_score
        )
        found = _Matching(len(detections), len(tracks))
        if len(tracks):
            if len(high):
                found.add(*self._first_stage(high, detections, embeddings, predicted))
            if config.low_stage and len(low):
                recent = tracks['confirmed'] & (tracks['misses'] <= config.low_misses)
                columns = np.flatnonzero(recent & (found.detection_of < 0))
                boxes = predicted[columns]
                found.add(*self._overlap_stage(low, columns, detections, boxes, config.low_gate))
            if config.recovery_stage:
                columns = np.flatnonzero(found.detection_of < 0)
                rows, boxes = high[found.free[high]], tracks['last'][columns]
                gate = config.recovery_gate
                found.add(*self._overlap_stage(rows, columns, detections, boxes, gate))
        found.newborn = self._newborn(high[found.free[high]], detections, found)
        return found

    def _newborn(self, free: Index, detections: Detections, found: _Matching) -> Index:
        """Return which of the `free` detections start a track: sure ones, and no duplicates."""
        free = free[detections.score[free] > self.config.birth_score]
        claimed = found.detection_of[found.detection_of >= 0]
        if len(free) and len(claimed) and self.config.birth_gate < 1:
            shared = cues.overlap(detections.xyxy[free], detections.xyxy[claimed])
            if self.config.by_class:
                cues.separate_classes(shared, detections.label[free], detections.label[claimed])
            free = free[shared.max(1) < self.config.birth_gate]
        return free

    def _first_stage(
        self, high: Index, detections: Detections, embeddings: Embeddings, predicted: Array
    ) -> tuple[Index, Index, Array]:
        """Match confident detections by all cues; once more if the camera is seen to move."""
        config, tracks = self.config, self.tracklets
        stage = self.stage(
            config,
            tracks,
            predicted,
            detections.select(high),
            replace(embeddings, depthseg=None).select(high),
        )
        rows, columns, similarity = stage.match()
        if config.common_motion > 0:
            settled = tracks['hits'][columns] >= _SETTLED
            shift = common_motion(
                stage.detections.xyxy[rows[settled]],
                predicted[columns[settled]],
                config.common_motion,
            )
            if shift.any():
                tracks.bank.state[: len(tracks), MEAN, :2] += shift
                predicted += np.tile(shift, 2)
                rows, columns, similarity = stage.match()
        return high[rows], columns, similarity

    def _overlap_stage(
        self, rows: Index, columns: Index, detections: Detections, boxes: Array, gate: float
    ) -> tuple[Index, Index, Array]:
        """Match some detections to some tracks by plain IoU with one box each."""
        if len(rows) == 0 or len(columns) == 0:
            return rows[:0], columns[:0], np.empty(0)
        overlap = cues.overlap(detections.xyxy[rows], boxes)
        if self.config.by_class:
            labels = self.tracklets['label'][columns]
            cues.separate_classes(overlap, detections.label[rows], labels)
        if self.config.gate_first:
            i, j = match(overlap, overlap > gate)
        else:
            i, j = solve(overlap)
            good = overlap[i, j] >= gate
            i, j = i[good], j[good]
        return rows[i], columns[j], overlap[i, j]

    def _give_birth(
        self, frame: Frame, newborn: Index, detections: Detections, embeddings: Embeddings
    ) -> None:
        """Start tracks from confident detections that nobody claimed."""
        if len(newborn) == 0:
            return
        tracks, xyxy = self.tracklets, detections.xyxy[newborn]
        born = tracks.append(len(newborn))
        tracks.bank.initiate(born, xyxy)
        for name, value in (
            ('id', np.arange(self._next_id, self._next_id + len(newborn))),
            ('label', detections.label[newborn]),
            ('first_ns', frame.stamp_ns),
            ('last_ns', frame.stamp_ns),
            ('last_time', self._clock.now),
            ('score', detections.score[newborn]),
            ('detection', newborn),
        ):
            tracks[name][born] = value
        self._next_id += len(newborn)
        if self.config.birth_is_observation:
            tracks['last'][born] = tracks['boxes'][born, 0] = xyxy
            tracks['ages'][born, 0] = 0
            tracks['hits'][born] = tracks['streak'][born] = 1
        remember(self.config, tracks, born, newborn, detections.score[newborn], embeddings)

    def _report(self, frame: Frame, started: int) -> TrackedFrame:
        """Confirm and end tracks, and tell about all of them."""
        tracks = self.tracklets
        report = np.empty(len(tracks), life.REPORT)
        early = self._frame_index < self.config.min_hits
        ended = life.judge(
            tracks.rows,
            tracks.bank.state,
            self._clock.now,
            early,
            self._filter,
            self._rules,
            report,
        )
        if ended:
            tracks.keep(report['state'] != TrackState.REMOVED)
        self._frame_index += 1
        return TrackedFrame(
            frame,
            Tracks(*(report[name] for name in life.COLUMNS)),
            reset_count=self._reset_count,
            frame_index=self._frame_index - 1,
            processing_ns=perf_counter_ns() - started,
        )


class _Matching:
    """Who belongs to whom in one frame.

    Attributes:
        detection_of: Row of each track's detection, M; −1 where it has none.
        similarity: Similarity of these matches, M.
        free: bool N, detections that nobody has claimed.
        newborn: Rows of detections that start a track.
    """

    def __init__(self, detections: int, tracks: int) -> None:
        self.detection_of = np.full(tracks, -1)
        self.similarity = np.full(tracks, np.nan)
        self.free = np.ones(detections, np.bool_)
        self.newborn = np.empty(0, np.int64)

    def add(self, rows: Index, columns: Index, similarity: Array) -> None:
        self.detection_of[columns] = rows
        self.similarity[columns] = similarity
        self.free[rows] = False


def _motion_model(config: TrackerConfig) -> MotionModel:
    if config.motion == 'size_aspect':
        return SIZE_ASPECT
    position, velocity = config.position_noise, config.velocity_noise
    return replace(
        CENTRE_SIZE,
        initial_position=(2 * config.measurement_noise,) * 4,
        initial_velocity=(10 * velocity,) * 4,
        process_position=(position,) * 4,
        process_velocity=(velocity,) * 4,
        measurement=(config.measurement_noise,) * 4,
    )


def _filter(bank: KalmanBank) -> life.Filter:
    model = bank.model
    return life.Filter(bank.process, bank.measurement, model.relative, model.size_aspect)


def _rules(config: TrackerConfig) -> life.Rules:
    return life.Rules(
        reupdate=config.reupdate,
        reupdate_twice=config.reupdate_twice,
        confidence_noise=config.confidence_noise,
        direction_frames=config.direction_frames,
        direction_points=4 if config.direction_points == 'corners' else 1,
        direction_longest=config.direction_intervals == 'longest',
        min_hits=config.min_hits,
        warm_up_again=config.warm_up_again,
        tentative_misses=config.tentative_misses,
        max_unseen=config.max_age / config.frame_period + _EPSILON,
        freeze_size=config.coasting_size == 'frozen',
        frame_period=config.frame_period,
    )
