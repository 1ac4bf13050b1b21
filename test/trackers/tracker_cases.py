"""Frames, courses of walkers, and what is compared of two trackers."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.trackers.settings import TrackerConfig
from mot_perception.types import Detections, Frame, Tracks

PERIOD_NS = 50_000_000
PRESETS = ('improved', 'paper', 'release')
COLUMNS = [column.name for column in fields(Tracks)]


def tracker_of(preset='release', **settings):
    return SelfTrEncMotTracker(TrackerConfig(preset=preset, **settings))


def frame(index, stamp_ns=None):
    stamp_ns = index * PERIOD_NS if stamp_ns is None else stamp_ns
    return Frame(stamp_ns=stamp_ns, index=index, width=1280, height=720)


def box(x, y=100, w=40, h=100):
    return [x, y, x + w, y + h]


def show(tracker, index, *boxes, score=0.9, **more):
    """Step one frame with these boxes."""
    detections = Detections.of(np.reshape(boxes, (-1, 4)), np.full(len(boxes), score))
    return tracker.update(frame(index), detections, **more).tracks


class Walker:
    """Somebody who is there for a while, walks straight on, and is not always seen."""

    def __init__(self, rng, born, label):
        self.born, self.gone, self.label = born, born + rng.integers(5, 60), label
        self.size = rng.uniform([20, 50], [60, 150])
        self.place = rng.uniform([0, 0], [1200, 600])
        self.velocity = rng.normal(0, 5, 2)

    def at(self, index, rng):
        corner = self.place + (index - self.born) * self.velocity
        corner = corner + rng.normal(0, 0.01, 2) * self.size
        return np.hstack([corner, corner + self.size * rng.uniform(0.97, 1.03, 2)])


def course(seed, frames=60, walkers=20, invalid=False):
    """Detections of a scene, frame by frame: births, deaths, misses, low scores, false ones."""
    rng = np.random.default_rng(seed)
    people = [Walker(rng, rng.integers(-20, frames), label) for label in range(walkers)]
    for index in range(frames):
        seen = [p for p in people if p.born <= index < p.gone and rng.random() < 0.85]
        boxes = [p.at(index, rng) for p in seen]
        boxes += [rng.uniform(0, 600, 2).repeat(2)[[0, 2, 1, 3]] + [0, 0, 30, 70]]
        labels = [p.label for p in seen] + [walkers]
        scores = np.sqrt(rng.uniform(0.01, 1, len(boxes)))
        detections = Detections.of(boxes, scores, labels)
        yield frame(index), damaged(rng, detections) if invalid else detections


def damaged(rng, detections):
    """Some rows made useless, each in another way."""
    xyxy, score = detections.xyxy.copy(), detections.score.copy()
    for row in np.flatnonzero(rng.random(len(score)) < 0.3):
        kind = rng.integers(6)
        if kind == 0:
            xyxy[row, rng.integers(4)] = rng.choice([np.nan, np.inf, -np.inf])
        elif kind == 1:
            xyxy[row] = xyxy[row, [2, 1, 0, 3]]
        elif kind == 2:
            xyxy[row] = xyxy[row, [0, 3, 2, 1]]
        elif kind == 3:
            xyxy[row, 2:] = xyxy[row, :2]
        elif kind == 4:
            score[row] = rng.choice([np.nan, np.inf, -np.inf])
        else:
            score[row] = rng.choice([-0.1, 1.1, 140])
    return Detections(xyxy, score, detections.label)


def assert_same(one, other):
    """Two `TrackedFrame`s say the same."""
    for name in COLUMNS:
        ours, theirs = getattr(one.tracks, name), getattr(other.tracks, name)
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert one.frame_index == other.frame_index
    assert one.reset_count == other.reset_count
