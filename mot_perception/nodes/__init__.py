"""Lifecycle nodes of ROS 2: thin faces of the engine, the only part that imports rclpy."""
