"""Scales of colour that YOLOX is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.perception.letterbox import letterbox
from mot_perception.scenes.scene import make_scene

torch = pytest.importorskip('torch')
yolox = pytest.importorskip('mot_perception.perception.yolox')
yolox_input = pytest.importorskip('mot_perception.perception.yolox_input')


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


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
        return torch.from_numpy(np.stack([letterbox(image, 416, 416)[0] for image in images]))

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
