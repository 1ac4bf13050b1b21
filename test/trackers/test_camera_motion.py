"""A camera that moves: everything remembered goes along, once."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import PRESETS, box, frame, show, tracker_of

from mot_perception.boxes import warp
from mot_perception.types import Detections

SHIFT = np.array([[1, 0, 10], [0, 1, 10]], float)


def remembered(tracker):
    memory = tracker.tracklets
    return {
        'last': memory['last'].copy(),
        'boxes': memory['boxes'][memory['ages'] >= 0].copy(),
        'filter': memory.bank.boxes(len(memory)),
        'prior': memory['prior'][:, 0, :2].copy(),
    }


@pytest.mark.parametrize('preset', PRESETS)
def test_ten_pixels_move_every_stored_box_by_ten_pixels(preset):
    still, moving = tracker_of(preset, clock='frames'), tracker_of(preset, clock='frames')
    people = box(-61, -81), box(400)
    given = np.array(people, float)
    for tracker in (still, moving):
        for index in range(6):
            tracker.update(frame(index), Detections.of(given))
        show(tracker, 6, people[1])
    show(still, 7)
    show(moving, 7, camera_motion=SHIFT)
    before, after = remembered(still), remembered(moving)
    for name in ('last', 'boxes', 'filter'):
        np.testing.assert_allclose(after[name], before[name] + 10, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(after['prior'], before['prior'] + 10, atol=1e-9)
    np.testing.assert_array_equal(given, people)


@pytest.mark.parametrize('preset', PRESETS)
def test_a_standing_object_under_a_panning_camera_stands(preset):
    pan = np.array([[1, 0, -70], [0, 1, 0]], float)
    with_it, without = tracker_of(preset), tracker_of(preset)
    for index in range(10):
        seen = box(900 - 70 * index)
        known = show(with_it, index, seen, camera_motion=pan if index else None)
        lost = show(without, index, seen)
    assert known.id.tolist() == [1]
    assert known.velocity[0] == pytest.approx([0, 0], abs=1e-6)
    assert known.age.tolist() == [9]
    assert lost.id.max() > 1


@pytest.mark.parametrize('preset', PRESETS)
def test_one_turns_the_camera_while_one_is_hidden(preset):
    """Found again where the camera's turns have carried him, and his gap re-lived there."""
    turn = np.array([[0.98, -0.02, 12], [0.02, 0.98, -5]])
    tracker, place = tracker_of(preset), np.array(box(500, 300), float)
    show(tracker, 0, place)
    for index in range(1, 16):
        place = warp(place, turn)
        seen = [] if 8 <= index < 12 else [place]
        tracks = show(tracker, index, *seen, camera_motion=turn)
    assert tracks.id.tolist() == [1]
    assert tracks.detection.tolist() == [0]
    assert np.abs(tracks.velocity).max() < 5


@pytest.mark.parametrize('preset', PRESETS)
def test_an_unmoved_camera_is_no_camera(preset):
    one, other = tracker_of(preset), tracker_of(preset)
    for index in range(12):
        seen = [] if index in (6, 7) else [box(100 + 6 * index), box(300 - 6 * index)]
        ours, theirs = (
            show(one, index, *seen),
            show(other, index, *seen, camera_motion=np.eye(2, 3)),
        )
        np.testing.assert_allclose(ours.xyxy, theirs.xyxy, atol=1e-9)
        np.testing.assert_array_equal(ours.id, theirs.id)
