"""FDTA's tracker: identities are predicted from embeddings and history, not matched by boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
import torch

from mot_perception.errors import UserError
from mot_perception.fdta.assignment import NEWBORN, hungarian, object_max
from mot_perception.fdta.trajectories import Rows, Trajectories
from mot_perception.trackers.clock import Clock
from mot_perception.trackers.fdta_settings import FdtaConfig
from mot_perception.trackers.settings import LIVE
from mot_perception.types import NANOSECONDS, TrackedFrame, Tracks, TrackState

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from mot_perception.fdta.network import Fdta
    from mot_perception.types import Detections, Embeddings, Frame

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

SLOT = np.dtype(
    [
        ('id', np.int64),  # 0: nobody
        ('label', np.int32),
        ('confirmed', np.bool_),
        ('hits', np.int64),
        ('misses', np.int64),
        ('age', np.int64),
        ('first_ns', np.int64),
        ('last_ns', np.int64),
        ('used', np.int64),  # when the slot was last given a detection, in frames
        ('score', np.float64),
        ('association', np.float64),
        ('detection', np.int64),
        ('box', np.float64, 4),
        ('velocity', np.float64, 2),
    ]
)
"""What is known of the track that has an entry of the dictionary, beside its history."""


@dataclass(frozen=True)
class FdtaSnapshot:
    """Everything a tracker remembers; `restore` brings it back exactly."""

    slots: NDArray[np.void]
    rows: Rows
    clock: Clock
    next_id: int
    frame_index: int
    reset_count: int


class FdtaTracker:
    """Gives each detection the identity that the ID decoder predicts from its embedding.

    Every entry of the network's dictionary is a slot that a track holds while it is remembered;
    newcomers get the slots that were longest not used. There are never more tracks than slots: in
    a fuller frame those that are predicted surely and score best are kept.

    Args:
        network: With its weights, on its device.
        config: Settings.

    Attributes:
        config: The settings.
        slots: One row of `SLOT` for each entry of the dictionary, open to inspection.
        trajectories: The history that the network sees.
    """

    def __init__(self, network: Fdta, config: FdtaConfig | None = None) -> None:
        self.config = config or FdtaConfig()
        self._period = period = network.settings.frame_period
        self.trajectories = Trajectories(network, self.config.max_age / period)
        self._clock = Clock(period, self.config.clock == 'stamps', self.config.jump_tolerance)
        self._device = network.id_decoder.word_to_embed.weight.device
        self._count, self._width = network.id_decoder.newborn, network.id_decoder.width
        self._reset_count = -1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; ids start again at 1."""
        self.slots = np.zeros(self._count, SLOT)
        self.trajectories.clear()
        self._clock.reset()
        self._next_id, self._frame_index = 1, 0
        self._reset_count += 1

    def reconfigure(self, config: FdtaConfig) -> None:
        """Go on with other settings, all tracks kept.

        Raises:
            UserError: A setting differs that is not `Live`; nothing is applied then.
        """
        for name, field in type(config).model_fields.items():
            kept = LIVE in field.metadata or getattr(config, name) == getattr(self.config, name)
            if not kept:
                raise UserError(f'fdta.{name} cannot change while the tracker runs; restart it')
        self.config = config
        self.trajectories.oldest = config.max_age / self._period

    def snapshot(self) -> FdtaSnapshot:
        """Return a copy of the tracker's memory."""
        return FdtaSnapshot(
            self.slots.copy(),
            self.trajectories.rows,
            replace(self._clock),
            self._next_id,
            self._frame_index,
            self._reset_count,
        )

    def restore(self, snapshot: FdtaSnapshot) -> None:
        """Continue from a snapshot as if nothing had happened since."""
        self.slots, self.trajectories.rows = snapshot.slots.copy(), snapshot.rows
        self._clock = replace(snapshot.clock)
        self._next_id, self._frame_index = snapshot.next_id, snapshot.frame_index
        self._reset_count = snapshot.reset_count

    @torch.inference_mode()
    def update(
        self,
        frame: Frame,
        detections: Detections,
        embeddings: Embeddings | None = None,
        camera_motion: Array | None = None,
    ) -> TrackedFrame:
        """Step one frame; an empty frame is stepped like any other.

        Args:
            frame: Gives the time (`stamp_ns`).
            detections: N boxes of the network's detector.
            embeddings: `appearance` holds the detector's N×width embeddings, as they come.
            camera_motion: Not looked at: identities do not depend on places.

        Returns:
            All tracks that are remembered, and those that are forgotten now.
        """
        started = perf_counter_ns()
        self._advance(frame.stamp_ns)
        seen, features = self._worth_a_look(detections, embeddings)
        tokens = torch.from_numpy(features).to(self._device)
        probability = self.trajectories.probabilities(tokens, self._clock.now).numpy()
        slots, fresh = self._assign(probability, detections.select(seen))
        kept = np.flatnonzero(slots >= 0)
        slots, seen, fresh = slots[kept], seen[kept], fresh[kept]
        self.slots['age'] += 1
        self.slots['misses'] += 1
        self.slots['detection'] = -1
        evicted = self._give_birth(slots[fresh], frame)
        self._observe(slots, seen, probability[kept, slots], detections, frame)
        self.slots['association'][slots[fresh]] = np.nan
        self._remember(tokens, kept, slots, slots[fresh])
        return self._report(frame, evicted, started)

    def appearance_of(self, ids: Index) -> list[NDArray[np.float32]]:
        """Return nothing for each of these tracks: their embeddings are no one's looks."""
        return [np.empty(0, np.float32) for _ in ids]

    def _advance(self, stamp_ns: int) -> None:
        """Let time pass, and forget what is too old."""
        if self._clock.jumped_back(stamp_ns):
            self.reset()
        if not self._clock.tick(stamp_ns):
            self._clock.now += 1  # stamps stand still; without time the last frame is not past
        self.trajectories.forget_older(self._clock.now)

    def _worth_a_look(
        self, detections: Detections, embeddings: Embeddings | None
    ) -> tuple[Index, NDArray[np.float32]]:
        """Return the rows of K detections that may be objects, and their embeddings K×width."""
        if embeddings is None or embeddings.appearance is None:
            return np.empty(0, np.int64), np.empty((0, self._width), np.float32)
        features = embeddings.appearance
        known = np.isfinite(features).all(1) & (detections.score > self.config.score)
        seen = np.flatnonzero(detections.valid() & known)
        return seen, features[seen]

    def _assign(
        self, probability: NDArray[np.float32], detections: Detections
    ) -> tuple[Index, Mask]:
        """Return the slot of each of N detections, −1 for none, and whether it is new there."""
        alive = (self.slots['id'] > 0) & self.trajectories.remembered().numpy()
        if self.config.by_class:
            others = detections.label[:, None] != self.slots['label']
            probability[:, :-1][others] = -1
        assign = hungarian if self.config.assignment == 'hungarian' else object_max
        slots = assign(probability, alive, self.config.least_probability)
        score = detections.score
        newborn = np.flatnonzero((slots == NEWBORN) & (score > self.config.birth_score))
        free = np.setdiff1d(np.arange(self._count), slots)
        free = free[np.argsort(self.slots['used'][free], kind='stable')]
        newborn = np.sort(newborn[np.argsort(-score[newborn], kind='stable')][: len(free)])
        slots[newborn] = free[: len(newborn)]
        return slots, np.isin(np.arange(len(slots)), newborn)

    def _give_birth(self, slots: Index, frame: Frame) -> NDArray[np.void]:
        """Start tracks in these slots; return the rows of those who had them before."""
        evicted = self.slots[slots]
        self.slots[slots] = np.zeros((), SLOT)
        self.slots['id'][slots] = np.arange(self._next_id, self._next_id + len(slots))
        self.slots['first_ns'][slots] = frame.stamp_ns
        self._next_id += len(slots)
        return evicted[evicted['id'] > 0]

    def _observe(
        self,
        slots: Index,
        rows: Index,
        probability: NDArray[np.float32],
        detections: Detections,
        frame: Frame,
    ) -> None:
        """Give the tracks in these slots their detections (`rows` of them)."""
        track, boxes = self.slots[slots], detections.xyxy[rows]
        passed = (frame.stamp_ns - track['last_ns']) / NANOSECONDS
        known = (track['hits'] > 0) & (passed > 0)
        moved = (boxes[:, :2] + boxes[:, 2:] - track['box'][:, :2] - track['box'][:, 2:]) / 2
        track['velocity'][known] = moved[known] / passed[known, None]
        track['hits'] += 1
        track['misses'] = 0
        track['confirmed'] |= track['hits'] >= self.config.min_hits
        for name, value in (
            ('label', detections.label[rows]),
            ('last_ns', frame.stamp_ns),
            ('used', self._frame_index + 1),
            ('score', detections.score[rows]),
            ('association', probability),
            ('detection', rows),
            ('box', boxes),
        ):
            track[name] = value
        self.slots[slots] = track

    def _remember(self, tokens: Tensor, kept: Index, slots: Index, fresh: Index) -> None:
        """Add the frame to the history, without what others had in the slots of new tracks."""
        self.trajectories.forget(self._on_device(fresh))
        chosen = tokens[self._on_device(kept)]
        self.trajectories.append(chosen, self._on_device(slots), self._clock.now)

    def _empty(self, slots: Mask) -> None:
        """Free slots; when they were last used is not forgotten, so that they go in turn."""
        used = self.slots['used'][slots]
        self.slots[slots] = np.zeros((), SLOT)
        self.slots['used'][slots] = used

    def _on_device(self, index: Index) -> Tensor:
        return torch.from_numpy(index).to(self._device)

    def _report(self, frame: Frame, evicted: NDArray[np.void], started: int) -> TrackedFrame:
        """Tell about all tracks; those whose last row is gone end."""
        gone = (self.slots['id'] > 0) & ~self.trajectories.remembered().numpy()
        live = self.slots[(self.slots['id'] > 0) & ~gone]
        ended = np.concatenate([evicted, self.slots[gone]])
        self._empty(gone)
        state = np.where(live['misses'] == 0, TrackState.CONFIRMED, TrackState.COASTING)
        state = np.where(live['confirmed'], state, TrackState.TENTATIVE)
        state = np.append(state, np.full(len(ended), TrackState.REMOVED)).astype(np.int8)
        rows = np.concatenate([live, ended])
        order = np.argsort(rows['id'])
        rows, unknown = rows[order], np.full(len(rows), np.nan)
        self._frame_index += 1
        tracks = Tracks(
            rows['id'],
            state[order],
            rows['box'],
            rows['score'],
            rows['association'],
            rows['label'],
            rows['detection'],
            rows['velocity'],
            rows['age'],
            rows['hits'],
            rows['misses'],
            rows['first_ns'],
            rows['last_ns'],
            unknown,
            unknown.copy(),
        )
        return TrackedFrame(
            frame,
            tracks,
            reset_count=self._reset_count,
            frame_index=self._frame_index - 1,
            processing_ns=perf_counter_ns() - started,
            source='fdta',
        )
