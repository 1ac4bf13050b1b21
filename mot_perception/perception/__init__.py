"""What is seen in a frame beside boxes: masks, depth, appearance; models behind protocols."""
