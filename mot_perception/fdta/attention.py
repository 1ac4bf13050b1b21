"""Multi-head attention and the encoder layer around it, as all parts of FDTA use them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERY, KEY, VALUE = range(3)


class Attention(nn.Module):
    """Multi-head attention with the three projections in one matrix, as checkpoints hold them.

    Its steps can be called one by one, so that keys and values of the past can be kept.

    Args:
        width: Channels of a token.
        heads: Parts that attend on their own.
        zero_key: Adds a key and a value of zeros that everybody sees: a query that sees nothing
            else then gets zeros, not NaN.
        dropout: Of the attention weights, in training.
    """

    def __init__(
        self, width: int, heads: int, zero_key: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads, self.zero_key, self.dropout = heads, zero_key, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def project(self, tokens: Tensor, part: int) -> Tensor:
        """Return QUERY, KEY or VALUE of tokens: (…, L, width) → (…, heads, L, width / heads)."""
        (projected,) = self.split(self.products(tokens, part, part))
        return projected

    def products(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Return parts from `first` to `last` at once: (…, L, width) → (…, L, parts, width)."""
        width = tokens.shape[-1]
        rows = slice(first * width, (last + 1) * width)
        product = functional.linear(tokens, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return product.view(*tokens.shape[:-1], last - first + 1, width)

    def split(self, products: Tensor) -> tuple[Tensor, ...]:
        """Return each part for each head: (…, L, parts, width) → (…, heads, L, width / heads)."""
        channels = products.shape[-1] // self.heads  # not -1, which fails without tokens
        # (…, L, parts, width) → (…, L, parts, heads, C) → (…, L, heads, C) → (…, heads, L, C)
        parts = products.view(*products.shape[:-1], self.heads, channels).unbind(-3)
        return tuple(part.transpose(-3, -2) for part in parts)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return what the queries gather.

        Args:
            query: (…, heads, Lq, C).
            key: (…, heads, Lk, C).
            value: Like key.
            mask: (…, heads or 1, Lq, Lk): True where a query sees a key, or a float that is added
                to their product. None: everybody sees everything.

        Returns:
            (…, Lq, width).
        """
        if self.zero_key:
            key, value = functional.pad(key, (0, 0, 0, 1)), functional.pad(value, (0, 0, 0, 1))
            if mask is not None:
                mask = functional.pad(mask, (0, 1), value=float(mask.dtype == torch.bool))
        return self.gather(query, key, value, mask)

    def gather(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Do what `attend` does, without adding the key of zeros."""
        dropout = self.dropout if self.training else 0.0
        gathered = functional.scaled_dot_product_attention(query, key, value, mask, dropout)
        # (…, heads, Lq, C) → (…, Lq, heads, C) → (…, Lq, width)
        mixed: Tensor = self.out_proj(gathered.transpose(-3, -2).flatten(-2))
        return mixed

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return what tokens (…, Lq, width) gather from tokens (…, Lk, width); see `attend`.

        What is the same tensor is multiplied at once.
        """
        if query is key and key is value:
            query, key, value = self.split(self.products(query, QUERY, VALUE))
        elif query is key:
            query, key = self.split(self.products(query, QUERY, KEY))
            value = self.project(value, VALUE)
        else:
            query = self.project(query, QUERY)
            if key is value:
                key, value = self.split(self.products(key, KEY, VALUE))
            else:
                key, value = self.project(key, KEY), self.project(value, VALUE)
        return self.attend(query, key, value, mask)


class SelfAttentionLayer(nn.Module):
    """Self-attention and feed-forward, each added and then normalised.

    Args:
        width: Channels of a token.
        heads: Of the attention.
        hidden: Channels inside the feed-forward.
        dropout: In training, of the attention and of what is added.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout=dropout)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, position: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return new tokens (…, L, width); the position goes to queries and keys alone."""
        placed = tokens + position
        return self.finish(tokens, self.self_attn(placed, placed, tokens, mask))

    def finish(self, tokens: Tensor, gathered: Tensor) -> Tensor:
        """Return new tokens from the old ones and from what the attention gathered."""
        tokens = self.norm1(tokens + self.dropout(gathered))
        hidden = self.dropout(functional.relu(self.linear1(tokens), inplace=True))
        renewed: Tensor = self.norm2(tokens + self.dropout(self.linear2(hidden)))
        return renewed
