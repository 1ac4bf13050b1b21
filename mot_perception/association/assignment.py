"""Linear assignment with explicit gating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

_SMALL = 64 * 64
"""Matrices up to this size are solved whole: splitting would cost more than it saves."""


def solve(similarity: Array) -> tuple[Index, Index]:
    """Return the complete assignment (rows, columns) of largest total similarity.

    min(N, M) pairs, however bad: the caller gates afterwards, as the released code does.
    """
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns


def match(gain: Array) -> tuple[Index, Index]:
    """Return the pairs (rows, columns) of largest total gain; only gains > 0 are ever paired.

    The gate comes first: a pair whose gain is not positive does not exist, and leaving two
    objects unmatched costs nothing. Large problems fall apart into independent groups (the
    connected components of the positive entries) that are solved one by one, which is exact.
    """
    if gain.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if gain.size <= _SMALL:
        rows, columns = linear_sum_assignment(np.maximum(gain, 0.0), maximize=True)
    else:
        rows, columns = _solve_by_group(gain)
    good = gain[rows, columns] > 0
    return rows[good], columns[good]


def _solve_by_group(gain: Array) -> tuple[Index, Index]:
    row_group, column_group = _groups(gain)
    row_order, column_order = np.argsort(row_group), np.argsort(column_group)
    groups = np.arange(max(row_group.max(), column_group.max()) + 2)
    row_ends = np.searchsorted(row_group[row_order], groups)
    column_ends = np.searchsorted(column_group[column_order], groups)
    pairs = []
    for k in range(len(groups) - 1):
        rows = row_order[row_ends[k] : row_ends[k + 1]]
        columns = column_order[column_ends[k] : column_ends[k + 1]]
        if len(rows) == 1 and len(columns) == 1:
            pairs.append((rows, columns))
        elif len(rows) and len(columns):
            block = np.maximum(gain[np.ix_(rows, columns)], 0.0)
            i, j = linear_sum_assignment(block, maximize=True)
            pairs.append((rows[i], columns[j]))
    if not pairs:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


@njit(cache=True)
def _groups(gain: Array) -> tuple[Index, Index]:
    """Label rows and columns by connected component of the positive entries (union-find)."""
    n, m = gain.shape
    parent = np.arange(n + m)
    for i in range(n):
        for j in range(m):
            if gain[i, j] > 0:
                a, b = i, n + j
                while parent[a] != a:
                    parent[a] = parent[parent[a]]
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                parent[max(a, b)] = min(a, b)
    label = np.full(n + m, -1)
    count = 0
    for k in range(n + m):
        root = k
        while parent[root] != root:
            root = parent[root]
        if label[root] < 0:
            label[root] = count
            count += 1
        label[k] = label[root]
    return label[:n], label[n:]
