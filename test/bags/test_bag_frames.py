"""Frames of a bag in any order are those that are read from its start."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_bag_reading import scene_item

from mot_perception.bags.bag_frames import BagFrames
from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.source import open_source
from mot_perception.bags.topics import Topics
from mot_perception.errors import UserError

COUNT = 9


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Nine frames; one has no depth, one no ground truth."""
    path = tmp_path_factory.mktemp('bags') / 'recording'
    items = [scene_item(k, seed=3) for k in range(COUNT)]
    items[4] = replace(items[4], frame=replace(items[4].frame, depth=None))
    items[6] = replace(items[6], ground_truth=None)
    with SceneBagWriter(path) as writer:
        for item in items:
            writer.write(item)
    return path


def assert_same(one, other):
    assert one.frame.stamp_ns == other.frame.stamp_ns
    assert (one.frame.image == other.frame.image).all()
    assert (one.frame.depth is None) == (other.frame.depth is None)
    if one.frame.depth is not None:
        assert one.frame.depth.tobytes() == other.frame.depth.tobytes()
    assert (one.ground_truth is None) == (other.ground_truth is None)
    if one.ground_truth is not None:
        assert (one.ground_truth.ids == other.ground_truth.ids).all()
        assert (one.ground_truth.xyxy == other.ground_truth.xyxy).all()


def test_any_order_is_right(bag):
    frames = BagFrames(bag)
    (sequence,) = open_source(bag, topics=Topics(detections=''))
    expected = list(sequence)
    assert len(frames) == len(expected) == COUNT
    for number in np.random.default_rng(0).permutation(COUNT):
        assert_same(frames[number], expected[number])
    assert frames[4].frame.depth is None
    assert frames[6].ground_truth is None
    assert [None if it is None else len(it.ids) for it in frames.truths] == [
        0, 1, 2, 0, 1, 2, None, 1, 2,
    ]  # fmt: skip
    assert frames.period == pytest.approx(1 / 30, rel=1e-3)
    frames.close()


def test_other_processes_open_it_for_themselves(bag, monkeypatch):
    frames = BagFrames(bag)
    frames[0]
    sent = pickle.loads(pickle.dumps(frames))
    assert_same(sent[5], frames[5])
    mine = frames._open()
    assert frames._open() == mine
    monkeypatch.setattr(os, 'getpid', lambda: -1)  # as after a fork
    theirs = frames._open()
    assert theirs[0] is not mine[0]
    mine[0].__exit__(None, None, None)
    assert_same(frames[2], sent[2])
    for it in (frames, sent):
        it.close()


def test_a_bag_that_changed_is_refused(bag, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(bag, copy)
    frames = BagFrames(copy)
    with SceneBagWriter(copy, force=True) as writer:
        writer.write(scene_item(20))
    with pytest.raises(UserError, match='changed while it was read'):
        frames[3]
    frames.close()


def test_a_bag_without_images_is_refused(tmp_path):
    item = scene_item(1)
    with SceneBagWriter(tmp_path / 'bag') as writer:
        writer.write(replace(item, frame=replace(item.frame, image=None, depth=None)))
    with pytest.raises(UserError, match='neither images nor detections to read'):
        BagFrames(tmp_path / 'bag')
