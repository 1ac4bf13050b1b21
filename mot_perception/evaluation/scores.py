"""What an evaluation says, as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SequenceScores:
    """Scores of one sequence, or of several combined: rates in percent, counts as they are.

    HOTA and its parts are means over the 19 localisation thresholds .05 … .95 (Luiten et al.,
    IJCV 2021); MOTA, IDSW, FP, FN, Frag, MT, ML are CLEAR's (Bernardin & Stiefelhagen 2008) and
    IDF1, IDP, IDR are Ristani's, all at IoU ≥ 0.5.
    """

    name: str
    HOTA: float
    AssA: float
    DetA: float
    LocA: float
    AssRe: float
    AssPr: float
    DetRe: float
    DetPr: float
    IDF1: float
    IDR: float
    IDP: float
    MOTA: float
    IDSW: int
    FP: int
    FN: int
    Frag: int
    MT: int
    ML: int
    frames: int
    gt_ids: int
    ids: int
    gt_boxes: int
    boxes: int


@dataclass(frozen=True)
class Scores:
    """Scores of every sequence, and of all together as TrackEval combines them.

    Combination sums counts over sequences and weighs AssA by true positives; it is no mean.
    """

    sequences: list[SequenceScores]
    combined: SequenceScores
