"""Identity Adapter: a projection that is there in training only, where embeddings are compared."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class IdentityAdapter(nn.Module):
    """Three linear layers onto the unit sphere (φ of §3.4; 0.197 M parameters at width 256).

    Args:
        width: Channels of an embedding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return unit vectors, (…, width) of (…, width)."""
        return functional.normalize(self.layers(embeddings).float(), dim=-1)
