"""Temporal Adapter: a track's embeddings, each enriched by those before it.

A causal transformer over one track's rows of history. A row in which the track was not seen is
read by no other row. Two forms compute the same: `forward` takes all rows at once, `step` the
tracks seen in one row after the other, with the keys and values of those before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mot_perception.fdta.attention import KEY, QUERY, VALUE, SelfAttentionLayer

if TYPE_CHECKING:
    from mot_perception.fdta.attention import Attention
    from mot_perception.fdta.settings import TemporalSettings

SLOWEST = 10000.0
"""Ratio of the slowest to the fastest wave of a time code."""


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
    return turned(heads, *turn_of(times, heads.shape[-1]))


def turn_of(times: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Return sine and cosine of the angles of `rotated`: (S, L) → float32 (S, 1, L, C / 2)."""
    half = channels // 2
    pair = torch.arange(half, device=times.device, dtype=torch.float64)
    # float64, as after an hour at 30 rows a second a float32 no longer tells the angle
    turns = times.double()[:, None, :, None] / SLOWEST ** (pair / half) / (2 * torch.pi)
    angle = ((turns - turns.floor()) * (2 * torch.pi)).float()
    return angle.sin(), angle.cos()


def turned(heads: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """Return (S, heads, L, C) turned by the angles of `turn_of`."""
    first, second = heads.float().chunk(2, -1)
    both = torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
    return both.to(heads)


class TemporalAdapter(nn.Module):
    """Causal transformer over the rows of each track.

    Args:
        width: Channels of an embedding.
        window: Rows that a row sees, itself among them.
        settings: Layers and time code.
    """

    def __init__(self, width: int, window: int, settings: TemporalSettings) -> None:
        super().__init__()
        self.width, self.window, self.heads = width, window, settings.heads
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
        code = row_code(1, rows, width, tokens.device)
        tokens = self._layers(tokens, mask, code, when, None)
        # (S, T, width) → (B, G, N, T, width) → (B, G, T, N, width)
        return tokens.view(batch, groups, tracks, rows, width).transpose(2, 3)

    @torch.no_grad()
    def step(
        self,
        features: Tensor,
        past: Tensor,
        seen: Tensor,
        times: Tensor | None = None,
        row: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Return the enriched embeddings of those seen in the next row, and what to remember.

        The same numbers as `forward` gives in the last of all rows so far.

        Args:
            features: (N, width) of N tracks.
            past: (E, layers, 2, width), what is remembered of E sightings in earlier rows.
            seen: bool (N, E), which of them a track sees: its own within the window.
            times: (N) of this row, in frame periods; only the relative code reads them.
            row: Its number, from 0; only the row code reads it.

        Returns:
            (N, width), and what to add to the past, (N, layers, 2, width).
        """
        count = len(features)
        kept = torch.cat([past, past.new_empty(count, *past.shape[1:])])
        itself = torch.eye(count, dtype=torch.bool, device=seen.device)
        mask = torch.cat([seen, itself], 1)[None, None]  # (1, 1, N, E + N)
        when = None if times is None else times[None]
        code = row_code(row + 1, 1, self.width, features.device)
        return self._layers(features[None], mask, code, when, kept)[0], kept[len(past) :]

    def nothing(self) -> Tensor:
        """Return the past before the first row."""
        like = next(self.parameters(), torch.empty(0))  # without layers there are none
        return like.new_zeros(0, len(self.trca), 2, self.width)

    def _layers(
        self,
        tokens: Tensor,
        mask: Tensor,
        code: Tensor,
        times: Tensor | None,
        kept: Tensor | None,
    ) -> Tensor:
        """Return new tokens (S, L, width).

        Args:
            tokens: (S, L, width).
            mask: bool (S, 1, L, keys).
            code: (L or 1, width) of the tokens' rows.
            times: (S, L).
            kept: (keys, layers, 2, width), for S = 1: keys and values of what is seen, whose last
                L are filled in here. None: the tokens see each other.
        """
        if self.relative and times is None:
            raise ValueError('the relative time code needs the times of the rows')
        code, turn = code.to(tokens), None
        if self.relative and times is not None:
            turn = turn_of(times, self.width // self.heads)
        for number, module in enumerate(self.trca):
            layer = cast('SelfAttentionLayer', module)
            query, key, value = _projected(layer.self_attn, tokens, code, turn)
            if kept is not None:
                key, value = _among(kept[:, number], layer.self_attn, key, value)
            tokens = layer.finish(tokens, layer.self_attn.attend(query, key, value, mask))
        return tokens


def _projected(
    attention: Attention, tokens: Tensor, code: Tensor, turn: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values (S, heads, L, C), with the time in the first two."""
    if turn is None:
        query, key = attention.split(attention.products(tokens + code, QUERY, KEY))
        return query, key, attention.project(tokens, VALUE)
    query, key, value = attention.split(attention.products(tokens, QUERY, VALUE))
    query, key = turned(torch.cat([query, key], 1), *turn).chunk(2, 1)
    return query, key, value


def _among(
    kept: Tensor, attention: Attention, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Write a layer's newest keys and values (1, heads, L, C) to the end; return all of them."""
    newest = torch.cat([key, value]).transpose(1, 2).flatten(2)  # (2, L, width)
    kept[len(kept) - key.shape[2] :] = newest.transpose(0, 1)
    both = attention.split(kept)  # (keys, 2, width) → (heads, keys, C) twice
    return both[0][None], both[1][None]
