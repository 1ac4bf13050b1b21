"""How attention is spread, seen from beside: the network computes as ever."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from mot_perception.fdta.attention import Attention


@contextmanager
def attention_weights(attentions: Sequence[Attention]) -> Iterator[list[list[Tensor]]]:
    """Note the weights of some attentions while this is entered.

    Args:
        attentions: Parts of a network; none with a key of zeros.

    Yields:
        For each of them a list that gets one float32 (…, Lq, Lk) at each call, on the CPU: the
        mean over its heads. Rows sum to 1.
    """
    noted: list[list[Tensor]] = [[] for _ in attentions]
    for attention, calls in zip(attentions, noted, strict=True):
        # An attribute of the object hides the method of its class.
        vars(attention)['attend'] = partial(_noting, attention.attend, calls)
    try:
        yield noted
    finally:
        for attention in attentions:
            del vars(attention)['attend']


def mean_weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Return the weights of a call of `Attention.attend`, the mean over heads, (…, Lq, Lk)."""
    heads = query.shape[-3]
    total: Any = 0
    for head in range(heads):  # one by one: depth tokens are many
        one, other = query[..., head, :, :].float(), key[..., head, :, :].float()
        logits = one @ other.transpose(-1, -2) / one.shape[-1] ** 0.5
        if mask is not None:
            part = mask[..., head if mask.shape[-3] > 1 else 0, :, :]
            whole = part.dtype != torch.bool
            logits = logits + part if whole else logits.masked_fill(~part, -torch.inf)
        total = total + logits.softmax(-1)
    weights: Tensor = total / heads
    return weights


def _noting(
    attend: Any,
    calls: list[Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
) -> Any:
    calls.append(mean_weights(query, key, mask).cpu())
    return attend(query, key, value, mask)
