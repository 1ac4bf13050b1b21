"""SelfTrEncMOT's association: boxes, headings, appearance and depth × mask, one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.association import cues
from mot_perception.association.assignment import match, solve
from mot_perception.association.headings import headings, references
from mot_perception.boxes import warp
from mot_perception.motion.kalman import warp_states
from mot_perception.motion.models import CENTRE_SIZE, SIZE_ASPECT, MotionModel
from mot_perception.trackers.clock import Clock
from mot_perception.trackers.settings import TrackerConfig
from mot_perception.trackers.tracklets import HISTORY, Snapshot, Tracklets
from mot_perception.types import Embeddings, TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.types import Detections, Frame

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_EPSILON = 1e-6


@dataclass(frozen=True)
class TrackerSnapshot:
    """Everything a tracker remembers; `restore` brings it back exactly."""

    tracklets: Snapshot
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
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._model = _motion_model(self.config)
        self._points = 4 if self.config.direction_points == 'corners' else 1
        self._clock = Clock(
            self.config.frame_period, self.config.clock == 'stamps', self.config.jump_tolerance
        )
        self._reset_count = -1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids start again at 1."""
        self.tracklets = Tracklets(self._model)
        self._clock.reset()
        self._next_id, self._frame_index = 1, 0
        self._reset_count += 1

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
        embeddings = embeddings or Embeddings()
        self._advance(self._clock.tick(frame.stamp_ns), camera_motion)
        rows, columns, similarity = self._associate(detections, embeddings)
        self._observe(frame, columns, rows, detections, similarity)
        self._remember(columns, rows, detections, embeddings)
        self._give_birth(frame, rows, detections, embeddings)
        dead = self._dead()
        tracks = self._report(dead)
        if dead.any():
            self.tracklets.keep(~dead)
        self._frame_index += 1
        return TrackedFrame(
            frame,
            tracks,
            reset_count=self._reset_count,
            frame_index=self._frame_index - 1,
            processing_ns=perf_counter_ns() - started,
        )

    def _advance(self, dt: float, camera_motion: Array | None) -> None:
        """Predict all tracks `dt` frame periods ahead, in the view of the new frame."""
        tracks = self.tracklets
        tracks['age'][:] += 1
        tracks['streak'][tracks['misses'] > 0] = 0
        tracks['misses'][:] += 1
        tracks['detection'][:] = -1
        tracks.bank.predict(len(tracks), dt)
        if self.config.coasting_size == 'frozen':
            tracks.bank.state[: len(tracks)][tracks['misses'] > 1, 1, 2:] = 0
        if camera_motion is not None:
            for states in (tracks.bank.state[: len(tracks)], tracks['prior']):
                warp_states(states, camera_motion, self._model)
            for boxes in (tracks['last'], tracks['boxes']):
                boxes[:] = warp(boxes, camera_motion)
        self._predicted = tracks.bank.boxes(slice(0, len(tracks)))

    def _associate(
        self, detections: Detections, embeddings: Embeddings
    ) -> tuple[Index, Index, Array]:
        """Return matched detections and tracks, and the similarity of each match."""
        config, tracks = self.config, self.tracklets
        valid = detections.valid()
        high = np.flatnonzero(valid & (detections.score > config.high_score))
        found = _Matches(len(detections), len(tracks))
        if len(tracks) == 0:
            return found.result()
        if len(high):
            found.add(*self._first_stage(high, detections, embeddings))
        if config.low_stage:
            low = valid & (detections.score > config.low_score)
            low &= detections.score <= config.high_score
            recent = tracks['confirmed'] & (tracks['misses'] <= config.low_misses)
            found.add(
                *self._overlap_stage(
                    np.flatnonzero(low),
                    np.flatnonzero(recent & found.free_tracks),
                    detections.xyxy,
                    self._predicted,
                    config.low_gate,
                )
            )
        if config.recovery_stage:
            observed = ~np.isnan(tracks['last'][:, 0])
            found.add(
                *self._overlap_stage(
                    high[found.free_detections[high]],
                    np.flatnonzero(observed & found.free_tracks),
                    detections.xyxy,
                    tracks['last'],
                    config.recovery_gate,
                )
            )
        return found.result()

    def _first_stage(
        self, high: Index, detections: Detections, embeddings: Embeddings
    ) -> tuple[Index, Index, Array]:
        """Match confident detections by all cues."""
        config = self.config
        overlap = self._overlap(detections.xyxy[high])
        candidates = overlap > config.gate
        if config.shortcut and _one_to_one(candidates):
            rows, columns = np.nonzero(candidates)
            return high[rows], columns, overlap[rows, columns]
        total = self._similarity(high, detections, embeddings, overlap, candidates)
        if config.gate_first:
            rows, columns = match(np.where(candidates, total, 0.0))
        else:
            rows, columns = solve(total)
            good = overlap[rows, columns] >= config.gate
            rows, columns = rows[good], columns[good]
        return high[rows], columns, total[rows, columns]

    def _overlap(self, xyxy: Array) -> Array:
        """Return S_IoU with the predicted boxes; lost tracks may still be where they were."""
        config, tracks = self.config, self.tracklets
        overlap = cues.overlap(xyxy, self._predicted, config.height_power)
        if config.last_weight > 0:
            lost = np.flatnonzero((tracks['misses'] > 1) & ~np.isnan(tracks['last'][:, 0]))
            if len(lost):
                stayed = cues.overlap(xyxy, tracks['last'][lost], config.height_power)
                stayed *= config.last_weight
                overlap[:, lost] = np.maximum(overlap[:, lost], stayed)
        return overlap

    def _similarity(
        self,
        high: Index,
        detections: Detections,
        embeddings: Embeddings,
        overlap: Array,
        candidates: Mask,
    ) -> Array:
        """Return the sum of the cues (eq. 5)."""
        config, tracks = self.config, self.tracklets
        wanted = candidates if config.gate_first else np.ones_like(candidates)
        scores = detections.score[high]
        reference = references(
            tracks['age'], tracks['last'], tracks['boxes'], tracks['ages'], config.direction_frames
        )
        heading = cues.direction(
            detections.xyxy[high],
            scores,
            reference,
            tracks['headings'][:, : self._points],
            wanted,
        )
        total = overlap + config.direction_weight * heading
        if config.confidence_weight > 0:
            total -= config.confidence_weight * np.abs(scores[:, None] - tracks['score'])
        if embeddings.appearance is not None:
            total += self._appearance(embeddings.appearance[high], wanted)
        if embeddings.depthseg_previous is not None:
            total += self._depthseg(high, embeddings, wanted)
        return total

    def _appearance(self, vectors: NDArray[np.float32], wanted: Mask) -> Array:
        """Return w ⊙ S_emb."""
        config, tracks = self.config, self.tracklets
        if tracks.appearance.shape[1] != vectors.shape[1]:
            return np.zeros(wanted.shape)
        similarity = cues.appearance(vectors, tracks.appearance[: len(tracks)])
        weight: Array | float = config.appearance_weight
        if config.appearance_cap > 0:
            weight = cues.adaptive_weight(
                similarity, config.appearance_weight, config.appearance_cap
            )
        return weight * self._evidence(similarity, wanted, tracks['appearance_known'][None])

    def _depthseg(self, high: Index, embeddings: Embeddings, wanted: Mask) -> Array:
        """Return the weighted S_sd."""
        config, tracks = self.config, self.tracklets
        vectors = embeddings.depthseg_previous
        if vectors is None or tracks.depthseg.shape[1] != vectors.shape[1]:
            return np.zeros(wanted.shape)
        similarity = cues.depthseg(vectors[high], tracks.depthseg[: len(tracks)])
        known = np.broadcast_to(tracks['depthseg_known'][None], wanted.shape)
        if embeddings.depthseg_valid is not None:
            known = known & embeddings.depthseg_valid[high][:, None]
        return config.depthseg_weight * self._evidence(similarity, wanted, known)

    def _evidence(self, similarity: Array, wanted: Mask, known: Mask) -> Array:
        if self.config.neutral:
            return cues.neutral(similarity, wanted, known)
        return similarity if np.isfinite(similarity).all() else np.zeros_like(similarity)

    def _overlap_stage(
        self, rows: Index, columns: Index, xyxy: Array, boxes: Array, gate: float
    ) -> tuple[Index, Index, Array]:
        """Match some detections to some tracks by plain IoU with one box each."""
        if len(rows) == 0 or len(columns) == 0:
            return rows[:0], columns[:0], np.empty(0)
        overlap = cues.overlap(xyxy[rows], boxes[columns])
        if self.config.gate_first:
            i, j = match(np.where(overlap > gate, overlap, 0.0))
        else:
            i, j = solve(overlap)
            good = overlap[i, j] >= gate
            i, j = i[good], j[good]
        return rows[i], columns[j], overlap[i, j]

    def _observe(
        self, frame: Frame, matched: Index, rows: Index, detections: Detections, similarity: Array
    ) -> None:
        """Give the `matched` tracks their detections: filters, headings, history, counters."""
        config, tracks = self.config, self.tracklets
        missed = np.ones(len(tracks), np.bool_)
        missed[matched] = False
        missed = np.flatnonzero(missed & (tracks['misses'] == 1))
        tracks['prior'][missed] = tracks.bank.state[missed]
        if len(matched) == 0:
            return
        xyxy, score, age = detections.xyxy[rows], detections.score[rows], tracks['age'][matched]
        last, boxes, ages = (tracks[name][matched] for name in ('last', 'boxes', 'ages'))
        tracks['headings'][matched, : self._points] = headings(
            xyxy,
            age,
            last,
            boxes,
            ages,
            config.direction_frames,
            self._points,
            config.direction_intervals == 'longest',
        )
        self._correct(matched, xyxy, score)
        slot = age % HISTORY
        tracks['boxes'][matched, slot], tracks['ages'][matched, slot] = xyxy, age
        for name, value in (
            ('last', xyxy),
            ('misses', 0),
            ('last_ns', frame.stamp_ns),
            ('last_time', self._clock.now),
            ('score', score),
            ('label', detections.label[rows]),
            ('association', similarity),
            ('detection', rows),
        ):
            tracks[name][matched] = value
        tracks['hits'][matched] += 1
        tracks['streak'][matched] += 1
        self._confirm()

    def _correct(self, matched: Index, xyxy: Array, score: Array) -> None:
        """Update the filters; those that were lost re-live the gap first (OC-SORT's ORU)."""
        config, tracks = self.config, self.tracklets
        noise = 1 + config.confidence_noise * (1 - score)
        if config.reupdate:
            misses = tracks['misses'][matched]
            last = tracks['last'][matched]
            found = (misses > 1) & ~np.isnan(last[:, 0])
            if found.any():
                rows = matched[found]
                elapsed = self._clock.now - tracks['last_time'][rows]
                tracks.bank.reupdate(
                    rows,
                    tracks['prior'][rows],
                    last[found],
                    xyxy[found],
                    misses[found],
                    elapsed / misses[found],
                )
                if not config.reupdate_twice:
                    matched, xyxy, noise = matched[~found], xyxy[~found], noise[~found]
        tracks.bank.update(matched, xyxy, noise)

    def _confirm(self) -> None:
        """Confirm tracks with enough matches; in the first frames every track counts at once."""
        config, tracks = self.config, self.tracklets
        early = self._frame_index < config.min_hits
        if config.warm_up_again:
            tracks['confirmed'][:] = (tracks['streak'] >= config.min_hits) | early
        else:
            tracks['confirmed'][:] |= (tracks['hits'] >= config.min_hits) | early

    def _remember(
        self, matched: Index, rows: Index, detections: Detections, embeddings: Embeddings
    ) -> None:
        """Let the tracks' vectors follow their detections (eq. 4 with dynamic alpha)."""
        config, tracks = self.config, self.tracklets
        appearance, depthseg = embeddings.appearance, embeddings.depthseg
        tracks.widen(
            0 if appearance is None else appearance.shape[1],
            0 if depthseg is None else depthseg.shape[1],
        )
        alpha = self._alpha(detections.score[rows])
        if appearance is not None:
            known = tracks['appearance_known'][matched]
            _average(tracks.appearance, matched, appearance[rows], np.where(known, alpha, 0))
            tracks['appearance_known'][matched] = True
        if depthseg is not None:
            if embeddings.depthseg_valid is not None:
                seen = embeddings.depthseg_valid[rows]
                matched, rows, alpha = matched[seen], rows[seen], alpha[seen]
            known = tracks['depthseg_known'][matched] & (config.depthseg_update == 'average')
            _average(tracks.depthseg, matched, depthseg[rows], np.where(known, alpha, 0))
            tracks['depthseg_known'][matched] = True

    def _alpha(self, score: Array) -> Array:
        """Return C of eq. 4: `momentum` at score 1, 1 (nothing learnt) at the high threshold."""
        high, momentum = self.config.high_score, self.config.momentum
        confidence = (score - high) / max(1 - high, _EPSILON)
        return momentum + (1 - momentum) * (1 - np.clip(confidence, 0, 1))

    def _give_birth(
        self, frame: Frame, matched: Index, detections: Detections, embeddings: Embeddings
    ) -> None:
        """Start tracks from confident detections that nobody claimed."""
        config, tracks = self.config, self.tracklets
        free = detections.valid() & (detections.score > max(config.birth_score, config.high_score))
        free[matched] = False
        rows = np.flatnonzero(free)
        if len(rows) == 0:
            return
        born = tracks.append(len(rows))
        xyxy = detections.xyxy[rows]
        tracks.bank.initiate(born, xyxy)
        for name, value in (
            ('id', np.arange(self._next_id, self._next_id + len(rows))),
            ('label', detections.label[rows]),
            ('first_ns', frame.stamp_ns),
            ('last_ns', frame.stamp_ns),
            ('last_time', self._clock.now),
            ('score', detections.score[rows]),
            ('detection', rows),
        ):
            tracks[name][born] = value
        self._next_id += len(rows)
        if config.birth_is_observation:
            tracks['last'][born] = tracks['boxes'][born, 0] = xyxy
            tracks['ages'][born, 0] = 0
            tracks['hits'][born] = tracks['streak'][born] = 1
        self._confirm()
        self._remember(born, rows, detections, embeddings)

    def _dead(self) -> Mask:
        """Return which tracks end: too long unseen, or missed before they were confirmed."""
        config, tracks = self.config, self.tracklets
        unseen = (self._clock.now - tracks['last_time']) * config.frame_period
        doubtful = ~tracks['confirmed'] & (tracks['misses'] > config.tentative_misses)
        return np.asarray((unseen > config.max_age + _EPSILON) | doubtful)

    def _report(self, dead: Mask) -> Tracks:
        """Return all tracks as columns."""
        tracks = self.tracklets
        seen = tracks['misses'] == 0
        state = np.where(
            tracks['confirmed'],
            np.where(seen, TrackState.CONFIRMED, TrackState.COASTING),
            TrackState.TENTATIVE,
        ).astype(np.int8)
        state[dead] = TrackState.REMOVED
        observed = (seen & ~np.isnan(tracks['last'][:, 0]))[:, None]
        unknown = np.full(len(tracks), np.nan)
        return Tracks(
            id=tracks['id'].copy(),
            state=state,
            xyxy=np.where(observed, tracks['last'], tracks.bank.boxes(slice(0, len(tracks)))),
            score=tracks['score'].copy(),
            association_score=tracks['association'].copy(),
            label=tracks['label'].copy(),
            detection=tracks['detection'].copy(),
            velocity=tracks.bank.velocities(slice(0, len(tracks))) / self.config.frame_period,
            age=tracks['age'].copy(),
            hits=tracks['hits'].copy(),
            misses=tracks['misses'].copy(),
            first_seen_ns=tracks['first_ns'].copy(),
            last_seen_ns=tracks['last_ns'].copy(),
            depth=unknown,
            depth_stddev=unknown,
        )


class _Matches:
    """Pairs found so far in one frame, and who is still free."""

    def __init__(self, detections: int, tracks: int) -> None:
        self.free_detections = np.ones(detections, np.bool_)
        self.free_tracks = np.ones(tracks, np.bool_)
        self._pairs: list[tuple[Index, Index, Array]] = []

    def add(self, rows: Index, columns: Index, similarity: Array) -> None:
        self.free_detections[rows] = False
        self.free_tracks[columns] = False
        self._pairs.append((rows, columns, similarity))

    def result(self) -> tuple[Index, Index, Array]:
        if not self._pairs:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        rows, columns, similarity = zip(*self._pairs, strict=True)
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(similarity)


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


def _one_to_one(graph: Mask) -> bool:
    """Return whether no row and no column holds two pairs, and at least one pair exists."""
    return bool(graph.any() and graph.sum(0).max() == 1 and graph.sum(1).max() == 1)


def _average(
    store: NDArray[np.float32], rows: Index, new: NDArray[np.float32], alpha: Array
) -> None:
    """Blend unit vectors, store[rows] ← normalise(α store[rows] + (1 − α) new), in place."""
    weight = alpha.astype(np.float32)[:, None]
    mixed = weight * store[rows] + (1 - weight) * new
    norm = np.linalg.norm(mixed, axis=1, keepdims=True)
    store[rows] = mixed / np.maximum(norm, np.float32(_EPSILON))
