"""Waits until a topic of tracks has been quiet for some seconds: tells when a replay is over."""

from __future__ import annotations

import sys
from time import monotonic

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data

from mot_perception.msg import TrackedObjectArray


def main(arguments: list[str]) -> int:
    """Run until no message has come for a while.

    Args:
        arguments: Name of the topic, and how many seconds make a while.

    Returns:
        The exit code.
    """
    topic, seconds = arguments[0], float(arguments[1])
    last = monotonic()

    def receive(_: bytes) -> None:
        nonlocal last
        last = monotonic()

    try:
        rclpy.init()
        node = rclpy.create_node('quiet')
        node.create_subscription(
            TrackedObjectArray, topic, receive, qos_profile_sensor_data, raw=True
        )
        while monotonic() - last < seconds:
            rclpy.spin_once(node, timeout_sec=0.1)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
