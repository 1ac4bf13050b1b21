"""Trackers: detections in, identities out."""
