"""The whole of FDTA's network, with the published names of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mot_perception.fdta.deformable_detr import DeformableDetr, Detections
from mot_perception.fdta.id_decoder import Current, History, IdDecoder, TrajectoryModelling
from mot_perception.fdta.temporal_adapter import TemporalAdapter

if TYPE_CHECKING:
    from mot_perception.fdta.settings import FdtaSettings


class Fdta(nn.Module):
    """Images → objects with embeddings; embeddings and history → identities.

    Args:
        settings: Of all parts.
    """

    def __init__(self, settings: FdtaSettings) -> None:
        super().__init__()
        width = settings.detector.width
        self.settings = settings
        self.detr = DeformableDetr(settings.detector, settings.spatial)
        self.trajectory_embedding = TemporalAdapter(width, settings.window, settings.temporal)
        self.trajectory_modeling = TrajectoryModelling(width)
        self.id_decoder = IdDecoder(width, settings.window, settings.identity)

    def forward(self, images: Tensor, padded: Tensor | None = None) -> Detections:
        """Return what `DeformableDetr` detects."""
        found: Detections = self.detr(images, padded)
        return found

    def identify(self, history: History, current: Current) -> Tensor:
        """Return logits (B, G, U, M, identities + 1) of detections, whose history is as detected.

        In training form, with the same rows in both, row t sees rows before t alone, so that all
        rows are computed at once.
        """
        features = self.trajectory_embedding(history.features, history.missing, history.times)
        modelled = history._replace(features=self.trajectory_modeling(features))
        logits: Tensor = self.id_decoder(modelled, current)
        return logits

    @torch.no_grad()
    def remember(
        self, features: Tensor, labels: Tensor, past: Tensor, seen: Tensor, times: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what to keep of sightings for later rows; with the relative time code alone.

        Args:
            features: (N, width) of the N tracks seen in the next row, as detected.
            labels: int64 (N).
            past: As in `TemporalAdapter.step`.
            seen: As in `TemporalAdapter.step`.
            times: As in `TemporalAdapter.step`.

        Returns:
            What to add to that past, and to what `IdDecoder.decode` sees.
        """
        enriched, more = self.trajectory_embedding.step(features, past, seen, times)
        return more, self.id_decoder.keep(self.trajectory_modeling(enriched), labels)
