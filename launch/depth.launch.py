"""Start the depth estimator alone, for a tracker on another machine that has `depth:=<topic>`."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from mot_perception.nodes.launching import DEPTH, declare, make_node


def generate_launch_description():
    """Return the arguments, and the node that they describe."""
    return LaunchDescription([*declare(DEPTH), OpaqueFunction(function=launch_nodes)])


def launch_nodes(context):
    """Return the depth estimator."""
    return [make_node(DEPTH, context)]
