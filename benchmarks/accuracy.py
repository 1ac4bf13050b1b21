"""HOTA and its kin of the presets on real sequences, motion only; peers beside them in one run.

    python benchmarks/accuracy.py [dancetrack mot17 sportsmot]

The peers are those of roboflow/trackers, where it is installed (`make bench` does it): the same
detections, its defaults with OC-SORT's published thresholds. No appearance, no interpolation, one
configuration for all sets. SportsMOT has simulated detections (`sets.py`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from sets import MIN_AREA, SETS, Footage, load, score, track

from mot_perception.bags.rows import MotRows
from mot_perception.boxes import area
from mot_perception.trackers.settings import TrackerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = 'HOTA', 'AssA', 'DetA', 'IDF1', 'MOTA', 'IDSW'


def ours(config: TrackerConfig) -> Callable[[Footage], MotRows]:
    """Return a function from sequence to tracks."""
    return lambda footage: track(footage, config)


def roboflow(make: Callable[[], object]) -> Callable[[Footage], MotRows]:
    """Return a function from sequence to the tracks of a tracker of roboflow/trackers."""
    import supervision as sv

    def run(footage: Footage) -> MotRows:
        tracker, columns = make(), []
        for number, (_, found) in enumerate(footage.frames, 1):
            tracked = tracker.update(
                sv.Detections(
                    found.xyxy.astype(np.float32), confidence=found.score.astype(np.float32)
                )
            )
            known = (tracked.tracker_id >= 0) & (area(tracked.xyxy) > MIN_AREA)
            tracked = tracked[known]
            columns.append((np.full(len(tracked), number), tracked.tracker_id, tracked.xyxy))
        frame, identity, xyxy = (np.concatenate(column) for column in zip(*columns, strict=True))
        return MotRows.of(frame, identity, xyxy)

    return run


def contestants() -> dict[str, Callable[[Footage], MotRows]]:
    """Return who is compared."""
    found = {
        'improved': ours(TrackerConfig()),
        'release, gate 0.3 (OC-SORT)': ours(
            TrackerConfig(preset='release', gate=0.3, recovery_gate=0.3)
        ),
        'release': ours(TrackerConfig(preset='release')),
        'paper': ours(TrackerConfig(preset='paper')),
    }
    try:
        from trackers import ByteTrackTracker, OCSORTTracker
    except ImportError:
        print('roboflow/trackers is not installed: no peers (make bench installs it)')
        return found
    found['roboflow/trackers OC-SORT'] = roboflow(OCSORTTracker)
    found['roboflow/trackers ByteTrack'] = roboflow(ByteTrackTracker)
    return found


def main() -> None:
    """Print one table a set."""
    for name in sys.argv[1:] or SETS:
        footages = load(name)
        table = Table('', *COLUMNS, title=f'{name}, {len(footages)} sequences')
        for label, run in contestants().items():
            scores = score(footages, [run(footage) for footage in footages])
            values = (getattr(scores, column) for column in COLUMNS)
            table.add_row(label, *(f'{v:.2f}' if isinstance(v, float) else f'{v}' for v in values))
        Console().print(table)


if __name__ == '__main__':
    main()
