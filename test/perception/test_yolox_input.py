"""What YOLOX sees of an image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mot_perception.scenes.scene import make_scene

torch = pytest.importorskip('torch')
yolox = pytest.importorskip('mot_perception.perception.yolox')
yolox_input = pytest.importorskip('mot_perception.perception.yolox_input')

GREY = 114
SIDES = st.integers(1, 300)
CANVAS = st.sampled_from([32, 64, 160, 416])


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class TestLetterbox:
    def test_by_hand(self):
        """1080p into ByteTrack's canvas: 800 / 1080 is the smaller share."""
        canvas, ratio = yolox_input.letterbox(picture(1080, 1920), 800, 1440)
        assert ratio == pytest.approx(800 / 1080)
        assert canvas.shape == (800, 1440, 3)
        assert (canvas[:, 1422:] == GREY).all()
        expected = cv2.resize(picture(1080, 1920), (1422, 800), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(canvas[:, :1422], expected)

    def test_image_of_its_size_is_left_alone(self):
        canvas, ratio = yolox_input.letterbox(picture(64, 96), 64, 96)
        np.testing.assert_array_equal(canvas, picture(64, 96))
        assert ratio == 1

    @pytest.mark.parametrize('shape', [(1, 1), (1, 5000), (5000, 1), (3, 700)])
    def test_thin_images(self, shape):
        canvas, _ = yolox_input.letterbox(np.zeros((*shape, 3), np.uint8), 64, 96)
        assert canvas.shape == (64, 96, 3)
        assert (canvas == 0).all(2).any()

    def test_image_that_cannot_be_written_to(self):
        image = np.frombuffer(bytes(range(48)), np.uint8).reshape(4, 4, 3)
        canvas, _ = yolox_input.letterbox(image[:, ::-1], 32, 32)
        assert not (canvas == GREY).all()

    @given(SIDES, SIDES, CANVAS, CANVAS)
    @example(5, 300, 416, 32)
    def test_image_fills_one_side_and_grey_the_rest(self, height, width, rows, columns):
        canvas, ratio = yolox_input.letterbox(
            np.zeros((height, width, 3), np.uint8), rows, columns
        )
        seen = (canvas == 0).all(2)
        down, across = seen.any(1).sum(), seen.any(0).sum()
        assert seen[:down, :across].all()
        assert (canvas[~seen] == GREY).all()
        assert (down, across) == (max(int(height * ratio), 1), max(int(width * ratio), 1))
        assert max(down - rows, across - columns) >= -1

    @given(SIDES, SIDES, CANVAS, CANVAS, st.floats(0, 1), st.floats(0, 1))
    def test_there_and_back(self, height, width, rows, columns, x, y):
        """A place in the image lies on the canvas, and comes back by the ratio alone."""
        _, ratio = yolox_input.letterbox(np.zeros((height, width, 3), np.uint8), rows, columns)
        place = np.array([x * width, y * height])
        there = place * ratio
        assert (there <= np.array([columns, rows]) * (1 + 1e-12)).all()
        np.testing.assert_allclose(there / ratio, place, rtol=1e-12, atol=1e-12)


class TestNormalised:
    def test_as_they_are(self, device):
        images = np.stack([picture(4, 6), picture(4, 6, 1)])
        values = yolox_input.normalised(torch.from_numpy(images).to(device), 'bgr').cpu().numpy()
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, images.transpose(0, 3, 1, 2))

    def test_like_bytetrack(self, device):
        image = picture(2, 3)
        values = yolox_input.normalised(torch.from_numpy(image[None]).to(device), 'imagenet')
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        for colour in range(3):  # red is the last of an image
            for row in range(2):
                for column in range(3):
                    share = image[row, column, 2 - colour] / 255
                    expected = (share - mean[colour]) / std[colour]
                    found = values[0, colour, row, column].item()
                    assert found == pytest.approx(expected, abs=1e-5)


class TestTrainedOn:
    @pytest.fixture(scope='class')
    def frames(self):
        scene = make_scene(figures=4, width=640, height=360, seed=5)
        images = [step.frame.image for step, _ in zip(scene, range(3), strict=False)]
        return torch.from_numpy(
            np.stack([yolox_input.letterbox(image, 416, 416)[0] for image in images])
        )

    @pytest.mark.parametrize('pixels', ['bgr', 'imagenet'])
    @pytest.mark.parametrize('darker', [1, 2])
    @pytest.mark.parametrize('filters', ['any', 'edges', 'areas'])
    def test_first_layer_remembers(self, pixels, darker, filters, frames):
        torch.manual_seed(0)
        stem = yolox.Focus(16)
        with torch.no_grad():
            kernels = stem.conv.conv.weight
            if filters == 'edges':
                kernels -= kernels.mean((1, 2, 3), keepdim=True)
            elif filters == 'areas':
                kernels.abs_()
            stem.conv.bn.momentum = 1
            stem.train()(yolox_input.normalised(frames // darker, pixels))
        assert yolox_input.trained_on(stem.eval()) == pixels

    def test_nonsense_is_taken_for_something(self):
        stem = yolox.Focus(16)
        stem.conv.bn.running_var.fill_(-3)
        assert yolox_input.trained_on(stem) in {'bgr', 'imagenet'}
