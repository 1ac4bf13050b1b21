"""Linear assignment with explicit gating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_SMALL = 64 * 64
"""Matrices up to this size are solved whole: splitting would cost more than it saves."""


def solve(similarity: Array) -> tuple[Index, Index]:
    """Return the complete assignment (rows, columns) of largest total similarity.

    min(N, M) pairs, however bad: the caller gates afterwards, as the released code does.
    """
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns


def match(similarity: Array, candidates: Mask) -> tuple[Index, Index]:
    """Return the pairs (rows, columns) of largest total similarity among the candidates.

    The gate comes first: a pair that is no candidate, or whose similarity is not positive, does
    not exist, and leaving two objects unmatched costs nothing. Large problems fall apart into
    independent groups (connected components of the pairs) that are solved one by one, which is
    exact.
    """
    if similarity.size <= _SMALL:
        gain = np.where(candidates, similarity, 0.0)
        np.maximum(gain, 0.0, out=gain)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        good = gain[rows, columns] > 0
        return rows[good], columns[good]
    pairs = [
        _match_group(similarity, candidates, rows, columns)
        for rows, columns in _split(*_groups(similarity, candidates))
    ]
    if not pairs:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _match_group(
    similarity: Array, candidates: Mask, rows: Index, columns: Index
) -> tuple[Index, Index]:
    if len(rows) == 1 and len(columns) == 1:
        return rows, columns
    block = np.ix_(rows, columns)
    gain = np.where(candidates[block], similarity[block], 0.0)
    np.maximum(gain, 0.0, out=gain)
    i, j = linear_sum_assignment(gain, maximize=True)
    good = gain[i, j] > 0
    return rows[i[good]], columns[j[good]]


def _split(row_group: Index, column_group: Index) -> Iterator[tuple[Index, Index]]:
    """Yield the rows and columns of every group that has both."""
    row_order, column_order = np.argsort(row_group), np.argsort(column_group)
    groups = np.arange(max(row_group.max(), column_group.max()) + 2)
    row_ends = np.searchsorted(row_group[row_order], groups)
    column_ends = np.searchsorted(column_group[column_order], groups)
    both = (np.diff(row_ends) > 0) & (np.diff(column_ends) > 0)
    for k in np.flatnonzero(both):
        yield (
            row_order[row_ends[k] : row_ends[k + 1]],
            column_order[column_ends[k] : column_ends[k + 1]],
        )


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
