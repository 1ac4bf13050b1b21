"""Scores, post-processing, and the report of what a tracker said."""
