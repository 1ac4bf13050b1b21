"""What is remembered of tracks while frames come in: one slot a label, one row a frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mot_perception.fdta.fast import replayed
from mot_perception.fdta.id_decoder import Current, History

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.fdta.network import Fdta

    Index = NDArray[np.int64]

TOGETHER = 32, 512
"""Detections and sightings that a GPU computes with are filled up to a multiple of these."""
RECORDINGS = 12
"""Such shapes that are kept as CUDA graphs."""


@dataclass(frozen=True)
class Rows:
    """R rows with E sightings of tracks, oldest first; a sighting is a track seen in a row.

    Never changed in place: a snapshot is the object itself. Places that nobody was seen in take
    no memory.

    Attributes:
        times: float64 (R), in frame periods.
        row: (E), the row that each sighting is of.
        slot: (E), whose it is.
        features: (E, width) as detected; with the relative code None.
        temporal: (E, layers, 2, width), keys and values of the Temporal Adapter; only with the
            relative code, as no later row changes what an earlier one has become.
        identity: (1 + E, layers, 2, 2·width), those of the ID decoder, `IdDecoder.nothing` first;
            only with the relative code.
    """

    times: NDArray[np.float64]
    row: Index
    slot: Index
    features: Tensor | None
    temporal: Tensor | None
    identity: Tensor | None


class Trajectories:
    """The streaming form of `Fdta.identify`: the same numbers, row after row.

    Args:
        network: With its weights, where it computes.
        oldest: Frame periods after which a row is forgotten. There are never more rows than the
            network's window has beside the current one.

    Attributes:
        oldest: As given; a new one counts from the next row on.
        rows: All that is remembered.
    """

    def __init__(self, network: Fdta, oldest: float) -> None:
        self._network, self.oldest = network, oldest
        self._slots = network.id_decoder.newborn
        self._kept = network.settings.window - 1
        self._like = network.id_decoder.word_to_embed.weight
        device = self._like.device
        self._together = TOGETHER if device.type == 'cuda' else (1, 1)
        if network.trajectory_embedding.relative:
            self._decode = replayed(network.id_decoder.decode, device, RECORDINGS)
            self._remember = replayed(network.remember, device, RECORDINGS)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        nobody, network = np.empty(0, np.int64), self._network
        self.rows = Rows(np.empty(0), nobody, nobody, None, None, None)
        if network.trajectory_embedding.relative:
            temporal = network.trajectory_embedding.nothing()
            self.rows = replace(
                self.rows, temporal=temporal, identity=network.id_decoder.nothing()
            )
        else:
            width = network.id_decoder.width
            self.rows = replace(self.rows, features=self._like.new_zeros(0, width))

    def probabilities(self, features: Tensor, time: float) -> Tensor:
        """Return who N detections are: (N, S + 1) on the CPU, the last column: newborn.

        Args:
            features: (N, width) as detected.
            time: Of their frame, in frame periods, later than all rows.
        """
        rows = self.rows
        if not len(rows.slot) or not len(features):
            newborn = torch.zeros(len(features), self._slots + 1)
            newborn[:, -1] = 1
            return newborn
        features = features.to(self._like)
        if rows.identity is None:
            logits = self._recomputed(features)
        else:
            logits = self._decoded(features, rows.identity, time)
        return logits.float().softmax(-1).cpu()

    def forget(self, labels: Tensor) -> None:
        """Empty the slots of these labels (K): they go to other tracks."""
        gone = np.isin(self.rows.slot, labels.cpu().numpy())
        if gone.any():
            self.rows = _chosen(self.rows, np.flatnonzero(~gone))

    def append(self, features: Tensor, labels: Tensor, time: float) -> None:
        """Remember a frame, with or without detections.

        Args:
            features: (N, width) as detected.
            labels: int64 N, the slots they go to, each once.
            time: In frame periods.
        """
        rows, slot = self.rows, labels.cpu().numpy()
        first = max(0, len(rows.times) + 1 - self._kept)  # row that is kept
        cut = int(np.searchsorted(rows.row, first))  # sighting that is kept
        features = features.to(self._like)
        known, temporal, identity = rows.features, rows.temporal, rows.identity
        if known is not None:
            known = torch.cat([known[cut:], features])
        if temporal is not None and identity is not None:
            for_rows, for_all = self._kept_of(features, labels, temporal, slot, time)
            temporal = torch.cat([temporal[cut:], for_rows])
            identity = torch.cat([identity[:1], identity[1 + cut :], for_all])
        self.rows = Rows(
            np.append(rows.times[first:], time),
            np.append(rows.row[cut:] - first, np.full(len(slot), len(rows.times) - first)),
            np.append(rows.slot[cut:], slot),
            known,
            temporal,
            identity,
        )

    def forget_older(self, time: float) -> None:
        """Forget the rows that are too old at this time, in frame periods."""
        first = int((self.rows.times < time - self.oldest).sum())
        if first:
            rows = _chosen(self.rows, np.flatnonzero(self.rows.row >= first))
            self.rows = replace(rows, times=rows.times[first:], row=rows.row - first)

    def remembered(self) -> Tensor:
        """Return which slots hold a track, bool S on the CPU."""
        held = torch.zeros(self._slots, dtype=torch.bool)
        held[torch.from_numpy(self.rows.slot)] = True
        return held

    def _decoded(self, features: Tensor, identity: Tensor, time: float) -> Tensor:
        """Return logits (N, S + 1) from what was kept of sightings."""
        count, sightings = len(features), len(self.rows.row)
        most, all_ages = self._filled(count, sightings)
        ages = np.full(all_ages, np.inf, np.float32)
        ages[:sightings] = time - self.rows.times[self.rows.row]
        logits = self._decode(
            _padded(features, most),
            _padded(identity, 1 + all_ages),
            self._on_device(ages),
            self._on_device(np.arange(most) < count),
        )
        return logits[:count]

    def _kept_of(
        self, features: Tensor, labels: Tensor, past: Tensor, slot: Index, time: float
    ) -> tuple[Tensor, Tensor]:
        """Return what to keep of N detections, for the Temporal Adapter and the ID decoder."""
        count, sightings = len(features), len(past)
        most, all_past = self._filled(count, sightings)
        seen = np.zeros((most, all_past), np.bool_)
        seen[:count, :sightings] = slot[:, None] == self.rows.slot
        for_rows, for_all = self._remember(
            _padded(features, most),
            _padded(labels, most),
            _padded(past, all_past),
            self._on_device(seen),
            torch.full((most,), time, dtype=torch.float64, device=past.device),
        )
        return for_rows[:count], for_all[:count]

    def _filled(self, detections: int, sightings: int) -> tuple[int, int]:
        """Return how many of each are computed with."""
        one, other = self._together
        return -(-detections // one) * one, -(-sightings // other) * other

    def _recomputed(self, features: Tensor) -> Tensor:
        """Return logits (N, S + 1) by the row code, which knows a row by its place among all."""
        rows = self.rows
        assert rows.features is not None
        used, column = np.unique(rows.slot, return_inverse=True)
        shape = len(rows.times), len(used)
        missing = np.ones(shape, np.bool_)
        missing[rows.row, column] = False
        known = features.new_zeros(*shape, features.shape[-1])
        known[self._on_device(rows.row), self._on_device(column)] = rows.features
        times = torch.arange(len(known) + 1, device=known.device)[None]
        history = History(
            known[None, None],
            self._on_device(used).expand(shape)[None, None],
            self._on_device(missing)[None, None],
            times[:, :-1],
        )
        nobody = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        current = Current(features[None, None, None], nobody[None, None, None], times[:, -1:])
        return self._network.identify(history, current)[0, 0, 0]

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._like.device)


def _padded(tensor: Tensor, count: int) -> Tensor:
    """Return a tensor (N, …) with zeros behind, (count, …)."""
    if len(tensor) == count:
        return tensor
    return torch.cat([tensor, tensor.new_zeros(count - len(tensor), *tensor.shape[1:])])


def _chosen(rows: Rows, sightings: Index) -> Rows:
    """Return these sightings alone, in rising order, of the same rows."""
    features, temporal, identity = rows.features, rows.temporal, rows.identity
    if features is not None:
        features = features[torch.from_numpy(sightings).to(features.device)]
    if temporal is not None and identity is not None:
        index = torch.from_numpy(sightings).to(temporal.device)
        temporal = temporal[index]
        identity = torch.cat([identity[:1], identity[1 + index]])
    return Rows(
        rows.times, rows.row[sightings], rows.slot[sightings], features, temporal, identity
    )
