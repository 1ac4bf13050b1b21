"""The two ways to track: what is seen in a frame, and what of it tells who is who."""
