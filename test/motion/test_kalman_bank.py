"""The bank beside a filter of full matrices, and what must hold whatever it is fed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_oracle import MatrixFilter

from mot_perception.motion.kalman import MEAN, PP, PV, RATE, VV, KalmanBank, reupdate_row
from mot_perception.motion.models import CENTRE_SIZE, SIZE_ASPECT

MODELS = pytest.mark.parametrize(
    'model', [SIZE_ASPECT, CENTRE_SIZE], ids=['size_aspect', 'centre_size']
)


def boxes_of(rng, n):
    corner = rng.uniform(-200, 1000, (n, 2))
    return np.hstack([corner, corner + rng.uniform(5, 200, (n, 2))])


def moved(rng, boxes):
    """The boxes a little elsewhere, of another size."""
    size = boxes[:, 2:] - boxes[:, :2]
    corner = boxes[:, :2] + rng.normal(0, 0.1, (len(boxes), 2)) * size
    return np.hstack([corner, corner + size * rng.uniform(0.8, 1.25, (len(boxes), 2))])


def started(model, boxes):
    bank = KalmanBank(model, len(boxes))
    bank.initiate(np.arange(len(boxes)), boxes)
    return bank


def assert_covariances(state):
    """Symmetric positive definite: each axis is [[pp, pv], [pv, vv]], the others are 0."""
    pp, pv, vv = state[:, PP], state[:, PV], state[:, VV]
    assert np.isfinite(state).all()
    assert (pp > 0).all()
    moving = vv > 0
    assert moving[:, :3].all()
    assert (pp * vv - pv**2 > 0)[moving].all()
    assert (pv == 0)[~moving].all()


@MODELS
@pytest.mark.parametrize('seed', range(3))
def test_batched_equals_full_matrices(model, seed):
    rng = np.random.default_rng(seed)
    boxes = boxes_of(rng, 6)
    bank, singles = started(model, boxes), [MatrixFilter(model, box) for box in boxes]
    for _ in range(60):
        dt = rng.choice([0.0, 0.25, 1.0, 1.7, 5.0])
        bank.predict(6, dt)
        for single in singles:
            single.predict(dt)
        boxes = moved(rng, boxes)
        rows = rng.permutation(6)[: rng.integers(0, 7)]
        noise = rng.uniform(1, 4, len(rows))
        bank.update(rows, boxes[rows], noise)
        for row, scale in zip(rows, noise, strict=True):
            singles[row].update(boxes[row], scale)
    for row, single in enumerate(singles):
        state = np.concatenate([bank.state[row, MEAN], bank.state[row, RATE]])
        np.testing.assert_allclose(state[: single.n], single.x, rtol=1e-6, atol=1e-6)
        covariance = bank.covariance(row)[: single.n, : single.n]
        np.testing.assert_allclose(covariance, single.P, rtol=1e-6, atol=1e-8)


@MODELS
@pytest.mark.parametrize('dt', [1.0, 0.4, 3.0])
def test_reliving_a_gap_equals_full_matrices(model, dt):
    rng = np.random.default_rng(1)
    last, new = boxes_of(rng, 2)
    bank, single = started(model, last[None]), MatrixFilter(model, last)
    for _ in range(2):
        bank.predict(1, dt)
        single.predict(dt)
        bank.update(np.array([0]), last[None], np.ones(1))
        single.update(last)
    bank.predict(1, dt)
    single.predict(dt)
    constants = bank.process, bank.measurement, model.relative, model.size_aspect
    reupdate_row(bank.state[0], last, new, 7, dt, *constants)
    single.reupdate(last, new, 7, dt)
    state = np.concatenate([bank.state[0, MEAN], bank.state[0, RATE]])
    np.testing.assert_allclose(state[: single.n], single.x, rtol=1e-6, atol=1e-6)


@MODELS
def test_only_the_rows_that_are_meant_change(model):
    rng = np.random.default_rng(2)
    boxes = boxes_of(rng, 5)
    bank = started(model, boxes)
    before = bank.state.copy()
    bank.predict(3, 1.0)
    np.testing.assert_array_equal(bank.state[3:], before[3:])
    after = bank.state.copy()
    bank.update(np.array([4, 1]), boxes[[1, 4]], np.ones(2))
    np.testing.assert_array_equal(bank.state[[0, 2, 3]], after[[0, 2, 3]])
    assert (bank.state[[1, 4], MEAN] != after[[1, 4], MEAN]).any()


@MODELS
def test_covariances_stay_positive_definite_for_ten_thousand_steps(model):
    rng = np.random.default_rng(3)
    truth = boxes_of(rng, 8)
    bank = started(model, truth)
    for step in range(10_000):
        bank.predict(8, rng.choice([0.0, 0.1, 1.0, 1.0, 7.5]))
        rows = np.flatnonzero(rng.random(8) < 0.7)
        boxes = np.clip(moved(rng, truth), -1e4, 1e4)
        bank.update(rows, boxes[rows], rng.uniform(1, 5, len(rows)))
        assert_covariances(bank.state)
        if step % 1000 == 0:
            truth = boxes_of(rng, 8)
            covariance = bank.covariance(5)
            np.testing.assert_array_equal(covariance, covariance.T)
            assert np.linalg.eigvalsh(covariance[:7, :7]).min() > 0


@MODELS
def test_sizes_stay_positive_through_shrinking_and_gaps(model):
    bank = started(model, np.array([[0, 0, 400, 300], [0, 0, 30, 900]], float))
    for frame in range(1, 40):
        bank.predict(2, 1.0)
        size = np.array([[400, 300], [30, 900]]) * 0.8**frame
        bank.update(np.arange(2), np.hstack([np.zeros((2, 2)), size]), np.ones(2))
    for dt in [1.0] * 200 + [50.0] * 5:
        bank.predict(2, dt)
        boxes = bank.boxes(2)
        assert np.isfinite(boxes).all()
        assert (bank.state[:, MEAN, 2:] > 0).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


size = st.floats(1e-3, 1e5)
place = st.floats(-1e5, 1e5)
steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 1.0, 30.0, 3000.0]), st.booleans(), place, size, size),
    max_size=12,
)


@settings(deadline=None, max_examples=80)
@given(st.sampled_from([SIZE_ASPECT, CENTRE_SIZE]), size, size, steps)
def test_any_course_leaves_finite_upright_boxes(model, w, h, course):
    bank = started(model, np.array([[0, 0, w, h]]))
    for dt, seen, x, w, h in course:
        bank.predict(1, dt)
        if seen:
            bank.update(np.array([0]), np.array([[x, -x, x + w, -x + h]]), np.ones(1))
        left, top, right, bottom = bank.boxes(1)[0]
        assert np.isfinite([left, top, right, bottom]).all()
        assert right >= left
        assert bottom >= top
        assert (bank.state[0, MEAN, 2] > 0) and (model.size_aspect or bank.state[0, MEAN, 3] > 0)
        assert (bank.state[0, PP] > 0).all()


@MODELS
def test_everything_moves_with_the_origin(model):
    rng = np.random.default_rng(4)
    boxes, shift = boxes_of(rng, 5), np.array([300, -70, 300, -70])
    here, there = started(model, boxes), started(model, boxes + shift)
    for dt in (1.0, 0.5, 2.0, 1.0):
        boxes = moved(rng, boxes)
        for bank, seen in ((here, boxes), (there, boxes + shift)):
            bank.predict(5, dt)
            bank.update(np.arange(4), seen[:4], np.ones(4))
    np.testing.assert_allclose(there.boxes(5), here.boxes(5) + shift, atol=1e-8)
    np.testing.assert_allclose(there.state[:5, RATE, :2], here.state[:5, RATE, :2], atol=1e-8)
    np.testing.assert_allclose(there.state[:, PP:], here.state[:, PP:], rtol=1e-9)


def test_relative_noise_does_not_know_the_scale():
    rng = np.random.default_rng(5)
    boxes = boxes_of(rng, 5)
    small, large = started(CENTRE_SIZE, boxes), started(CENTRE_SIZE, boxes * 8)
    for _ in range(10):
        boxes = moved(rng, boxes)
        for bank, seen in ((small, boxes), (large, boxes * 8)):
            bank.predict(5, 1.0)
            bank.update(np.arange(5), seen, np.ones(5))
    np.testing.assert_allclose(large.boxes(5), small.boxes(5) * 8, rtol=1e-9)
    np.testing.assert_allclose(large.state[:, PP:], small.state[:, PP:] * 64, rtol=1e-9)


@MODELS
def test_two_half_steps_reach_where_one_step_does(model):
    rng = np.random.default_rng(6)
    boxes = boxes_of(rng, 5)
    whole = started(model, boxes)
    for _ in range(4):
        boxes = moved(rng, boxes)
        whole.predict(5, 1.0)
        whole.update(np.arange(5), boxes, np.ones(5))
    halves = KalmanBank(model, 5)
    halves.state = whole.state.copy()
    whole.predict(5, 1.0)
    halves.predict(5, 0.5)
    halves.predict(5, 0.5)
    np.testing.assert_allclose(halves.state[:, :PP], whole.state[:, :PP], rtol=1e-12)
    assert (halves.state[:, PP] > 0).all()


@MODELS
def test_no_time_no_change(model):
    bank = started(model, boxes_of(np.random.default_rng(7), 5))
    bank.predict(5, 1.0)
    before = bank.state.copy()
    bank.predict(5, 0.0)
    np.testing.assert_array_equal(bank.state, before)


@MODELS
def test_noisier_measurements_move_less(model):
    start, seen = np.array([[0, 0, 50, 100.0]]), np.array([[10, 0, 60, 100.0]])
    places = []
    for noise in (1.0, 3.0, 30.0):
        bank = started(model, start)
        bank.predict(1, 1.0)
        bank.update(np.array([0]), seen, np.array([noise]))
        places.append(bank.boxes(1)[0, 0])
    assert 10 > places[0] > places[1] > places[2] > 0


@MODELS
@pytest.mark.parametrize('gap', range(1, 21))
def test_reliving_keeps_the_velocity_of_constant_motion(model, gap):
    """The filter has seen the motion long enough to know it (60 frames) before it loses it."""
    velocity = np.array([3.0, -2.0, 3.0, -2.0])
    start = np.array([100.0, 200.0, 150.0, 320.0])
    bank = started(model, start[None])
    for frame in range(1, 61):
        bank.predict(1, 1.0)
        bank.update(np.array([0]), (start + frame * velocity)[None], np.ones(1))
    last, new = start + 60 * velocity, start + (60 + gap) * velocity
    bank.predict(1, 1.0)
    constants = bank.process, bank.measurement, model.relative, model.size_aspect
    reupdate_row(bank.state[0], last, new, gap, 1.0, *constants)
    np.testing.assert_allclose(bank.state[:1, RATE, :2][0], velocity[:2], atol=1e-3)
    np.testing.assert_allclose(bank.boxes(1)[0], new, atol=0.02)


def test_reliving_learns_the_velocity_of_the_gap():
    """A walker who turned while hidden is followed the new way, not the old one."""
    bank = started(CENTRE_SIZE, np.array([[100.0, 200, 150, 320]]))
    for frame in range(1, 31):
        bank.predict(1, 1.0)
        seen = np.array([[100.0 + 3 * frame, 200, 150 + 3 * frame, 320]])
        bank.update(np.array([0]), seen, np.ones(1))
    last, new = seen[0], seen[0] + np.array([-40, 0, -40, 0])
    bank.predict(1, 1.0)
    constants = bank.process, bank.measurement, True, False
    reupdate_row(bank.state[0], last, new, 20, 1.0, *constants)
    assert bank.state[:1, RATE, :2][0, 0] < 0
