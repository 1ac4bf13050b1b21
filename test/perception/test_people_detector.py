"""OpenCV's people detector: finds figures, judges them in 0 … 1, takes any image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mot_perception.boxes import iou
from mot_perception.perception.people_detector import PeopleDetector

TRUTH = np.array([[100, 100, 172, 300], [400, 150, 486, 390]], float)
BODY = [
    (0.15, 0.18),
    (0.85, 0.18),
    (0.95, 0.5),
    (0.8, 0.52),
    (0.78, 0.98),
    (0.58, 1),
    (0.5, 0.6),
    (0.42, 1),
    (0.22, 0.98),
    (0.2, 0.52),
    (0.05, 0.5),
]
"""A silhouette's outline as shares of its box."""


def draw(image, box, grey=40):
    corner, size = box[:2], box[2:] - box[:2]
    head = (corner + (0.5, 0.08) * size).astype(int)
    cv2.ellipse(
        image,
        head.tolist(),
        (0.08 * size[[1, 1]]).astype(int).tolist(),
        0,
        0,
        360,
        (grey,) * 3,
        -1,
    )
    cv2.fillPoly(image, [(corner + BODY * size).round().astype(np.int32)], (grey,) * 3)


@pytest.fixture(scope='module')
def picture():
    image = np.full((480, 640, 3), 200, np.uint8)
    for box in TRUTH:
        draw(image, box)
    return cv2.GaussianBlur(image, (0, 0), 2)


def test_finds_who_is_there_and_nobody_else(picture):
    (found,) = PeopleDetector().detect([picture])
    assert len(found) == 2
    assert iou(found.xyxy, TRUTH).max(0).min() > 0.6
    assert (found.score > 0.8).all()  # enough to start a track
    assert (np.diff(found.score) <= 0).all()
    assert found.valid().all()
    assert PeopleDetector.class_names[found.label[0]] == 'person'


def test_each_image_for_itself(picture):
    empty = np.full((200, 300, 3), 90, np.uint8)
    one, none, again = PeopleDetector().detect([picture, empty, picture])
    assert len(none) == 0
    np.testing.assert_array_equal(one.xyxy, again.xyxy)
    assert PeopleDetector().detect([]) == []


@pytest.mark.parametrize('factor', [0.5, 3.0])
def test_boxes_are_in_pixels_of_the_image(picture, factor):
    scaled = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    (found,) = PeopleDetector().detect([scaled])
    assert iou(found.xyxy / factor, TRUTH).max(0).min() > 0.6


def test_lowest_score(picture):
    """A lower threshold adds boxes after the others, and changes none of them."""
    noise = np.random.default_rng(0).normal(0, 25, picture.shape)
    noisy = np.clip(picture + cv2.GaussianBlur(noise, (0, 0), 3) * 4, 0, 255).astype(np.uint8)
    found = {score: PeopleDetector(score).detect([noisy])[0] for score in (0.0, 0.05, 0.5, 1.0)}
    assert len(found[0.0]) >= len(found[0.05]) > len(found[0.5]) > len(found[1.0]) == 0
    for score, boxes in found.items():
        assert (boxes.score >= score).all()
        np.testing.assert_array_equal(boxes.xyxy, found[0.0].xyxy[: len(boxes)])


def test_parts_of_a_better_box_are_left_out(picture):
    (found,) = PeopleDetector(0.0).detect([picture])
    for row, box in enumerate(found.xyxy):
        low, high = np.maximum(found.xyxy[:, :2], box[:2]), np.minimum(found.xyxy[:, 2:], box[2:])
        shared = np.clip(high - low, 0, None).prod(1)
        area = (found.xyxy[:, 2:] - found.xyxy[:, :2]).prod(1)
        assert (np.delete(shared / np.minimum(area, area[row]), row) <= 0.7).all()


@pytest.mark.parametrize('size', [(1, 1), (1, 3000), (3000, 1), (50, 50), (127, 63), (130, 2)])
def test_any_size(size):
    """OpenCV reads beyond images smaller than its window, if it is let."""
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    (found,) = PeopleDetector(0.0).detect([image])
    assert found.valid().all()


def test_views_of_larger_arrays(picture):
    view = np.stack([picture, picture], axis=3)[..., 0]
    assert not view.flags.c_contiguous
    (found,), (expected,) = PeopleDetector().detect([view]), PeopleDetector().detect([picture])
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)


def test_real_street(shared_data):
    """On TUD-Stadtmitte; `benchmarks/people.py` shows the numbers over all frames."""
    folder = shared_data / 'frames/TUD-Stadtmitte'
    rows = np.loadtxt(folder / 'gt/gt.txt', delimiter=',')
    right = found = total = 0
    for number in (20, 70, 120, 170):
        truth = rows[rows[:, 0] == number, 2:6]
        truth[:, 2:] += truth[:, :2]
        (seen,) = PeopleDetector(0.6).detect([cv2.imread(str(folder / f'img1/{number:06d}.jpg'))])
        right += np.count_nonzero(iou(seen.xyxy, truth).max(1, initial=0) >= 0.5)
        found, total = found + len(seen), total + len(truth)
    assert right / found > 0.8
    assert right / total > 0.5
