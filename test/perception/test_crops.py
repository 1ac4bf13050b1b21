"""Crops: each box cut out and scaled, whatever the box; in batches that hold a bounded number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.perception.crops import crops, windows

WIDTH, HEIGHT = 60, 40
IMAGE = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def scaled(window: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate between the four nearest pixel centres, one pixel at a time."""
    rows, columns = window.shape[:2]
    found = np.zeros((height, width, 3))
    for row in range(height):
        y = min(max((row + 0.5) * rows / height - 0.5, 0), rows - 1)
        above, below = int(y), min(int(y) + 1, rows - 1)
        for column in range(width):
            x = min(max((column + 0.5) * columns / width - 0.5, 0), columns - 1)
            left, right = int(x), min(int(x) + 1, columns - 1)
            upper = window[above, left] * (1 - x % 1) + window[above, right] * (x % 1)
            lower = window[below, left] * (1 - x % 1) + window[below, right] * (x % 1)
            found[row, column] = upper * (1 - y % 1) + lower * (y % 1)
    return found


def test_equals_a_naive_loop():
    xyxy = boxes((3.4, 5.6, 20.2, 37.9), (40, 10, 44, 13), (0, 0, WIDTH, HEIGHT))
    (found,) = crops(IMAGE, xyxy, 24, 8, batch=5)
    assert found.dtype == np.uint8
    for crop, window in zip(found, (IMAGE[6:38, 3:20], IMAGE[10:13, 40:44], IMAGE), strict=True):
        assert np.abs(crop - scaled(window.astype(float), 24, 8)).max() <= 1


def test_box_of_the_size_of_a_crop_keeps_its_pixels():
    (found,) = crops(IMAGE, boxes((10, 4, 18, 28)), 24, 8, batch=1)
    np.testing.assert_array_equal(found[0], IMAGE[4:28, 10:18])


@pytest.mark.parametrize(
    ('box', 'rows', 'columns'),
    [
        ((10.4, 10.6, 20.6, 20.4), (11, 20), (10, 21)),  # rounded
        ((-10, -10, 5, 7), (0, 7), (0, 5)),  # clipped
        ((50, 30, 500, 700), (30, HEIGHT), (50, WIDTH)),
        ((10, 10, 11, 11), (10, 11), (10, 11)),  # one pixel
        ((10.2, 10.2, 10.3, 10.3), (10, 11), (10, 11)),  # less than one
        ((30, 20, 10, 5), (20, 21), (30, 31)),  # inverted
        ((-50, -60, -20, -30), (0, 1), (0, 1)),  # outside
        ((500, 600, 700, 800), (HEIGHT - 1, HEIGHT), (WIDTH - 1, WIDTH)),
        ((500, 5, 700, 9), (5, 9), (WIDTH - 1, WIDTH)),
        ((np.nan,) * 4, (0, 1), (0, 1)),
        ((-np.inf, -np.inf, np.inf, np.inf), (0, HEIGHT), (0, WIDTH)),
        ((1e300, 1e300, 1e301, 1e301), (HEIGHT - 1, HEIGHT), (WIDTH - 1, WIDTH)),
    ],
)
def test_windows(box, rows, columns):
    (window,) = windows(IMAGE, boxes(box))
    np.testing.assert_array_equal(window, IMAGE[slice(*rows), slice(*columns)])


@given(st.lists(st.tuples(*[st.floats(width=32)] * 4), max_size=6))
def test_any_box_has_a_window(rows):
    found = windows(IMAGE, boxes(*rows))
    assert len(found) == len(rows)
    assert all(window.size for window in found)


@pytest.mark.parametrize('count', [0, 1, 4, 5, 8, 9])
def test_batches(count):
    xyxy = boxes(*[(n, 2 * n, n + 20, 2 * n + 15) for n in range(count)])
    batches = list(crops(IMAGE, xyxy, 12, 6, batch=4))
    assert [len(batch) for batch in batches] == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
    empty = np.empty((0, 12, 6, 3), np.uint8)
    single = [next(crops(IMAGE, box[None], 12, 6, batch=1)) for box in xyxy]
    np.testing.assert_array_equal(
        np.concatenate([empty, *batches]), np.concatenate([empty, *single])
    )


def test_of_a_view():
    """An image may be a part of a larger one, or turned round: rows need not lie in order."""
    view = IMAGE[::-1, 10:50]
    (found,) = crops(view, boxes((5, 5, 25, 35)), 12, 6, batch=1)
    (expected,) = crops(view.copy(), boxes((5, 5, 25, 35)), 12, 6, batch=1)
    np.testing.assert_array_equal(found, expected)
