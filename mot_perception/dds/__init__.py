"""A DDS participant that ROS 2 nodes see as one of theirs, where ROS is not installed."""
