"""The Kalman filter as textbooks write it: one object, full matrices, Joseph form."""

from __future__ import annotations

import numpy as np

SMALLEST = 1e-3


def centre_size(box):
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])


def from_centre_size(values):
    cx, cy, w, h = values
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])


class MatrixFilter:
    """SORT's 7 states (cx, cy, s, r, vcx, vcy, vs), or 8 (cx, cy, w, h and their velocities)."""

    def __init__(self, model, box):
        self.model = model
        self.n = 7 if model.size_aspect else 8
        self.H = np.eye(4, self.n)
        self.x = np.zeros(self.n)
        self.x[:4] = self.measure(box)
        self.P = self.diagonal(model.initial_position, model.initial_velocity)

    def measure(self, box):
        cx, cy, w, h = centre_size(box)
        return np.array([cx, cy, w * h, w / (h + 1e-6)] if self.n == 7 else [cx, cy, w, h])

    def scale(self):
        return self.x[[2, 3, 2, 3]] if self.model.relative else np.ones(4)

    def diagonal(self, position, velocity):
        scale = self.scale()
        deviations = np.concatenate([np.multiply(position, scale), np.multiply(velocity, scale)])
        return np.diag(deviations[: self.n] ** 2)

    def predict(self, dt):
        for size in range(2, self.n - 4):
            if self.x[size] + dt * self.x[4 + size] <= SMALLEST:
                self.x[4 + size] = 0
        F = np.eye(self.n) + dt * np.eye(self.n, k=4)
        Q = dt * self.diagonal(self.model.process_position, self.model.process_velocity)
        self.x = F @ self.x
        self.P = F @ self.P @ F.T + Q

    def update(self, box, noise=1.0):
        H = self.H
        R = noise * np.diag((np.array(self.model.measurement) * self.scale()) ** 2)
        K = self.P @ H.T @ np.linalg.inv(H @ self.P @ H.T + R)
        I_KH = np.eye(self.n) - K @ H
        self.x = self.x + K @ (self.measure(box) - H @ self.x)
        self.x[2:4] = np.maximum(self.x[2:4], SMALLEST)
        self.P = I_KH @ self.P @ I_KH.T + K @ R @ K.T

    def reupdate(self, last, new, steps, dt=1.0):
        start, end = centre_size(last), centre_size(new)
        for step in range(1, steps + 1):
            self.update(from_centre_size(start + step / steps * (end - start)))
            if step < steps:
                self.predict(dt)
