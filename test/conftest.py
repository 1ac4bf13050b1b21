"""What all tests share: the device they run on, and the real data beside the checkout."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# Compilation happens in the first example of some tests: time says nothing.
hypothesis.settings.register_profile('project', deadline=None)
hypothesis.settings.load_profile('project')

SHARED = Path(__file__).resolve().parents[2] / 'shared' / 'data'


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--device', default='cpu', help='torch device of the tensor tests')


@pytest.fixture(scope='session')
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption('--device'))


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder of the real sequences, never part of this repository."""
    if not SHARED.is_dir():
        pytest.skip(f'real sequences are not there: {SHARED}')
    return SHARED
