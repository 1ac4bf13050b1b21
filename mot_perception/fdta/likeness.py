"""A first guess for the ID decoder: whoever looks alike is the same.

With random weights all labels mean the same, and it takes thousands of clips until the decoder
finds out that it should copy the label of the most similar track: until then the loss stays at the
logarithm of the number of labels. Here it starts with that rule, and learns what is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from mot_perception.fdta.attention import Attention, SelfAttentionLayer
    from mot_perception.fdta.id_decoder import FeedForward
    from mot_perception.fdta.network import Fdta

CERTAINTY = 8.0
"""Logit of a label when the decoder is sure of it."""
PULL = 2.0
"""Weight of the labels of similar tracks beside `newborn`, which is there from the start."""


@torch.no_grad()
def start_by_likeness(network: Fdta, embeddings: Tensor) -> None:
    """Let the first layer attend to similar embeddings and copy their labels; all others wait.

    Layers that wait add nothing yet: the last matrix of each branch is zero.

    Args:
        network: With a detector that is not new; its other parts are overwritten.
        embeddings: (M, width) of objects in some images; what they have in common tells nobody
            apart, so it is taken off.
    """
    for layer in cast('list[SelfAttentionLayer]', [*network.trajectory_embedding.trca]):
        _wait(layer.self_attn.out_proj, layer.linear2)
    _wait(network.trajectory_modeling.adapter.linear2, network.trajectory_modeling.ffn.linear2)
    decoder = network.id_decoder
    first, *later = cast('list[Attention]', [*decoder.cross_attn_layers])
    beside = cast('list[Attention]', [*decoder.self_attn_layers])
    _wait(*(attention.out_proj for attention in (*later, *beside)))
    _wait(*(layer.linear2 for layer in cast('list[FeedForward]', [*decoder.ffn_layers])))
    width = decoder.width
    words = torch.randn(decoder.newborn + 1, width)
    decoder.word_to_embed.weight.copy_(words.T)
    head = cast('nn.Linear', decoder.embed_to_word_layers[0])
    head.weight.copy_(words * CERTAINTY / width)
    _compare(first, embeddings.float())


def _wait(*layers: nn.Linear) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def _compare(attention: Attention, embeddings: Tensor) -> None:
    """Set up attention to the history: by products of embeddings, sums of labels."""
    width = embeddings.shape[1]
    mean, spread = embeddings.mean(0), embeddings.std(0).clamp(min=1e-3)
    # half of a token is its embedding: each head sees it twice, turned in two ways
    turns = [torch.linalg.qr(torch.randn(width, width))[0] for _ in range(2)]
    view = torch.cat(turns) / spread  # (2·width, width)
    query = torch.cat([view, torch.zeros_like(view)], 1)
    value, out = _labels(width, attention.heads)
    attention.in_proj_weight.copy_(torch.cat([query, query, value]))
    shift = -view @ mean
    attention.in_proj_bias.copy_(torch.cat([shift, shift, torch.zeros_like(shift)]))
    attention.out_proj.weight.copy_(out)


def _labels(width: int, heads: int) -> tuple[Tensor, Tensor]:
    """Return matrices that take the labels apart for the heads, and put them together again.

    Half of a token is its label; each head carries width / heads of it.
    """
    token = 2 * width
    value, out = torch.zeros(token, token), torch.zeros(token, token)
    for channel in range(width):
        head, place = divmod(channel, width // heads)
        row = head * (token // heads) + place
        value[row, width + channel] = 1
        out[width + channel, row] = PULL
    return value, out
