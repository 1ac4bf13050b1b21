"""Depth × mask as an association cue: fusion and vectors."""
