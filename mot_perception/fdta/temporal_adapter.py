"""Temporal Adapter: a track's embeddings, each enriched by those before it.

A causal transformer over one track's rows of history. A row in which the track was not seen is
read by no other row. Two forms compute the same: `forward` takes all rows at once, `step` one row
after the other and keeps keys and values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from mot_perception.fdta.attention import KEY, QUERY, VALUE, SelfAttentionLayer

if TYPE_CHECKING:
    from mot_perception.fdta.settings import TemporalSettings

SLOWEST = 10000.0
"""Ratio of the slowest to the fastest wave of a time code."""


class TemporalMemory(NamedTuple):
    """What the streaming form keeps of S tracks and their last R rows, R below the window."""

    keys: list[Tensor]
    """Of each layer, (S, heads, R, C)."""
    values: list[Tensor]
    missing: Tensor
    """bool (S, R)."""
    rows: int
    """Rows seen so far, those no longer kept among them."""


def visible_rows(missing: Tensor, window: int) -> Tensor:
    """Return which rows a row sees: bool (S, T) → (S, T, T), [s, query, key].

    Those of the last `window` rows, itself the last, in which the track was not missing; and
    always itself.
    """
    row = torch.arange(missing.shape[-1], device=missing.device)
    age = row[:, None] - row
    return ((age >= 0) & (age < window) & ~missing[:, None]) | (age == 0)


def row_code(first: int, count: int, width: int, device: torch.device) -> Tensor:
    """Return sine and cosine in turn of row numbers from `first` on, float32 (count, width)."""
    number = torch.arange(first, first + count, device=device, dtype=torch.float32)
    pair = torch.arange(width // 2, device=device, dtype=torch.float32)
    angle = number[:, None] / SLOWEST ** (2 * pair / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


def rotated(heads: Tensor, times: Tensor) -> Tensor:
    """Return queries or keys turned by their time: products then know time differences alone.

    Args:
        heads: (S, heads, L, C), C even.
        times: (S, L).

    Returns:
        Like heads.
    """
    half = heads.shape[-1] // 2
    pair = torch.arange(half, device=heads.device, dtype=torch.float64)
    # float64, as after an hour at 30 rows a second a float32 no longer tells the angle
    turns = times.double()[:, None, :, None] / SLOWEST ** (pair / half) / (2 * torch.pi)
    angle = ((turns - turns.floor()) * (2 * torch.pi)).float()  # (S, 1, L, C / 2)
    sine, cosine = angle.sin(), angle.cos()
    first, second = heads.float().chunk(2, -1)
    turned = torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
    return turned.to(heads)


class TemporalAdapter(nn.Module):
    """Causal transformer over the rows of each track.

    Args:
        width: Channels of an embedding.
        window: Rows that a row sees, itself among them.
        settings: Layers and time code.
    """

    def __init__(self, width: int, window: int, settings: TemporalSettings) -> None:
        super().__init__()
        self.width, self.window = width, window
        self.relative = settings.time_code == 'relative'
        self.trca = nn.ModuleList(
            SelfAttentionLayer(width, settings.heads, settings.hidden, settings.dropout)
            for _ in range(settings.layers)
        )

    def forward(self, features: Tensor, missing: Tensor, times: Tensor | None = None) -> Tensor:
        """Return enriched embeddings of all rows at once.

        Args:
            features: (B, G, T, N, width): clips, groups, rows, tracks.
            missing: bool (B, G, T, N), True where a track was not seen.
            times: (B, T) of the rows, in frame periods; only the relative code reads them.

        Returns:
            Like features; of missing rows too, for which there is no use.

        Raises:
            ValueError: The shapes do not fit, or times are needed.
        """
        if features.ndim != 5 or missing.shape != features.shape[:-1]:
            shapes = f'{tuple(features.shape)} and {tuple(missing.shape)}'
            raise ValueError(f'features and missing must be (B, G, T, N[, width]), not {shapes}')
        batch, groups, rows, tracks, width = features.shape
        # (B, G, T, N, width) → (B, G, N, T, width) → (S, T, width), S = B·G·N
        tokens = features.transpose(2, 3).flatten(0, 2)
        gaps = missing.transpose(2, 3).flatten(0, 2)
        when = None
        if times is not None:  # (B, T) → (B, G·N, T) → (S, T)
            when = times[:, None].expand(-1, groups * tracks, -1).flatten(0, 1)
        mask = visible_rows(gaps, self.window)[:, None]  # (S, 1, T, T)
        tokens, _, _ = self._layers(tokens, mask, 0, when, None)
        # (S, T, width) → (B, G, N, T, width) → (B, G, T, N, width)
        return tokens.view(batch, groups, tracks, rows, width).transpose(2, 3)

    def step(
        self,
        features: Tensor,
        missing: Tensor,
        memory: TemporalMemory | None = None,
        times: Tensor | None = None,
    ) -> tuple[Tensor, TemporalMemory]:
        """Return the enriched embeddings of the next row, and the memory for the one after it.

        The same numbers as `forward` gives for the last of all rows so far.

        Args:
            features: (S, width) of S tracks.
            missing: bool (S).
            memory: Of the rows before; None at the first.
            times: (S) of this row, in frame periods; only the relative code reads them.
        """
        tokens, gaps = features[:, None], missing[:, None]
        past, row = None, 0
        if memory is not None:
            past, row = (memory.keys, memory.values), memory.rows
            gaps = torch.cat([memory.missing, gaps], 1)
        visible = ~gaps
        visible[:, -1] = True  # itself, always
        when = None if times is None else times[:, None]
        tokens, keys, values = self._layers(tokens, visible[:, None, None], row, when, past)
        kept = slice(max(0, gaps.shape[1] - self.window + 1), None)
        return tokens[:, 0], TemporalMemory(
            [key[:, :, kept] for key in keys],
            [value[:, :, kept] for value in values],
            gaps[:, kept],
            row + 1,
        )

    def _layers(
        self,
        tokens: Tensor,
        mask: Tensor,
        row: int,
        times: Tensor | None,
        past: tuple[list[Tensor], list[Tensor]] | None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return new tokens (S, L, width), and keys and values of each layer with the past ones.

        Row is the number of the first token; the mask is (S, 1, L, past + L), times (S, L).
        """
        if self.relative and times is None:
            raise ValueError('the relative time code needs the times of the rows')
        code = row_code(row + 1, tokens.shape[1], self.width, tokens.device).to(tokens)
        keys, values = [], []
        for number, module in enumerate(self.trca):
            layer = cast('SelfAttentionLayer', module)
            attention = layer.self_attn
            placed = tokens if self.relative else tokens + code
            query, key = attention.project(placed, QUERY), attention.project(placed, KEY)
            value = attention.project(tokens, VALUE)
            if self.relative and times is not None:
                query, key = rotated(query, times), rotated(key, times)
            if past is not None:
                key = torch.cat([past[0][number], key], 2)
                value = torch.cat([past[1][number], value], 2)
            gathered = attention.attend(query, key, value, mask)
            tokens = layer.finish(tokens, gathered)
            keys.append(key)
            values.append(value)
        return tokens, keys, values
