"""Images on the canvas of a network, in its scale of colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mot_perception.perception.letterbox import as_planes, letterbox

GREY = 114
SIDES = st.integers(1, 300)
CANVAS = st.sampled_from([32, 64, 160, 416])


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class TestLetterbox:
    def test_by_hand(self):
        """1080p into ByteTrack's canvas: 800 / 1080 is the smaller share."""
        canvas, ratio = letterbox(picture(1080, 1920), 800, 1440)
        assert ratio == pytest.approx(800 / 1080)
        assert canvas.shape == (800, 1440, 3)
        assert (canvas[:, 1422:] == GREY).all()
        expected = cv2.resize(picture(1080, 1920), (1422, 800), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(canvas[:, :1422], expected)

    def test_image_of_its_size_is_left_alone(self):
        canvas, ratio = letterbox(picture(64, 96), 64, 96)
        np.testing.assert_array_equal(canvas, picture(64, 96))
        assert ratio == 1

    @pytest.mark.parametrize('shape', [(1, 1), (1, 5000), (5000, 1), (3, 700)])
    def test_thin_images(self, shape):
        canvas, _ = letterbox(np.zeros((*shape, 3), np.uint8), 64, 96)
        assert canvas.shape == (64, 96, 3)
        assert (canvas == 0).all(2).any()

    def test_image_that_cannot_be_written_to(self):
        image = np.frombuffer(bytes(range(48)), np.uint8).reshape(4, 4, 3)
        canvas, _ = letterbox(image[:, ::-1], 32, 32)
        assert not (canvas == GREY).all()

    @given(SIDES, SIDES, CANVAS, CANVAS)
    @example(5, 300, 416, 32)
    def test_image_fills_one_side_and_grey_the_rest(self, height, width, rows, columns):
        canvas, ratio = letterbox(np.zeros((height, width, 3), np.uint8), rows, columns)
        seen = (canvas == 0).all(2)
        down, across = seen.any(1).sum(), seen.any(0).sum()
        assert seen[:down, :across].all()
        assert (canvas[~seen] == GREY).all()
        assert (down, across) == (max(int(height * ratio), 1), max(int(width * ratio), 1))
        assert max(down - rows, across - columns) >= -1

    @given(SIDES, SIDES, CANVAS, CANVAS, st.floats(0, 1), st.floats(0, 1))
    def test_there_and_back(self, height, width, rows, columns, x, y):
        """A place in the image lies on the canvas, and comes back by the ratio alone."""
        _, ratio = letterbox(np.zeros((height, width, 3), np.uint8), rows, columns)
        place = np.array([x * width, y * height])
        there = place * ratio
        assert (there <= np.array([columns, rows]) * (1 + 1e-12)).all()
        np.testing.assert_allclose(there / ratio, place, rtol=1e-12, atol=1e-12)


class TestAsPlanes:
    @pytest.mark.parametrize('pixels', ['bgr', 'imagenet'])
    def test_as_torch_does_it(self, pixels):
        torch = pytest.importorskip('torch')
        from mot_perception.perception.yolox_input import normalised

        images = [picture(4, 6), picture(4, 6, 1)]
        planes = as_planes(images, pixels)
        expected = normalised(torch.from_numpy(np.stack(images)), pixels).numpy()
        assert planes.dtype == np.float32
        assert planes.flags.c_contiguous
        np.testing.assert_allclose(planes, expected, atol=1e-5)

    def test_colours_by_hand(self):
        """Blue is the first of an image and the last of what ByteTrack's weights see."""
        image = np.zeros((1, 1, 3), np.uint8)
        image[0, 0] = 255, 0, 51
        np.testing.assert_array_equal(as_planes([image], 'bgr').ravel(), [255, 0, 51])
        red, green, blue = as_planes([image], 'imagenet').ravel()
        assert red == pytest.approx((0.2 - 0.485) / 0.229, rel=1e-5)
        assert green == pytest.approx(-0.456 / 0.224, rel=1e-5)
        assert blue == pytest.approx((1 - 0.406) / 0.225, rel=1e-5)
