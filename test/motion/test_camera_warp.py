"""A camera that moved: filter states seen from its new place."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.boxes import warp
from mot_perception.motion.kalman import MEAN, PP, PV, RATE, VV, KalmanBank, warp_states
from mot_perception.motion.models import CENTRE_SIZE, SIZE_ASPECT

MODELS = pytest.mark.parametrize(
    'model', [SIZE_ASPECT, CENTRE_SIZE], ids=['size_aspect', 'centre_size']
)
BOXES = np.array([[100, 200, 150, 320], [-40, -60, 20, 30], [700, 10, 720, 90]], float)


def affine(zoom=1.0, angle=0.0, shift=(0, 0)):
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]], float)


def walking(model):
    bank = KalmanBank(model, 3)
    bank.initiate(np.arange(3), BOXES)
    for frame in range(1, 6):
        bank.predict(3, 1.0)
        bank.update(np.arange(3), BOXES + frame * np.array([4, 1, 4, 1]), np.ones(3))
    return bank


@MODELS
def test_unmoved_camera_changes_nothing(model):
    bank = walking(model)
    before = bank.state.copy()
    warp_states(bank.state, affine(), model)
    np.testing.assert_array_equal(bank.state, before)


@MODELS
def test_shift_moves_centres_alone(model):
    bank = walking(model)
    before = bank.state.copy()
    warp_states(bank.state, affine(shift=(10, -3)), model)
    np.testing.assert_allclose(bank.state[:, MEAN, :2], before[:, MEAN, :2] + [10, -3])
    bank.state[:, MEAN, :2] = before[:, MEAN, :2]
    np.testing.assert_array_equal(bank.state, before)


@MODELS
@pytest.mark.parametrize('angle', [0.0, 0.3])
def test_boxes_go_where_their_warp_goes(model, angle):
    bank = walking(model)
    motion = affine(1.2, angle, (5, -9))
    expected = warp(bank.boxes(3), motion)
    warp_states(bank.state, motion, model)
    np.testing.assert_allclose(bank.boxes(3), expected, atol=1e-9)


@MODELS
def test_motion_may_be_predicted_before_or_after(model):
    first, second = walking(model), walking(model)
    motion = affine(0.8, 0.2, (7, 7))
    warp_states(first.state, motion, model)
    first.predict(3, 2.0)
    second.predict(3, 2.0)
    warp_states(second.state, motion, model)
    np.testing.assert_allclose(first.state[:, :PP], second.state[:, :PP], rtol=1e-9)


@MODELS
def test_variances_are_those_of_the_turned_axes(model):
    bank = walking(model)
    motion = affine(1.5, 0.4)
    before = bank.covariance(1)
    turn = np.eye(8)
    zoom = [1.5**2, 1.0] if model.size_aspect else [1.5, 1.5]
    turn[:2, :2] = turn[4:6, 4:6] = motion[:, :2]
    turn[2:4, 2:4] = turn[6:8, 6:8] = np.diag(zoom)
    expected = turn @ before @ turn.T
    warp_states(bank.state, motion, model)
    np.testing.assert_allclose(np.diag(bank.covariance(1)), np.diag(expected), rtol=1e-9)
    np.testing.assert_allclose(bank.state[1, PV], np.diag(expected[:4, 4:]), rtol=1e-9)
    np.testing.assert_allclose(
        bank.state[1, RATE, :2], motion[:, :2] @ walking(model).state[1, RATE, :2]
    )
    assert (bank.state[:, PP] * bank.state[:, VV] >= bank.state[:, PV] ** 2).all()
