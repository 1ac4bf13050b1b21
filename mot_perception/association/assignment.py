"""Linear assignment with explicit gating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

try:
    from lap import lapjv
except ImportError:
    lapjv = None

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_SMALL = 256 * 256
"""Matrices up to this size are solved whole: splitting would cost more than it saves."""
_FASTER_BY_LAP = 48
"""Rows and columns from which `lap`, where it is installed, is the faster solver."""


def solve(similarity: Array) -> tuple[Index, Index]:
    """Return the complete assignment (rows, columns) of largest total similarity.

    min(N, M) pairs, however bad: the caller gates afterwards, as the released code does.
    """
    if lapjv is not None and min(similarity.shape) >= _FASTER_BY_LAP:
        _, column_of, _ = lapjv(-similarity, extend_cost=True)
        rows = np.flatnonzero(column_of >= 0)
        return rows, column_of[rows].astype(np.int64)
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns


def match(similarity: Array, candidates: Mask) -> tuple[Index, Index]:
    """Return the pairs (rows, columns) of largest total similarity among the candidates.

    The gate comes first: a pair that is no candidate, or whose similarity is not positive, does
    not exist, and leaving two objects unmatched costs nothing. Large problems fall apart into
    independent groups (connected components of the pairs) that are solved one by one, which is
    exact.
    """
    if similarity.size > _SMALL:
        return _match_by_group(similarity, candidates)
    return _match_whole(similarity, candidates)


def _match_whole(similarity: Array, candidates: Mask) -> tuple[Index, Index]:
    gain = np.where(candidates, similarity, 0.0)
    np.maximum(gain, 0.0, out=gain)
    rows, columns = solve(gain)
    good = gain[rows, columns] > 0
    return rows[good], columns[good]


def _match_by_group(similarity: Array, candidates: Mask) -> tuple[Index, Index]:
    row_group, column_group = _groups(similarity, candidates)
    groups = max(row_group.max(), column_group.max()) + 1
    row_count = np.bincount(row_group, minlength=groups)
    column_count = np.bincount(column_group, minlength=groups)
    row_order, column_order = np.argsort(row_group), np.argsort(column_group)
    row_ends, column_ends = np.cumsum(row_count), np.cumsum(column_count)
    single = (row_count == 1) & (column_count == 1)
    pairs = [(row_order[row_ends[single] - 1], column_order[column_ends[single] - 1])]
    for k in np.flatnonzero((row_count > 0) & (column_count > 0) & ~single):
        rows = row_order[row_ends[k] - row_count[k] : row_ends[k]]
        columns = column_order[column_ends[k] - column_count[k] : column_ends[k]]
        block = np.ix_(rows, columns)
        i, j = _match_whole(similarity[block], candidates[block])
        pairs.append((rows[i], columns[j]))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


@njit(cache=True)
def _groups(similarity: Array, candidates: Mask) -> tuple[Index, Index]:
    """Label rows and columns by connected component of the possible pairs (union-find)."""
    n, m = similarity.shape
    parent = np.arange(n + m)
    for i in range(n):
        for j in range(m):
            if candidates[i, j] and similarity[i, j] > 0:
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
