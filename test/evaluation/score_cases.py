"""Rows to score: real sequences where they are present, and perturbed copies of them as tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mot_perception.bags.rows import MotRows

DATA = Path(__file__).parents[2] / '../shared/data'
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason='../shared/data is not present')


def rows_of(table) -> MotRows:
    """Columns frame, id, left, top, width, height[, consider[, class]] to rows."""
    table = np.asarray(table, float)
    xyxy = np.hstack([table[:, 2:4], table[:, 2:4] + table[:, 4:6]])
    consider, label = (table[:, k] if table.shape[1] > k else None for k in (6, 7))
    return MotRows.of(table[:, 0], table[:, 1], xyxy, label=label, consider=consider)


def no_rows() -> MotRows:
    return rows_of(np.empty((0, 8)))


def read_table(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=',', ndmin=2)


def perturbed(table: np.ndarray, seed: int = 0, jitter: float = 0.08) -> np.ndarray:
    """Miss a tenth, jitter the boxes, cut ids into pieces, and add boxes that are nowhere."""
    rng = np.random.default_rng(seed)
    kept = table[rng.random(len(table)) < 0.9][:, :8].copy()
    kept[:, 2:6] += rng.normal(0, jitter, (len(kept), 4)) * kept[:, [4, 5, 4, 5]]
    kept[:, 4:6] = np.maximum(kept[:, 4:6], 1)
    kept[:, 1] = kept[:, 1] * 100 + kept[:, 0] // (60 + 7 * (kept[:, 1] % 9))
    ghosts = kept[rng.random(len(kept)) < 0.05].copy()
    ghosts[:, 1] += 10_000_000
    ghosts[:, 2:4] += 150
    rows = np.vstack([kept, ghosts])
    rows[:, 6:8] = 1
    return rows[rng.permutation(len(rows))]
