"""Estimates depth in camera images: for a machine of its own."""

from __future__ import annotations

import sys
from typing import Any

from mot_perception.nodes.perception_node import PerceptionNode
from mot_perception.nodes.running import run


class DepthNode(PerceptionNode):
    """Estimates depth in camera images: for a machine of its own; see docs/depth_node.md.

    Args:
        arguments: Those of `rclpy.node.Node`.
    """

    task = 'depth'

    def __init__(self, **arguments: Any) -> None:
        super().__init__('depth_node', **arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the node; return the exit code."""
    return run(DepthNode, arguments)


if __name__ == '__main__':
    sys.exit(main())
