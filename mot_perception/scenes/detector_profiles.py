"""Measured detectors: the constants of `DetectorModel`.

They were obtained by `benchmarks/calibrate_detector.py --fit`, which matches real YOLOX-X
detections with the ground truth (Hungarian, IoU at least 0.5), sorts the figures by the share of
their box that no box with a lower foot line covers, and takes miss rates, score quantiles, edge
errors, second boxes and clutter from each class. What non-maximum suppression and second boxes
distort (misses, rates, memory) is then adjusted until the model's own output, measured the same
way, gives the real tables. Correlations are those of neighbouring frames at 20 to 30 frames/s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

VISIBILITY_KNOTS = (0.0, 0.12, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Visible shares at which the tables of a profile are given; the bins' edges lie between them."""

Row = tuple[float, ...]


class Memory(NamedTuple):
    """How an error persists: correlation at a lag of k frames is `share * per_frame**k`."""

    share: float
    per_frame: float


@dataclass(frozen=True, slots=True)
class DetectorProfile:
    """Statistics of one detector on one kind of footage.

    Attributes:
        miss: Share of figures that are missed, at each of `VISIBILITY_KNOTS`.
        height_knots: Heights of a figure relative to the image.
        height_miss: Further share that is missed at these heights.
        score_levels: Levels at which score quantiles are given, from 0 to 1.
        score: Score quantiles, one row for each visibility knot.
        side: 68 % quantile of the left and right edges' errors, relative to the box width, at
            median quality, for each visibility knot.
        top: The same of the upper edge, relative to the height.
        bottom: The same of the lower edge.
        side_tail: Tukey's h of the side errors; 0 is normal.
        top_tail: Tukey's h of the upper edge.
        bottom_tail: Tukey's h of the lower edge.
        quality_levels: Score ranks at which `quality_scale` is given.
        quality_scale: Factor on the edges' errors at these ranks.
        extra_rate: Share of figures with a second box before suppression, by visibility.
        extra_score: Score quantiles of second boxes, at `score_levels`.
        extra_edges: Standard deviation of their edges (left, top, right, bottom), relative.
        clutter_rate: False positives a frame that touch no figure.
        clutter_stay: Share of them that is there again in the next frame.
        clutter_height: Least, median and largest height relative to the image.
        clutter_aspect: Least, median and largest width to height.
        clutter_score: Score quantiles at `score_levels`.
        quality_memory: Persistence of quality (scores and misses).
        edge_memory: Persistence of the edges' errors.
        extra_memory: Persistence of second boxes.
        nms_iou: Threshold of the detector's non-maximum suppression.
    """

    miss: Row
    height_knots: Row
    height_miss: Row
    score_levels: Row
    score: tuple[Row, ...]
    side: Row
    top: Row
    bottom: Row
    side_tail: float
    top_tail: float
    bottom_tail: float
    quality_levels: Row
    quality_scale: Row
    extra_rate: Row
    extra_score: Row
    extra_edges: Row
    clutter_rate: float
    clutter_stay: float
    clutter_height: Row
    clutter_aspect: Row
    clutter_score: Row
    quality_memory: Memory
    edge_memory: Memory
    extra_memory: Memory
    nms_iou: float = 0.7


DANCETRACK = DetectorProfile(
    miss=(0.1531, 0.0917, 0.0668, 0.0183, 0.0042, 0.0054, 0.0064),
    height_knots=(0.03, 0.075, 0.125, 0.175, 0.225),
    height_miss=(0.0283, 0.0283, 0.0, 0.0, 0.0),
    score_levels=(0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
    score=(
        (0.1002, 0.1316, 0.3101, 0.5918, 0.7779, 0.865, 0.9199, 0.9819),
        (0.1001, 0.1638, 0.4758, 0.7199, 0.8262, 0.8896, 0.9325, 0.9805),
        (0.1001, 0.2161, 0.6458, 0.7967, 0.8679, 0.9167, 0.9478, 0.9854),
        (0.1045, 0.4819, 0.7863, 0.8529, 0.905, 0.9397, 0.9606, 0.9873),
        (0.1029, 0.7041, 0.8294, 0.8816, 0.9251, 0.9522, 0.9649, 0.9844),
        (0.1, 0.7524, 0.8576, 0.9081, 0.9468, 0.9639, 0.9713, 0.9863),
        (0.1, 0.7357, 0.8638, 0.9202, 0.9532, 0.9668, 0.9741, 0.9907),
    ),
    side=(0.058, 0.0536, 0.0415, 0.0307, 0.0237, 0.0175, 0.0151),
    top=(0.0267, 0.0117, 0.0091, 0.0071, 0.0063, 0.0061, 0.0066),
    bottom=(0.0143, 0.0203, 0.0154, 0.009, 0.0066, 0.0053, 0.0048),
    side_tail=0.446,
    top_tail=0.54,
    bottom_tail=0.394,
    quality_levels=(0.02, 0.08, 0.26, 0.5, 0.7, 0.9),
    quality_scale=(3.6483, 2.7794, 1.607, 1.0, 0.7543, 0.5078),
    extra_rate=(0.2534, 0.2096, 0.1857, 0.1053, 0.1058, 0.0712, 0.1209),
    extra_score=(0.1, 0.1048, 0.1291, 0.1907, 0.3662, 0.6509, 0.8122, 0.9781),
    extra_edges=(0.401, 0.2115, 0.3803, 0.2818),
    clutter_rate=0.0272,
    clutter_stay=0.498,
    clutter_height=(0.055, 0.1725, 0.3615),
    clutter_aspect=(0.1194, 1.288, 3.2725),
    clutter_score=(0.1001, 0.104, 0.1224, 0.1609, 0.2707, 0.4855, 0.7709, 0.9617),
    quality_memory=Memory(share=0.915, per_frame=0.959),
    edge_memory=Memory(share=0.679, per_frame=0.907),
    extra_memory=Memory(share=0.898, per_frame=0.96),
)
"""YOLOX-X on 15 DanceTrack sequences: 137,222 boxes, scores from 0.1; groups filmed in full."""

MOT17 = DetectorProfile(
    miss=(0.2789, 0.0, 0.0, 0.0, 0.0013, 0.0, 0.0),
    height_knots=(0.03, 0.075, 0.125, 0.175, 0.225),
    height_miss=(0.3969, 0.1899, 0.0532, 0.0, 0.0),
    score_levels=(0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
    score=(
        (0.01, 0.01, 0.03, 0.1, 0.52, 0.81, 0.86, 0.95),
        (0.01, 0.02, 0.11, 0.59, 0.85, 0.89, 0.91, 0.94),
        (0.01, 0.05, 0.62, 0.84, 0.88, 0.9, 0.92, 0.94),
        (0.01, 0.07, 0.69, 0.84, 0.88, 0.9, 0.92, 0.96),
        (0.01, 0.07, 0.72, 0.84, 0.88, 0.9, 0.92, 0.95),
        (0.01, 0.26, 0.81, 0.87, 0.9, 0.92, 0.93, 0.95),
        (0.01, 0.1, 0.84, 0.89, 0.91, 0.93, 0.94, 0.96),
    ),
    side=(0.1123, 0.0892, 0.0613, 0.0657, 0.0553, 0.0499, 0.0451),
    top=(0.035, 0.0195, 0.0129, 0.0189, 0.0244, 0.0209, 0.0141),
    bottom=(0.071, 0.0389, 0.0351, 0.0313, 0.0265, 0.0181, 0.0171),
    side_tail=0.141,
    top_tail=0.267,
    bottom_tail=0.256,
    quality_levels=(0.02, 0.08, 0.26, 0.5, 0.7, 0.9),
    quality_scale=(2.3765, 1.9184, 1.3683, 1.0, 0.8106, 0.661),
    extra_rate=(0.95, 0.8972, 0.1538, 0.4416, 0.227, 0.109, 0.2749),
    extra_score=(0.01, 0.01, 0.01, 0.02, 0.05, 0.17, 0.46, 0.92),
    extra_edges=(0.3708, 0.1916, 0.3923, 0.3537),
    clutter_rate=6.0453,
    clutter_stay=0.774,
    clutter_height=(0.0581, 0.1213, 0.4435),
    clutter_aspect=(0.328, 0.3835, 0.466),
    clutter_score=(0.01, 0.01, 0.01, 0.02, 0.05, 0.16, 0.4, 0.86),
    quality_memory=Memory(share=0.969, per_frame=0.971),
    edge_memory=Memory(share=0.939, per_frame=0.949),
    extra_memory=Memory(share=0.934, per_frame=0.97),
)
"""YOLOX-X on half of 4 MOT17 sequences: 40,294 boxes, scores from 0.01; streets, much clutter.

Figures that are wholly hidden carry more second boxes in reality (1.5 each) than here (0.6).
"""
