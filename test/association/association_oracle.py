"""Cues and assignments by loops, as one would explain them."""

from __future__ import annotations

from itertools import combinations, permutations
from math import acos, hypot, pi

import numpy as np

CORNERS = ((0, 1), (2, 1), (0, 3), (2, 3))


def iou(a, b, height_power=0.0):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if not (width > 0 and height > 0):
        return 0.0
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union * (height / (max(a[3], b[3]) - min(a[1], b[1]))) ** height_power


def points_of(box, points):
    if points == 1:
        return [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)]
    return [(box[x], box[y]) for x, y in CORNERS]


def unit(old, new):
    x, y = new[0] - old[0], new[1] - old[1]
    length = hypot(x, y) + 1e-6
    return x / length, y / length


def headings(old, new, points):
    """Unit displacements of the points of a box, P×2."""
    pairs = zip(points_of(old, points), points_of(new, points), strict=True)
    return np.array([unit(a, b) for a, b in pairs])


def direction(box, score, reference, heading):
    """(π/2 − θ)/π · score, the mean over the points."""
    if np.isnan(reference[0]):
        return 0.0
    ways = headings(reference, box, len(heading))
    total = 0.0
    for (x, y), (vx, vy) in zip(ways, heading, strict=True):
        total += (pi / 2 - acos(np.clip(x * vx + y * vy, -1, 1))) / pi
    return total / len(heading) * score


def adaptive_weight(similarity, weight, cap):
    n, m = similarity.shape
    out = np.full((n, m), weight, float)
    for i in range(n):
        for j in range(m):
            if m >= 2:
                second, best = sorted(similarity[i])[-2:]
                out[i, j] += min(best - second, cap) / 2
            if n >= 2:
                second, best = sorted(similarity[:, j])[-2:]
                out[i, j] += min(best - second, cap) / 2
    return out


def best_partial(gain):
    """Largest total of any set of one-to-one pairs; pairs ≤ 0 need not be taken."""
    n, m = gain.shape
    best = 0.0
    for count in range(1, min(n, m) + 1):
        for rows in combinations(range(n), count):
            for columns in permutations(range(m), count):
                best = max(best, gain[list(rows), list(columns)].sum())
    return best


def best_complete(gain):
    """Largest total of min(N, M) one-to-one pairs."""
    n, m = gain.shape
    count = min(n, m)
    return max(
        (
            gain[list(rows), list(columns)].sum()
            for rows in combinations(range(n), count)
            for columns in permutations(range(m), count)
        ),
        default=0.0,
    )
