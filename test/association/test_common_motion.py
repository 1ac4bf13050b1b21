"""The displacement that all objects share is the camera's; what one does alone is his own."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.association.common_motion import common_motion

PREDICTED = np.array(
    [[0, 0, 40, 100], [200, 50, 240, 150], [500, -20, 540, 80], [300, 0, 340, 100]], float
)


def seen(*ways):
    return PREDICTED[: len(ways)] + np.tile(np.array(ways, float), 2)


@pytest.mark.parametrize(
    ('ways', 'shift'),
    [
        ([(12, -5)] * 4, (12, -5)),  # all alike
        ([(12, -5)] * 3 + [(-90, 3)], (12, -5)),  # one of them goes elsewhere
        ([(12, -5)] * 2, (0, 0)),  # two are too few to tell
        ([(1, -1)] * 4, (0, 0)),  # jitter
        ([(30, 0), (-30, 0), (0, 30), (0, -30)], (0, 0)),  # they part: nothing in common
        ([(40, 0), (-30, 0), (40, 0), (-30, 0)], (0, 0)),  # two ways: no agreement
        ([(0, 0)] * 4, (0, 0)),
        ([], (0, 0)),
    ],
)
def test_common_motion(ways, shift):
    boxes = seen(*ways) if ways else np.empty((0, 4))
    result = common_motion(boxes, PREDICTED[: len(ways)], 1.0)
    np.testing.assert_allclose(result, shift)


def test_disagreement_is_measured_by_the_displacement():
    boxes = seen((20, 0), (32, 0), (8, 0))
    np.testing.assert_allclose(common_motion(boxes, PREDICTED[:3], 0.61), [20, 0])
    np.testing.assert_allclose(common_motion(boxes, PREDICTED[:3], 0.59), [0, 0])


def test_order_and_origin_do_not_matter():
    rng = np.random.default_rng(0)
    boxes = seen(*(np.array([15, 9]) + rng.normal(0, 1, (4, 2))))
    shift = common_motion(boxes, PREDICTED, 1.0)
    assert shift == pytest.approx([15, 9], abs=2)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(common_motion(boxes[order], PREDICTED[order], 1.0), shift)
    moved = common_motion(boxes + 1000, PREDICTED + 1000, 1.0)
    np.testing.assert_allclose(moved, shift)
