"""Who is who: detections attend to the history of all tracks and are told an identity each.

An identity is a label, an entry of a small dictionary; the last label means newborn, or unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot_perception.fdta.attention import KEY, QUERY, VALUE, Attention

if TYPE_CHECKING:
    from mot_perception.fdta.settings import IdentitySettings


class History(NamedTuple):
    """What is known of tracks: B clips, G groups of labels, T rows, N tracks."""

    features: Tensor
    """(B, G, T, N, width)."""
    labels: Tensor
    """int64 (B, G, T, N), each in [0, identities]."""
    missing: Tensor
    """bool (B, G, T, N): True where a track was not seen."""
    times: Tensor
    """(B, T) of the rows, in frame periods."""


class Current(NamedTuple):
    """Detections whose identities are asked for: U rows of M detections."""

    features: Tensor
    """(B, G, U, M, width)."""
    missing: Tensor
    """bool (B, G, U, M)."""
    times: Tensor
    """(B, U), in frame periods; only what is older is seen."""


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (…, width) of (…, width)."""
        renewed: Tensor = self.linear2(functional.gelu(self.linear1(tokens)))
        return renewed


class TrajectoryModelling(nn.Module):
    """Prepares embeddings of the history, one by one, for the ID decoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.adapter = FeedForward(width, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.ffn = FeedForward(width, 2 * width)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return (…, width) of (…, width)."""
        features = self.norm(features + self.adapter(features))
        renewed: Tensor = self.ffn_norm(features + self.ffn(features))
        return renewed


class IdDecoder(nn.Module):
    """Gives each detection a logit for every label.

    A token is an embedding beside the embedding of its label. Attribute names are the published
    ones: `word_to_embed` is the dictionary, `embed_to_word_layers` the head (one, stored for every
    layer), `rel_pos_embeds` the bias of the attention by age.

    Args:
        width: Channels of an embedding; a token has twice as many.
        window: Ages that the bias tells apart.
        settings: Size of the dictionary, layers.
    """

    def __init__(self, width: int, window: int, settings: IdentitySettings) -> None:
        super().__init__()
        token, heads, layers = 2 * width, settings.heads, settings.layers
        self.width, self.newborn = width, settings.identities
        labels = settings.identities + 1
        self.rel_pos_embeds = nn.Parameter(torch.zeros(layers, window, heads))
        self.word_to_embed = nn.Linear(labels, width, bias=False)
        head = nn.Linear(width, labels, bias=False)
        self.embed_to_word_layers = nn.ModuleList([head] * layers)
        self.self_attn_layers = nn.ModuleList(
            Attention(token, heads, zero_key=True) for _ in range(layers - 1)
        )
        self.self_attn_norm_layers = _norms(token, layers - 1)
        self.cross_attn_layers = nn.ModuleList(
            Attention(token, heads, zero_key=True) for _ in range(layers)
        )
        self.cross_attn_norm_layers = _norms(token, layers)
        self.ffn_layers = nn.ModuleList(FeedForward(token, 2 * token) for _ in range(layers))
        self.ffn_norm_layers = _norms(token, layers)
        nn.init.xavier_uniform_(self.word_to_embed.weight)
        nn.init.xavier_uniform_(head.weight)

    def forward(self, history: History, current: Current) -> Tensor:
        """Return logits (B, G, U, M, identities + 1)."""
        batch, groups, rows, detections, _ = current.features.shape
        asked = torch.full_like(current.missing, self.newborn, dtype=torch.int64)
        tokens = self._tokens(current.features, asked)  # (B, G, U, M, 2·width)
        # (B, G, T, N, 2·width) → (B·G, T·N, 2·width)
        known = self._tokens(history.features, history.labels).flatten(2, 3).flatten(0, 1)
        seen = visible_history(history, current)
        beside = ~current.missing.flatten(0, 2)[:, None, None]  # (B·G·U, 1, 1, M)
        for layer in range(len(self.cross_attn_layers)):
            if layer:
                # (…, M, 2·width) → (B·G·U, M, 2·width): only those of the same frame
                tokens = tokens.view(batch * groups * rows, detections, 2 * self.width)
                tokens = self._to_each_other(layer, tokens, beside)
            # (…, M, 2·width) → (B·G, U·M, 2·width)
            tokens = tokens.view(batch * groups, rows * detections, 2 * self.width)
            mask = self._age_bias(layer, history, current).masked_fill(~seen, -torch.inf)
            # (B, G, heads, U, M, T, N) → (B·G, heads, U·M, T·N)
            mask = mask.flatten(5, 6).flatten(3, 4).flatten(0, 1).to(tokens)
            gathered = self.cross_attn_layers[layer](tokens, known, known, mask)
            tokens = self._renewed(layer, tokens, gathered)
        logits: Tensor = self.embed_to_word_layers[-1](tokens[..., self.width :])
        return logits.view(batch, groups, rows, detections, self.newborn + 1)

    def keep(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return what `decode` needs of sightings, once and for all: (N, layers, 2, 2·width).

        Args:
            features: (N, width), ready for the history.
            labels: int64 (N).
        """
        tokens = self._tokens(features, labels)
        layers = [cast('Attention', layer) for layer in self.cross_attn_layers]
        return torch.stack([layer.products(tokens, KEY, VALUE) for layer in layers], 1)

    def nothing(self) -> Tensor:
        """Return what `decode` sees where there is no history: keys and values of zeros."""
        shape = 1, len(self.cross_attn_layers), 2, 2 * self.width
        return self.word_to_embed.weight.new_zeros(shape)

    def decode(
        self, features: Tensor, kept: Tensor, ages: Tensor, there: Tensor | None = None
    ) -> Tensor:
        """Return logits (M, identities + 1) of the detections of one frame.

        The same numbers as `forward` gives, from keys and values that were kept.

        Args:
            features: (M, width).
            kept: (1 + E, layers, 2, 2·width): `nothing`, then E sightings.
            ages: float32 (E), frame periods since each; those of infinite age are not seen.
            there: bool (M), False where there is no detection; None: there are all.
        """
        asked = torch.full((len(features),), self.newborn, device=features.device)
        tokens = self._tokens(features, asked)[None]  # (1, M, 2·width)
        layers, _, heads = self.rel_pos_embeds.shape
        table = self.rel_pos_embeds.float().transpose(0, 1).flatten(1)  # (window, layers·heads)
        bias = by_age(table, ages).masked_fill(ages.isinf()[:, None], -torch.inf)
        bias = functional.pad(bias, (0, 0, 1, 0))  # (1 + E, layers·heads)
        beside = None if there is None else there[None, None, None]
        masks = bias.t().view(layers, 1, heads, 1, len(kept)).to(tokens)
        for layer in range(layers):
            if layer:
                tokens = self._to_each_other(layer, tokens, beside)
            attention = cast('Attention', self.cross_attn_layers[layer])
            query = attention.project(tokens, QUERY)
            key, value = attention.split(kept[None, :, layer])
            gathered = attention.gather(query, key, value, masks[layer])
            tokens = self._renewed(layer, tokens, gathered)
        logits: Tensor = self.embed_to_word_layers[-1](tokens[0, :, self.width :])
        return logits

    def _to_each_other(self, layer: int, tokens: Tensor, beside: Tensor | None) -> Tensor:
        """Return tokens (…, M, 2·width) that looked at each other, before cross-attention."""
        gathered = self.self_attn_layers[layer - 1](tokens, tokens, tokens, beside)
        renewed: Tensor = self.self_attn_norm_layers[layer - 1](tokens + gathered)
        return renewed

    def _renewed(self, layer: int, tokens: Tensor, gathered: Tensor) -> Tensor:
        """Return tokens with what cross-attention gathered, after the feed-forward."""
        tokens = self.cross_attn_norm_layers[layer](tokens + gathered)
        renewed: Tensor = self.ffn_norm_layers[layer](tokens + self.ffn_layers[layer](tokens))
        return renewed

    def _tokens(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return (…, 2·width) of embeddings (…, width) and labels (…)."""
        identity = functional.embedding(labels, self.word_to_embed.weight.t())
        return torch.cat([features, identity.to(features)], -1)

    def _age_bias(self, layer: int, history: History, current: Current) -> Tensor:
        """Return what is added to attention by age, (B, 1, heads, U, 1, T, 1)."""
        age = current.times[:, :, None] - history.times[:, None]  # (B, U, T)
        bias = by_age(self.rel_pos_embeds[layer].float(), age)  # (B, U, T, heads)
        return bias.permute(0, 3, 1, 2)[:, None, :, :, None, :, None]


def by_age(table: Tensor, age: Tensor) -> Tensor:
    """Return what a table (window, K) has for ages (…), float32 (…, K).

    Between two rows of the table it is interpolated; older ages count as its oldest.
    """
    age = age.float().clamp(0, len(table) - 1)
    below = age.floor()
    part = (age - below)[..., None]
    above = (below.long() + 1).clamp(max=len(table) - 1)
    return (1 - part) * table[below.long()] + part * table[above]


def visible_history(history: History, current: Current) -> Tensor:
    """Return which row of which track a detection sees: older ones that are not missing.

    Returns:
        bool (B, G, 1, U, M, T, N), with 1 for M as all detections of a row see the same.
    """
    older = history.times[:, None] < current.times[:, :, None]  # (B, U, T)
    there = ~history.missing[:, :, None, None, None]  # (B, G, 1, 1, 1, T, N)
    seen = older[:, None, None, :, None, :, None] & there
    detections = current.features.shape[3]
    return seen.expand(-1, -1, -1, -1, detections, -1, -1)


def _norms(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
