"""The golden run of the released filter: six frames, a gap of two among them."""

from __future__ import annotations

import numpy as np
import pytest
from motion_oracle import MatrixFilter

from mot_perception.motion.kalman import (
    MEAN,
    PP,
    RATE,
    VV,
    KalmanBank,
    box_row,
    centre_size_of,
    predict_row,
    reupdate_row,
    update_row,
)
from mot_perception.motion.models import SIZE_ASPECT

BIRTH = (100, 200, 150, 320)
BOXES = {
    1: (104, 201, 154, 321),
    2: (108, 202, 158, 322),
    5: (126, 206, 176, 328),
    6: (130, 207, 180, 329),
}
INITIAL = [125, 260, 6000, 0.416667, 0, 0, 0]
STATES = {
    1: [128.9996, 260.9999, 6000, 0.416667, 3.995206, 0.998801, 0],
    2: [132.999694, 261.999924, 6000, 0.416667, 3.999177, 0.999794, 0],
    5: [150.84387, 266.94796, 6091.704076, 0.412582, 5.515288, 1.505106, 22.104734],
    6: [155.455166, 268.151727, 6108.079742, 0.411913, 5.313177, 1.437734, 20.82666],
}
CENTRES = {3: [136.998872, 262.999718], 4: [140.998049, 263.999512]}
VARIANCES = {
    1: [0.9999, 0.9999, 9.990021, 5.238095, 11.995617, 11.995617, 20.956092],
    2: [0.941153, 0.941153, 8.384601, 3.841642, 2.068954, 2.068954, 5.497102],
    5: [0.425225, 0.425225, 3.573281, 2.218656, 0.327228, 0.327228, 0.646276],
    6: [0.665112, 0.665112, 4.14885, 2.434934, 0.271199, 0.271199, 0.49997],
}


class Bank:
    """The bank, five equal filters of which the third is looked at."""

    def __init__(self):
        self.bank = KalmanBank(SIZE_ASPECT, 5)
        self.rows = np.arange(5)
        self.bank.initiate(self.rows, self.five(BIRTH))

    @staticmethod
    def five(box):
        return np.tile(np.array(box, float), (5, 1))

    def predict(self):
        self.bank.predict(5, 1.0)

    def update(self, box):
        self.bank.update(self.rows, self.five(box), np.ones(5))

    def save(self):
        self.saved = self.bank.state.copy()

    def relive(self, last, new, steps):
        self.bank.state[:] = self.saved
        for row in self.rows:
            reupdate_row(
                self.bank.state[row],
                np.array(last, float),
                np.array(new, float),
                steps,
                1.0,
                self.bank.process,
                self.bank.measurement,
                False,
                True,
            )

    def state(self):
        return np.concatenate([self.bank.state[2, MEAN], self.bank.state[2, RATE, :3]])

    def variances(self):
        return np.concatenate([self.bank.state[2, PP], self.bank.state[2, VV, :3]])


class Row(Bank):
    """The functions of one row."""

    def predict(self):
        for state in self.bank.state:
            predict_row(state, 1.0, self.bank.process, False)

    def update(self, box):
        for state in self.bank.state:
            measured = centre_size_of(np.array(box, float))
            update_row(state, measured, 1.0, self.bank.measurement, False, True)


class Matrices:
    """The oracle of the other tests."""

    def __init__(self):
        self.filter = MatrixFilter(SIZE_ASPECT, BIRTH)

    def predict(self):
        self.filter.predict(1.0)

    def update(self, box):
        self.filter.update(box)

    def save(self):
        self.saved = self.filter.x.copy(), self.filter.P.copy()

    def relive(self, last, new, steps):
        self.filter.x, self.filter.P = self.saved
        self.filter.reupdate(last, new, steps)

    def state(self):
        return self.filter.x

    def variances(self):
        return np.diag(self.filter.P)


@pytest.mark.parametrize('kind', [Bank, Row, Matrices])
def test_golden_run(kind):
    kalman = kind()

    def expect(frame):
        np.testing.assert_allclose(kalman.state(), STATES[frame], atol=1e-5)
        np.testing.assert_allclose(kalman.variances(), VARIANCES[frame], atol=1e-5)

    np.testing.assert_allclose(kalman.state(), INITIAL, atol=1e-5)
    for frame in (1, 2):
        kalman.predict()
        kalman.update(BOXES[frame])
        expect(frame)
    for frame in (3, 4):
        kalman.predict()
        np.testing.assert_allclose(kalman.state()[:2], CENTRES[frame], atol=1e-5)
        if frame == 3:
            kalman.save()
    kalman.predict()
    kalman.relive(BOXES[2], BOXES[5], 3)
    kalman.update(BOXES[5])
    expect(5)
    kalman.predict()
    kalman.update(BOXES[6])
    expect(6)


def test_box_of_a_new_filter_is_the_detection():
    bank = KalmanBank(SIZE_ASPECT, 1)
    bank.initiate(np.array([0]), np.array([BIRTH], float))
    out = np.empty(4)
    box_row(bank.state[0], True, out)
    np.testing.assert_allclose(out, BIRTH, atol=1e-5)
    np.testing.assert_allclose(bank.boxes(1), [BIRTH], atol=1e-5)
