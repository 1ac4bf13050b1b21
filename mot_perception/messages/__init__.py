"""ROS messages without ROS: types, mapping, image codec, serialised bytes."""
