"""Start the detector alone, for a tracker on another machine that has `detections:=topic`."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from mot_perception.nodes.launching import DETECTOR, declare, make_node


def generate_launch_description():
    """Return the arguments, and the node that they describe."""
    return LaunchDescription([*declare(DETECTOR), OpaqueFunction(function=launch_nodes)])


def launch_nodes(context):
    """Return the detector."""
    return [make_node(DETECTOR, context)]
