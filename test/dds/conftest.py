"""Every test here has its own domain, and needs Cyclone DDS."""

from __future__ import annotations

import pytest
from dds_world import enter_new_domain

pytest.importorskip('cyclonedds', reason='cyclonedds is not installed')


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    enter_new_domain(monkeypatch)
