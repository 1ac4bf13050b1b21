"""Where networks run, and what is said where that does not go."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import torch

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


HalfName = Literal['float16', 'bfloat16']
"""Half precision: more digits, or the reach of float32."""


def choose_device(name: str) -> torch.device:
    """Return the device that a name means; 'auto' is a GPU where there is one.

    Raises:
        UserError: It is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == 'auto':
        name = 'cuda' if count else 'cpu'
    device = torch.device(name)
    if device.type == 'cuda' and (device.index or 0) >= count:
        raise UserError(
            f"models.device {name!r}: torch can use {count} GPUs here; set 'auto' or 'cpu'"
        )
    return device


@contextmanager
def inference(
    model: str,
    device: torch.device,
    half: bool,
    lower: str = 'take a smaller network',
    number: HalfName = 'float16',
) -> Iterator[None]:
    """Compute without gradients; with half precision if it is wanted and the device a GPU.

    Args:
        model: Name of what computes, for errors.
        device: Where.
        half: Take half precision where that suffices (autocast).
        lower: What makes the model need less memory, for errors.
        number: Which half precision.

    Raises:
        UserError: The device's memory does not suffice.
    """
    mixed = half and device.type == 'cuda'
    precision = torch.autocast('cuda', getattr(torch, number)) if mixed else nullcontext()
    try:
        with torch.inference_mode(), precision:
            yield
    except torch.OutOfMemoryError:
        raise UserError(
            f'{model}: the memory of {device} does not suffice; {lower}, or set '
            "models.device 'cpu'"
        ) from None


def weights_on_gpu(network: torch.nn.Module | None, device: torch.device) -> int:
    """Return the bytes that a network's weights take of a GPU; 0 on the CPU, or without it."""
    if device.type != 'cuda' or network is None:
        return 0
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def free(device: torch.device) -> None:
    """Give the memory of networks that are gone back to the GPU, if it is one."""
    if device.type == 'cuda':
        torch.cuda.empty_cache()
