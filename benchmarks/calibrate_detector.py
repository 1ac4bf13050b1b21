"""Calibrate the detector model on real detections, and compare the two.

    python benchmarks/calibrate_detector.py             # measured and model, side by side
    python benchmarks/calibrate_detector.py --fit       # also print the fitted profiles

Real detections are matched with the ground truth of the same frame (Hungarian on IoU, at least
0.5). Visibility is the share of a ground-truth box that no box with a lower foot line covers.
Detections of MOT17's ignored rows are left out of the false positives.
"""

from __future__ import annotations

import argparse
import pprint
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from detector_footage import Footage, Observed, load, observe
from scipy.stats import norm, rankdata

from mot_perception.boxes import iou
from mot_perception.scenes.detector_model import simulate_detections
from mot_perception.scenes.detector_profiles import (
    DANCETRACK,
    MOT17,
    VISIBILITY_KNOTS,
    DetectorProfile,
    Memory,
)

DATA = Path(__file__).resolve().parents[1] / '../shared/data'
SETS = {'DANCETRACK': ('dancetrack/val', DANCETRACK), 'MOT17': ('mot17/val_half', MOT17)}
BIN_EDGES = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.99])
SCORE_LEVELS = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
QUALITY_EDGES = np.array([0, 0.04, 0.12, 0.4, 0.6, 0.8, 1])
QUALITY_LEVELS = (0.02, 0.08, 0.26, 0.5, 0.7, 0.9)
HEIGHT_KNOTS = (0.03, 0.075, 0.125, 0.175)
MANY = 20
LAGS = np.array([1, 2, 5, 10])


def fit(seen: Observed) -> DetectorProfile:
    """Return the profile of what was observed, before the effect of suppression is taken off."""
    place = np.digitize(seen.visibility, BIN_EDGES)
    bins = range(len(VISIBILITY_KNOTS))
    missed = np.isnan(seen.score)
    large = seen.tall >= 0.15
    scale, levels, tails = _fit_edges(seen, place)
    base = missed[(place == bins[-1]) & large].mean()
    return DetectorProfile(
        miss=_row(missed[(place == b) & large].mean() for b in bins),
        height_knots=(*HEIGHT_KNOTS, 0.225),
        height_miss=(*_fit_small(seen, base), 0.0),
        score_levels=SCORE_LEVELS,
        score=tuple(
            _row(np.quantile(seen.score[(place == b) & ~missed], SCORE_LEVELS)) for b in bins
        ),
        side=_row(scale[0]),
        top=_row(scale[1]),
        bottom=_row(scale[2]),
        side_tail=tails[0],
        top_tail=tails[1],
        bottom_tail=tails[2],
        quality_levels=QUALITY_LEVELS,
        quality_scale=_row(levels),
        extra_rate=_row(seen.extras[place == b].mean() for b in bins),
        extra_score=_row(np.quantile(seen.extra[:, 4], SCORE_LEVELS)),
        extra_edges=_row(np.sqrt((np.clip(seen.extra[:, :4], -1, 1) ** 2).mean(0))),
        clutter_rate=round(len(seen.clutter) / seen.frames, 4),
        clutter_stay=_clutter_stay(seen.clutter),
        clutter_height=_row(np.quantile(seen.clutter[:, 7], (0.05, 0.5, 0.95))),
        clutter_aspect=_row(np.quantile(seen.clutter[:, 8], (0.05, 0.5, 0.95))),
        clutter_score=_row(np.quantile(seen.clutter[:, 6], SCORE_LEVELS)),
        quality_memory=_fit_memory(autocorrelation(seen)[:, 0]),
        edge_memory=_fit_memory(autocorrelation(seen)[:, 1:].mean(1)),
        extra_memory=_fit_memory(autocorrelation(seen)[:, 0]),
    )


def _row(values: object) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _fit_small(seen: Observed, base: float) -> tuple[float, ...]:
    out, missed = [], np.isnan(seen.score)
    for knot in reversed(HEIGHT_KNOTS):
        rows = (np.abs(seen.tall - knot) < 0.025) & (seen.visibility > 0.95)
        rate = missed[rows].mean() - base if rows.sum() >= 10 else out[-1]
        out.append(max(rate, 0.0))
    return _row(reversed(out))


def _fit_edges(seen: Observed, place: np.ndarray) -> tuple[list, list, list]:
    """Return the scale by visibility for side, top, bottom; the factor by quality; the tails."""
    edges = [
        np.abs(seen.error[:, [0, 2]]).T,
        np.abs(seen.error[:, [1]]).T,
        np.abs(seen.error[:, [3]]).T,
    ]
    found = ~np.isnan(seen.score)
    rank = np.full(len(place), np.nan)
    for b in range(len(VISIBILITY_KNOTS)):
        rows = (place == b) & found
        rank[rows] = (rankdata(seen.score[rows]) - 0.5) / rows.sum()
    level = np.digitize(rank, QUALITY_EDGES) - 1
    ratio = []
    for edge in edges:
        for b in range(len(VISIBILITY_KNOTS)):
            q = [
                np.quantile(edge[:, (place == b) & (level == k)], 0.683)
                for k in range(len(QUALITY_LEVELS))
            ]
            ratio.append(np.log(np.array(q) / q[QUALITY_LEVELS.index(0.5)]))
    levels = np.exp(np.mean(ratio, axis=0))
    factor = np.interp(rank, QUALITY_LEVELS, levels)
    scales, tails = [], []
    for edge in edges:
        plain = edge / factor
        scale = np.array(
            [
                np.quantile(plain[:, (place == b) & found], 0.683)
                for b in range(len(VISIBILITY_KNOTS))
            ]
        )
        # Tukey's h: |z| = 1 lies at scale * exp(h / 2), |z| = 2 at 2 * scale * exp(2 * h).
        far, one = np.quantile((plain / scale[place])[:, found], (0.954, 0.683))
        tail = max(np.log(far / one / 2) / 1.5, 0)
        scales.append(scale * np.exp(-tail / 2))
        tails.append(round(float(tail), 3))
    return scales, levels, tails


def autocorrelation(seen: Observed) -> np.ndarray:
    """Return lags × 5 correlations of quality and edge errors, as normal ranks in their bin."""
    order = np.lexsort((seen.frame, seen.track))
    track, frame = seen.track[order], seen.frame[order]
    place = np.digitize(seen.visibility, BIN_EDGES)[order]
    quality = np.where(np.isnan(seen.score), -1, seen.score)
    values = np.column_stack([quality, seen.error])[order]
    normal = np.full(values.shape, np.nan)
    for b in range(len(VISIBILITY_KNOTS)):
        for column in range(5):
            rows = np.flatnonzero((place == b) & ~np.isnan(values[:, column]))
            if len(rows):
                normal[rows, column] = norm.ppf((rankdata(values[rows, column]) - 0.5) / len(rows))
    out = np.empty((len(LAGS), 5))
    for k, lag in enumerate(LAGS):
        same = (track[lag:] == track[:-lag]) & (frame[lag:] == frame[:-lag] + lag)
        for column in range(5):
            pair = np.column_stack([normal[:-lag, column], normal[lag:, column]])[same]
            out[k, column] = np.corrcoef(pair[~np.isnan(pair).any(1)].T)[0, 1]
    return out


def _fit_memory(correlation: np.ndarray) -> Memory:
    slope, at_zero = np.polyfit(LAGS, np.log(correlation), 1, w=correlation)
    return Memory(round(float(min(np.exp(at_zero), 1)), 3), round(float(np.exp(slope)), 3))


def _clutter_stay(clutter: np.ndarray) -> float:
    frames: dict = {}
    for row in clutter:
        frames.setdefault((row[0], row[1]), []).append(row[2:6])
    again = total = 0
    for (sequence, frame), rows in frames.items():
        following = frames.get((sequence, frame + 1), np.empty((0, 4)))
        overlap = iou(np.array(rows), np.array(following))
        again += int((overlap.max(1, initial=0) > 0.5).sum())
        total += len(rows)
    return round(again / max(total, 1), 3)


def simulated(footage: list[Footage], profile: DetectorProfile) -> list[Footage]:
    """Return the same footage with the model's detections in place of the real ones."""
    out = []
    for seed, one in enumerate(footage):
        found = simulate_detections(one.boxes, one.width, one.height, seed, one.ids, profile)
        out.append(
            replace(one, detections=[d.xyxy for d in found], scores=[d.score for d in found])
        )
    return out


def without_suppression(
    profile: DetectorProfile, real: Observed, footage: list, rounds: int = 6
) -> DetectorProfile:
    """Adjust what suppression and second boxes distort until the model gives the real tables."""
    target = fit(real)
    # Several draws of a small set, or chance in it would be fitted.
    repeated = footage * max(1, round(MANY / len(footage)))
    for _ in range(rounds):
        got = fit(observe(simulated(repeated, profile)))
        miss = np.array(profile.miss) + 0.7 * (np.array(target.miss) - np.array(got.miss))
        rate = (
            np.array(profile.extra_rate) * np.array(target.extra_rate) / np.array(got.extra_rate)
        )
        profile = replace(
            profile,
            miss=_row(np.clip(miss, 0, 1)),
            extra_rate=_row(rate.clip(0, 0.95)),
            clutter_rate=round(profile.clutter_rate * target.clutter_rate / got.clutter_rate, 4),
            quality_memory=_corrected(profile.quality_memory, target, got, 'quality_memory'),
            edge_memory=_corrected(profile.edge_memory, target, got, 'edge_memory'),
        )
    return profile


def _corrected(memory: Memory, target: DetectorProfile, got: DetectorProfile, name: str) -> Memory:
    wanted, found = getattr(target, name), getattr(got, name)
    share = memory.share * wanted.share / found.share
    per_frame = memory.per_frame * wanted.per_frame / found.per_frame
    return Memory(round(min(share, 1), 3), round(min(per_frame, 0.995), 3))


def table(name: str, real: Observed, model: Observed) -> None:
    """Print measured (m) and model (s) side by side, by visibility."""
    print(f'\n{name}: {real.frames} frames, {len(real.score)} boxes; each cell: measured | model')
    head = (
        'visible',
        'boxes',
        'missed %',
        'score 10%',
        'score 50%',
        'side %',
        'top %',
        'bottom %',
        'second %',
    )
    print(''.join(f'{text:>16}' for text in head))
    place = np.digitize(real.visibility, BIN_EDGES)
    for b, knot in enumerate(VISIBILITY_KNOTS):
        cells = [_cells(seen, place == b) for seen in (real, model)]
        pairs = ''.join(f'{m:>9.3g} |{s:>5.3g}' for m, s in zip(*cells, strict=True))
        print(f'{knot:>16.2f}{int((place == b).sum()):>16}{pairs}')
    for text, of in (
        ('second boxes a frame', lambda o: len(o.extra) / o.frames),
        ('  of these, score above 0.5', lambda o: (o.extra[:, 4] > 0.5).mean()),
        ('  median IoU with the figure', lambda o: np.median(o.extra[:, 5])),
        ('clutter a frame', lambda o: len(o.clutter) / o.frames),
        ('missed after missed', lambda o: _missed_again(o, after=True)),
        ('missed after found', lambda o: _missed_again(o, after=False)),
        ('second box after second box', _second_again),
        ('quality correlation, lags 1 2 5 10', lambda o: autocorrelation(o)[:, 0]),
        ('edge correlation, lags 1 2 5 10', lambda o: autocorrelation(o)[:, 1:].mean(1)),
        ('side error 95%, 99%, visible', _tail),
    ):
        print(f'{text:>40}: {np.round(of(real), 3)} | {np.round(of(model), 3)}')


def _cells(seen: Observed, rows: np.ndarray) -> list[float]:
    score = seen.score[rows]
    error = np.nanquantile(np.abs(seen.error[rows]), 0.683, axis=0) * 100
    return [
        100 * np.isnan(score).mean(),
        np.nanquantile(score, 0.1),
        np.nanquantile(score, 0.5),
        (error[0] + error[2]) / 2,
        error[1],
        error[3],
        100 * seen.extras[rows].mean(),
    ]


def _tail(seen: Observed) -> np.ndarray:
    return np.nanquantile(np.abs(seen.error[seen.visibility > 0.99][:, [0, 2]]), (0.95, 0.99))


def _second_again(seen: Observed) -> float:
    order = np.lexsort((seen.frame, seen.track))
    track, frame, extras = seen.track[order], seen.frame[order], seen.extras[order] > 0
    pair = (track[1:] == track[:-1]) & (frame[1:] == frame[:-1] + 1) & extras[:-1]
    return float(extras[1:][pair].mean())


def _missed_again(seen: Observed, *, after: bool) -> float:
    order = np.lexsort((seen.frame, seen.track))
    track, frame, missed = seen.track[order], seen.frame[order], np.isnan(seen.score[order])
    pair = (track[1:] == track[:-1]) & (frame[1:] == frame[:-1] + 1) & (missed[:-1] == after)
    return float(missed[1:][pair].mean())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--fit', action='store_true', help='print the fitted profiles as well')
    options = parser.parse_args()
    for name, (folder, profile) in SETS.items():
        footage = [load(path) for path in sorted((options.data / folder).iterdir())]
        real = observe(footage)
        if options.fit:
            profile = without_suppression(fit(real), real, footage)
            print(f'{name} =')
            pprint.pp(asdict(profile), width=99, compact=True)
        table(name, real, observe(simulated(footage, profile)))


if __name__ == '__main__':
    main()
