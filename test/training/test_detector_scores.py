"""Average precision against pycocotools, and against numbers worked out by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from mot_perception.training.detector_images import Labelled
from mot_perception.training.detector_scores import score_detector
from mot_perception.types import Detections

NOTHING = np.zeros((0, 4))


def labelled(xyxy, ignored=NOTHING):
    return Labelled(
        np.zeros((100, 100, 3), np.uint8), np.reshape(xyxy, (-1, 4)).astype(float), ignored
    )


def found(xyxy, score):
    xyxy = np.reshape(xyxy, (-1, 4)).astype(float)
    return Detections.of(xyxy, np.array(score, float), np.zeros(len(xyxy)))


def random_images(seed):
    """Return truth and boxes of 12 images: found, missed, doubled, displaced, made up."""
    random = np.random.default_rng(seed)
    wanted, boxes = [], []
    for _ in range(12):
        start = random.uniform(0, 60, (int(random.integers(7)), 2))
        people = np.concatenate([start, start + random.uniform(10, 40, start.shape)], 1)
        ignored = random.random(len(people)) < 0.2
        seen = people[random.random(len(people)) < 0.85]
        seen = np.concatenate([seen, seen[:2]])
        moved = seen + random.normal(0, 1, seen.shape)
        start = random.uniform(0, 60, (2, 2))
        made_up = np.concatenate([start, start + random.uniform(10, 40, (2, 2))], 1)
        every = np.concatenate([moved, made_up])
        wanted.append(labelled(people[~ignored], people[ignored]))
        boxes.append(found(every, random.permutation(1000)[: len(every)] / 1000))
    return boxes, wanted


def coco_scores(boxes, wanted):
    """Return AP at 0.5 and over all overlaps, as COCO's own program says."""
    coco = pytest.importorskip('pycocotools.coco')
    cocoeval = pytest.importorskip('pycocotools.cocoeval')

    def xywh(xyxy):
        return [float(x) for x in (*xyxy[:2], *(xyxy[2:] - xyxy[:2]))]

    truth, answers = coco.COCO(), []
    rows = []
    for image, seen in enumerate(wanted, 1):
        for box, crowd in [*((b, 0) for b in seen.xyxy), *((b, 1) for b in seen.ignored)]:
            placed = xywh(box)
            rows.append(
                {
                    'id': len(rows) + 1,
                    'image_id': image,
                    'category_id': 1,
                    'bbox': placed,
                    'area': placed[2] * placed[3],
                    'iscrowd': crowd,
                }
            )
    for image, given in enumerate(boxes, 1):
        for box, score in zip(given.xyxy, given.score, strict=True):
            answers.append(
                {'image_id': image, 'category_id': 1, 'bbox': xywh(box), 'score': float(score)}
            )
    truth.dataset = {
        'info': {},
        'images': [{'id': k + 1} for k in range(len(wanted))],
        'categories': [{'id': 1}],
        'annotations': rows,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(answers), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[1], evaluation.stats[0]


@pytest.mark.parametrize('seed', range(4))
def test_precision_is_that_of_pycocotools(seed):
    boxes, wanted = random_images(seed)
    scores = score_detector(boxes, wanted)
    ap50, ap = coco_scores(boxes, wanted)
    assert 0.1 < ap < ap50 < 1
    assert scores.ap50 == pytest.approx(ap50, abs=1e-9)
    assert scores.ap == pytest.approx(ap, abs=1e-9)


def test_by_hand():
    wanted = [labelled([[0, 0, 10, 10], [20, 0, 30, 10]]), labelled([[0, 0, 10, 10]])]
    boxes = [
        found([[0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 10]], [0.9, 0.7, 0.5]),
        found([[0, 0, 10, 10], [1, 1, 10, 10]], [0.65, 0.4]),
    ]
    scores = score_detector(boxes, wanted)
    # Right, wrong, right, right, wrong in the order of scores.
    steps = [1] * 34 + [3 / 4] * 67
    assert scores.ap50 == pytest.approx(np.mean(steps))
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.birth_recall == pytest.approx(1 / 3)


def test_boxes_in_ignored_people_are_not_counted():
    wanted = [labelled([[0, 0, 10, 10]], np.array([[40.0, 40, 60, 80]]))]
    boxes = [found([[0, 0, 10, 10], [42, 42, 58, 60]], [0.8, 0.9])]
    assert score_detector(boxes, wanted) == pytest.approx((1, 1, 1, 1, 1))


@pytest.mark.parametrize('people', [[], [[0, 0, 10, 10]]])
def test_nothing_found_and_nobody_there_score_zero(people):
    assert score_detector([found([], [])], [labelled(people)]) == (0, 0, 0, 0, 0)
