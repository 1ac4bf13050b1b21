"""Tracks objects in camera images."""

from __future__ import annotations

import sys
from typing import Any

from mot_perception.nodes.perception_node import PerceptionNode
from mot_perception.nodes.running import run


class TrackerNode(PerceptionNode):
    """Tracks objects in camera images; see docs/tracker_node.md.

    Args:
        arguments: Those of `rclpy.node.Node`.
    """

    task = 'track'

    def __init__(self, **arguments: Any) -> None:
        super().__init__('tracker_node', **arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the node; return the exit code."""
    return run(TrackerNode, arguments)


if __name__ == '__main__':
    sys.exit(main())
