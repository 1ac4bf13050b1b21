"""Colour stripes: unit vectors that tell clothes apart, for any box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.perception.appearance import (
    CENTRAL,
    COLOUR,
    CROP,
    LIGHTNESS,
    STRIPES,
    ColourStripes,
)

WIDTH, HEIGHT = 96, 64
IMAGE = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
ENCODER = ColourStripes()


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def naive(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """One box, one pixel at a time."""
    (left, top, right, bottom), (share_x, share_y) = box, CENTRAL
    x, y = (left + right) / 2, (top + bottom) / 2
    w, h = (right - left) / 2 * share_x, (bottom - top) / 2 * share_y
    crop = image[
        int(np.floor(y - h)) : int(np.ceil(y + h)), int(np.floor(x - w)) : int(np.ceil(x + w))
    ]
    lab = cv2.cvtColor(cv2.resize(crop, CROP, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2Lab)
    light, colour = np.zeros((STRIPES, LIGHTNESS)), np.zeros((STRIPES, COLOUR, COLOUR))
    for row, line in enumerate(lab):
        for lightness, a, b in line.astype(int):
            stripe = row * STRIPES // len(lab)
            bin_a, bin_b = ((v - 98) * COLOUR // 60 for v in (a, b))
            bin_a, bin_b = (min(max(v, 0), COLOUR - 1) for v in (bin_a, bin_b))
            light[stripe, lightness * LIGHTNESS // 256] += 1
            colour[stripe, bin_a, bin_b] += 1
    counts = np.hstack([light, colour.reshape(STRIPES, -1)]).ravel()
    return np.sqrt(counts / counts.sum())


def test_equals_a_naive_loop():
    xyxy = boxes((10, 5, 40, 60), (50.5, 3.25, 90, 33.75))
    expected = [naive(IMAGE, box) for box in xyxy]
    np.testing.assert_allclose(ENCODER.embed(IMAGE, xyxy), expected, atol=1e-6)


def test_batch_equals_one_by_one():
    xyxy = boxes((0, 0, 20, 40), (30, 10, 60, 60), (70, 1, 71, 2))
    single = np.vstack([ENCODER.embed(IMAGE, row[None]) for row in xyxy])
    np.testing.assert_array_equal(ENCODER.embed(IMAGE, xyxy), single)


@pytest.mark.parametrize(
    'box',
    [
        (10, 10, 11, 11),  # one pixel
        (10.2, 10.2, 10.3, 10.3),  # less than one pixel
        (-500, -500, -400, -300),  # outside, upper left
        (5000, 5000, 5100, 5200),  # outside, lower right
        (-10, -10, WIDTH + 10, HEIGHT + 10),  # larger than the image
        (40, 40, 20, 20),  # inverted
        (np.nan, np.nan, np.nan, np.nan),
        (-np.inf, -np.inf, np.inf, np.inf),
        (1e300, 1e300, 1e301, 1e301),
    ],
)
def test_any_box_has_a_unit_vector(box):
    vector = ENCODER.embed(IMAGE, boxes(box))
    assert vector.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1, atol=1e-5)


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 4), max_size=5))
def test_unit_vectors_for_all_boxes(rows):
    vectors = ENCODER.embed(IMAGE, boxes(*rows))
    assert len(vectors) == len(rows)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_boxes():
    assert ENCODER.embed(IMAGE, boxes()).shape == (0, STRIPES * (LIGHTNESS + COLOUR**2))


def test_red_is_not_blue():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40, 0] = 200
    image[:, 40:, 2] = 200
    blue, red, red_again = ENCODER.embed(
        image, boxes((2, 0, 38, 40), (42, 0, 78, 40), (50, 4, 70, 36))
    )
    assert blue @ red < 0.7
    assert red @ red_again > 0.99


def test_trousers_are_not_a_shirt():
    image = np.zeros((80, 40, 3), np.uint8)
    image[:40] = (40, 40, 200)
    image[40:] = (200, 40, 40)
    upright, reverse = (
        ENCODER.embed(image, boxes((0, 0, 40, 80))),
        ENCODER.embed(image[::-1], boxes((0, 0, 40, 80))),
    )
    assert (upright @ reverse.T).item() < 0.7


def test_grey_and_noise_do_not_warn():
    ENCODER.embed(np.full((8, 8, 3), 128, np.uint8), boxes((0, 0, 8, 8)))
