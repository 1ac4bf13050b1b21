"""Which boxes stay where they overlap, pair by pair."""

from __future__ import annotations


def overlap(a, b) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return wide * high / (sum(areas) - wide * high)


def alone(rows: list, threshold: float) -> list:
    """Suppress naively: rows of box, score and class, the best first."""
    kept = []
    for row in rows:
        if not any(k[5] == row[5] and overlap(k, row) > threshold for k in kept):
            kept.append(row)
    return kept
