"""Everything that a training needs to go on, on disk: whole, or not there."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import load_weights, read_pickle, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mot_perception.training.processes import Processes

FOLDER = re.compile('step-([0-9]{9})')
STATE = 'state.pt'


class Kept(Protocol):
    """What has a state: networks, optimisers, schedules, scalers."""

    def state_dict(self) -> Any:
        """Return it."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take it over."""


def save(folder: Path, step: int, kept: Mapping[str, Kept], about: Mapping[str, Any]) -> None:
    """Write `folder/step-…`, and delete the one before.

    Networks become `<name>.safetensors`; all else is in `state.pt`, tensors and numbers only.
    A kill at any time leaves the one before or the new one.

    Args:
        folder: Where checkpoints are.
        step: Steps done.
        kept: What has a state, by name.
        about: Numbers and texts to remember.

    Raises:
        UserError: The disk refuses.
    """
    part = folder / 'unfinished'
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    networks = {k: it for k, it in kept.items() if isinstance(it, torch.nn.Module)}
    try:
        for name, network in networks.items():
            save_file(_apart(network), part / f'{name}.safetensors')
    except SafetensorError as error:  # what the operating system says is within
        raise UserError(
            f'{folder}: cannot be written ({error}); the checkpoint before is kept'
        ) from None
    others = {name: it.state_dict() for name, it in kept.items() if name not in networks}
    torch.save({'kept': others, 'about': json.dumps(dict(about))}, part / STATE)
    for file in part.iterdir():
        _to_disk(file)
    before = _all(folder)
    place = folder / f'step-{step:09}'
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    for old in before:
        if old != place:
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, kept: Mapping[str, Kept], here: Processes) -> dict[str, Any] | None:
    """Restore the newest checkpoint.

    Args:
        folder: Where checkpoints are.
        kept: What was given to `save`; it is overwritten.
        here: Where tensors go.

    Returns:
        What `save` was told to remember; None if there is no checkpoint.

    Raises:
        UserError: It is damaged, or was made of something else.
    """
    found = _all(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        state = read_pickle(newest / STATE)
        about = json.loads(state['about'])
        for name, it in kept.items():
            if isinstance(it, torch.nn.Module):
                file = newest / f'{name}.safetensors'
                load_weights(it, read_weights(file), file, name)
            else:
                it.load_state_dict(state['kept'][name])
    except UserError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes say
        raise UserError(
            f'{newest}: cannot be gone on with ({type(error).__name__}); delete the folder of '
            'this run, or choose another --out'
        ) from None
    if not isinstance(about, dict):
        raise UserError(f'{newest}: no checkpoint of a training; choose another --out')
    here.wait()  # nobody replaces it while others read
    return about


def _apart(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a network; what has several names is there several times."""
    seen: set[int] = set()
    tensors = {}
    for key, tensor in network.state_dict().items():
        whole = tensor.detach().contiguous()
        tensors[key] = whole.clone() if whole.data_ptr() in seen else whole
        seen.add(whole.data_ptr())
    return tensors


def _all(folder: Path) -> list[Path]:
    """Return the finished checkpoints, the newest last."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if FOLDER.fullmatch(path.name))


def _to_disk(file: Path) -> None:
    """Wait until a file's bytes would survive a loss of power."""
    with file.open('rb') as stream:
        os.fsync(stream.fileno())
