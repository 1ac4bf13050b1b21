"""Frames from serialised messages."""

from __future__ import annotations

from mot_perception.messages import frames


def test_types_are_loaded_before_the_first_message(monkeypatch):
    """Else the thread that receives would stand still, and detections would come too late."""
    loaded = []
    monkeypatch.setattr(frames, 'typestore', lambda: loaded.append(True))
    frames.FrameReader({}, {})
    assert loaded
