"""What the networks whose weights are published must compute, recorded beside the checkout."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / 'shared' / 'golden'


@cache
def _filling():
    spec = spec_from_file_location('golden_fill', FOLDER / 'fill.py')
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def recorded(model: str) -> dict[str, np.ndarray]:
    """Return the recorded arrays of a model by name; skip the test where they are not there."""
    file = FOLDER / model / 'golden.npz'
    if not file.is_file():
        pytest.skip(f'golden vectors are not there: {file}')
    with np.load(file) as archive:
        return dict(archive)


def weights(model: str, keys: str = 'keys.txt') -> dict:
    """Return the published state dict by its list of keys, with the values agreed on."""
    import torch

    file = FOLDER / model / keys
    if not file.is_file():
        pytest.skip(f'golden vectors are not there: {file}')
    state = {}
    for line in file.read_text().splitlines():
        if line.startswith('#') or not line.strip():
            continue
        key, shape, dtype = line.split()[:3]
        sides = () if shape == 'scalar' else tuple(map(int, shape.split('x')))
        value = _filling().value(key, sides, model, is_float='float' in dtype)
        state[key] = torch.from_numpy(np.asarray(value).reshape(sides))
    return state
