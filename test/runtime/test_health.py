from __future__ import annotations

import pytest

from mot_perception.runtime import health as module
from mot_perception.runtime.health import OK, WARN, Health


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told to."""

    class Clock:
        now = 100.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, 'monotonic', clock)
    return clock


def test_silence_is_told_with_the_name_of_the_topic(clock):
    health = Health(2.0, {'image': '/camera/image_raw', 'depth': '/camera/depth'})
    assert health.diagnose().level == OK
    clock.now += 3
    assert health.diagnose().message == 'no image yet on /camera/image_raw'
    health.arrived('image')
    assert health.diagnose().message == 'no depth yet on /camera/depth'
    health.arrived('depth')
    assert health.diagnose().level == OK
    clock.now += 10
    assert health.diagnose().level == WARN
    assert health.diagnose().message == 'no image for 10 s on /camera/image_raw'


def test_rate_and_percentiles(clock):
    health = Health(2.0, {'image': '/image'})
    for number in range(31):
        health.arrived('image')
        health.finished(latency_ns=number * 1_000_000, processing_ns=2_000_000, objects=number)
        clock.now += 0.1
    values = health.diagnose().values
    assert values['frames/s'] == '10.0'
    assert values['latency p50 ms'] == '15.0'
    assert values['latency p95 ms'] == '28.5'
    assert values['processing p95 ms'] == '2.0'
    assert values['frames'] == '31'
    assert values['objects'] == '30'
    clock.now += 60
    assert health.rate == 0


def test_a_fault_is_news_once_and_counted_always(clock):
    health = Health(2.0, {})
    assert health.fault('image of 7×9 pixels')
    assert not health.fault('image of 8×9 pixels')  # of the same kind
    assert health.fault('cut off')
    assert health.faults == 3
    assert health.diagnose().level == WARN
    clock.now += 60
    assert health.diagnose().level == OK
    assert health.diagnose().values['faults'] == '3'


def test_kinds_of_faults_are_bounded(clock):
    health = Health(2.0, {})
    told = sum(health.fault('x' * n) for n in range(10_000))
    assert told == module.KINDS_REMEMBERED + 1
    assert health.faults == 10_000
