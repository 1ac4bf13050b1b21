"""Cuts are seen; what cameras do within a shot is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mot_perception.perception.camera_cut import CameraCut


def room(seed: int, height: int = 180, width: int = 320) -> np.ndarray:
    """A smooth picture, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def cuts(*images):
    looking = CameraCut()
    return [looking.happened(image) for image in images]


def test_another_scene():
    assert cuts(room(0), room(0), room(1), room(1), room(0)) == [False, False, True, False, True]


def darker(image):
    return (image * 0.4).astype(np.uint8)


def brighter(image):
    return np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8)


def panned(image):
    return np.roll(image, 8, axis=1)


def covered(image):
    image = image.copy()
    image[40:, 60:130] = 20  # somebody walks through the picture
    return image


def larger(image):
    return cv2.resize(image, (640, 480))


def noisy(image):
    noise = np.random.default_rng(0).normal(0, 25, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('change', [darker, brighter, panned, covered, larger, noisy])
@pytest.mark.parametrize('seed', range(3))
def test_within_a_shot(change, seed):
    assert cuts(room(seed), change(room(seed)), room(seed)) == [False] * 3


def test_a_black_frame_says_nothing():
    black = np.zeros((180, 320, 3), np.uint8)
    assert cuts(black, room(0), black, room(0), black, room(1)) == [False] * 5 + [True]


def test_real_video(shared_data):
    """Ten frames further is the same shot: of a camera that stands, and of one in a car."""
    for name in ('KITTI-17', 'TUD-Stadtmitte'):
        files = sorted((shared_data / 'frames' / name / 'img1').iterdir())[::10]
        assert not any(cuts(*(cv2.imread(str(file)) for file in files)))
