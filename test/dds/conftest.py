"""Every test here has its own domain, and needs Cyclone DDS."""

from __future__ import annotations

import pytest
from dds_world import ENVIRONMENT

pytest.importorskip('cyclonedds', reason='cyclonedds is not installed')


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> int:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return int(ENVIRONMENT['ROS_DOMAIN_ID'])
