"""What is remembered of tracks while frames come in: one slot a label, one row a frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mot_perception.fdta.id_decoder import Current, History

if TYPE_CHECKING:
    from mot_perception.fdta.network import Fdta
    from mot_perception.fdta.temporal_adapter import TemporalMemory


@dataclass(frozen=True)
class Rows:
    """R rows of S slots, never changed in place: a snapshot is the object itself.

    Attributes:
        features: (R, S, width); with the row code as detected, with the relative code enriched
            and modelled once and for all: no later row changes what an earlier one has become.
        missing: bool (R, S), True where the slot's track was not seen.
        times: float64 (R), in frame periods.
        temporal: Keys and values of the Temporal Adapter; only the relative code has them.
    """

    features: Tensor
    missing: Tensor
    times: Tensor
    temporal: TemporalMemory | None


class Trajectories:
    """The streaming form of `Fdta.identify`: the same numbers, row after row.

    Args:
        network: With its weights, where it computes.
        oldest: Frame periods after which a row is forgotten. There are never more rows than the
            network's window has beside the current one.

    Attributes:
        rows: All that is remembered.
    """

    def __init__(self, network: Fdta, oldest: float) -> None:
        self._network, self._oldest = network, oldest
        self._streams = network.trajectory_embedding.relative
        self._slots = network.id_decoder.newborn
        self._kept = network.settings.window - 1
        self._device = network.id_decoder.word_to_embed.weight.device
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        width = self._network.id_decoder.width
        self.rows = Rows(
            torch.zeros(0, self._slots, width, device=self._device),
            torch.zeros(0, self._slots, dtype=torch.bool, device=self._device),
            torch.zeros(0, dtype=torch.float64, device=self._device),
            None,
        )

    def probabilities(self, features: Tensor, time: float) -> Tensor:
        """Return who N detections are: (N, S + 1) on the CPU, the last column: newborn.

        Args:
            features: (N, width) as detected.
            time: Of their frame, in frame periods, later than all rows.
        """
        rows = self.rows
        used = (~rows.missing).any(0).nonzero()[:, 0]
        if not len(used) or not len(features):
            newborn = torch.zeros(len(features), self._slots + 1)
            newborn[:, -1] = 1
            return newborn
        known = rows.features[:, used]
        labels = used.expand(len(known), -1)
        times, now = rows.times, torch.tensor(time, dtype=torch.float64, device=self._device)
        if not self._streams:
            times = torch.arange(len(known), device=self._device, dtype=torch.float64)
            now = times[-1] + 1
        history = History(
            known[None, None], labels[None, None], rows.missing[None, None, :, used], times[None]
        )
        nobody = torch.zeros(len(features), dtype=torch.bool, device=self._device)
        current = Current(features[None, None, None], nobody[None, None, None], now.reshape(1, 1))
        identify = self._network.id_decoder if self._streams else self._network.identify
        return identify(history, current)[0, 0, 0].float().softmax(-1).cpu()

    def forget(self, labels: Tensor) -> None:
        """Empty the slots of these labels (K): they go to other tracks."""
        if not len(labels) or not len(self.rows.missing):
            return
        missing = self.rows.missing.clone()
        missing[:, labels] = True
        temporal = self.rows.temporal
        if temporal is not None:
            gaps = temporal.missing.clone()
            gaps[labels] = True
            temporal = temporal._replace(missing=gaps)
        self.rows = replace(self.rows, missing=missing, temporal=temporal)

    def append(self, features: Tensor, labels: Tensor, time: float) -> None:
        """Remember a frame, with or without detections.

        Args:
            features: (N, width) as detected.
            labels: int64 N, the slots they go to, each once.
            time: In frame periods.
        """
        rows = self.rows
        row = torch.zeros(self._slots, features.shape[-1], device=self._device)
        row[labels] = features.to(row)
        missing = torch.ones(self._slots, dtype=torch.bool, device=self._device)
        missing[labels] = False
        temporal = rows.temporal
        if self._streams:
            times = torch.full((self._slots,), time, dtype=torch.float64, device=self._device)
            adapter = self._network.trajectory_embedding
            row, temporal = adapter.step(row, missing, temporal, times)
            row = self._network.trajectory_modeling(row)
        times = torch.cat([rows.times, rows.times.new_tensor([time])])
        features = torch.cat([rows.features, row[None]])
        missing = torch.cat([rows.missing, missing[None]])
        self.rows = _newest(Rows(features, missing, times, temporal), self._kept)

    def forget_older(self, time: float) -> None:
        """Forget the rows that are too old at this time, in frame periods."""
        fresh = int((self.rows.times >= time - self._oldest).sum())
        self.rows = _newest(self.rows, fresh)

    def remembered(self) -> Tensor:
        """Return which slots hold a track, bool S on the CPU."""
        return (~self.rows.missing).any(0).cpu()


def _newest(rows: Rows, count: int) -> Rows:
    """Return the newest rows alone, `count` at most."""
    first = max(0, len(rows.times) - count)
    temporal = rows.temporal
    if temporal is not None:
        start = max(0, temporal.missing.shape[1] - count)
        temporal = temporal._replace(
            keys=[key[:, :, start:] for key in temporal.keys],
            values=[value[:, :, start:] for value in temporal.values],
            missing=temporal.missing[:, start:],
        )
    return Rows(rows.features[first:], rows.missing[first:], rows.times[first:], temporal)
