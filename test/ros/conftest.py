"""Tests on the real ROS 2: nodes in this process, spun by a thread; skipped without rclpy."""

from __future__ import annotations

import os

# Field checks are off unless asked for before the messages are imported; then an int in a float
# field would be published as 0.0.
os.environ.setdefault('ROS_PYTHON_CHECK_FIELDS', '1')

import pytest


@pytest.fixture(scope='session')
def ros():
    """Keep rclpy initialised; what is compiled at its first use is compiled before the tests."""
    import rclpy
    from ros_stand import warm_up

    warm_up()
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def stand(ros, monkeypatch, request):
    """Return a test stand with its own names; it is taken down afterwards."""
    from ros_stand import Stand

    built = Stand(request.node.name, monkeypatch)
    yield built
    built.close()
