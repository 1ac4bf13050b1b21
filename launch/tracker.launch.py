"""Start the tracker: `ros2 launch mot_perception tracker.launch.py image:=/camera/image_raw`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from mot_perception.nodes.launching import TRACKER, declare, make_node, make_rviz, truth


def generate_launch_description():
    """Return the arguments, and the node that they describe."""
    return LaunchDescription(
        [
            *declare(TRACKER),
            DeclareLaunchArgument(
                'rviz', default_value='false', description='Start RViz, looking at this tracker.'
            ),
            DeclareLaunchArgument(
                'fixed_frame',
                default_value='camera_color_optical_frame',
                description='Frame that RViz shows: the frame_id of the images.',
            ),
            OpaqueFunction(function=launch_nodes),
        ]
    )


def launch_nodes(context):
    """Return the tracker, and RViz where it is wanted."""
    nodes = [make_node(TRACKER, context)]
    given = context.launch_configurations
    if truth('rviz', given['rviz']):
        nodes.append(make_rviz(given))
    return nodes
