"""A network small enough to be built for every test, and the golden numbers of the full one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('torch')

GOLDEN = Path(__file__).resolve().parents[3] / 'shared' / 'golden'


@pytest.fixture(scope='session')
def golden() -> Path:
    """Folder of the golden numbers, never part of this repository."""
    if not (GOLDEN / 'fdta').is_dir():
        pytest.skip(f'golden numbers are not there: {GOLDEN}')
    return GOLDEN


@pytest.fixture(scope='session')
def fill(golden: Path) -> Any:
    """The rule that fills a network with the weights of the golden numbers."""
    spec = importlib.util.spec_from_file_location('golden_fill', golden / 'fill.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny() -> Any:
    """Settings of a network of 0.2 million parameters, with all that the full one has."""
    from mot_perception.fdta.settings import FdtaSettings

    return FdtaSettings.model_validate(
        {
            'window': 6,
            'detector': {
                'queries': 7,
                'width': 32,
                'heads': 4,
                'points': 2,
                'encoder_layers': 1,
                'decoder_layers': 2,
                'hidden': 48,
                'blocks': (1, 1, 1, 1),
                'stem': 4,
            },
            'spatial': {'bins': 12},
            'temporal': {'layers': 2, 'heads': 4, 'hidden': 48},
            'identity': {'identities': 9, 'layers': 3, 'heads': 4},
        }
    )
