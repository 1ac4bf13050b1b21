"""What every loss returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Summed:
    """A loss before it is divided.

    Attributes:
        total: Sum over what counts, a float32 scalar with gradients.
        count: By what it is divided, a float32 scalar.
    """

    total: Tensor
    count: Tensor

    def mean(self, count: Tensor | None = None) -> Tensor:
        """Return the loss; exactly 0, with gradients of 0, where nothing counts.

        Args:
            count: Of all processes instead of this one's, over their number.
        """
        divisor = self.count if count is None else count
        return self.total / divisor if float(divisor) > 0 else self.total * 0
