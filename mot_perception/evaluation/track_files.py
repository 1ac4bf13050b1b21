"""Finds and reads the tracks of a sequence, wherever a run has left them: text or bag."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.bags.mot import read_mot
from mot_perception.bags.rows import MotRows
from mot_perception.errors import UserError
from mot_perception.presence import RunningIds, counted
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.bags.sequence import Sequence
    from mot_perception.types import TrackedFrame

BAGS = '.mcap', '.db3'


def read_tracks(path: Path, sequence: Sequence) -> MotRows | None:
    """Read the tracks of a sequence.

    Args:
        path: A text file, a bag, or the folder that a run wrote: with `<sequence>.txt`, or a bag
            `tracks` or `tracks/<sequence>`.
        sequence: Whose tracks; in a bag they are told by the stamps of its frames.

    Returns:
        Confirmed tracks, frames from 1; None where the folder has none of this sequence.

    Raises:
        UserError: `path` is missing, or what is found cannot be read.
    """
    if not path.exists():
        raise UserError(f'{path}: does not exist; give a folder, a text file, or a bag of tracks')
    if path.is_file() and not is_bag(path):
        return read_mot(path, kind='tracks')
    if path.is_file():
        return read_tracks_bag(path, sequence)
    text = path / f'{sequence.name}.txt'
    if text.is_file():
        return read_mot(text, kind='tracks')
    places = [path / sequence.name, path / 'tracks' / sequence.name]
    if not any(path.glob('*.txt')):  # else the bag is that of the sequence the text is named after
        places += [path, path / 'tracks']
    bag = next((place for place in places if is_bag(place)), None)
    return None if bag is None else read_tracks_bag(bag, sequence)


def is_bag(path: Path) -> bool:
    """Tell whether a path is a rosbag2 bag."""
    if path.is_file():
        return path.suffix in BAGS
    return path.is_dir() and any(
        entry.name == 'metadata.yaml' or entry.suffix in BAGS for entry in path.iterdir()
    )


def read_tracks_bag(path: Path, sequence: Sequence) -> MotRows | None:
    """Read the tracks topic of a bag: `/<sequence>/tracks`, else the only one that ends so.

    Ids count on where the tracker was reset.

    Raises:
        UserError: The bag is damaged, or was made from another recording: its stamps differ.
    """
    from mot_perception.bags.bag_file import BagFile  # rosbags takes time to load
    from mot_perception.messages.mapping import message_to_tracked_frame
    from mot_perception.messages.typestore import TRACKS

    with BagFile(path) as bag:
        found = [it for it in bag.connections if it.msgtype == TRACKS]
        found = [it for it in found if it.topic.rpartition('/')[2] == 'tracks']
        named = [it for it in found if it.topic == f'/{sequence.name}/tracks']
        topics = named or (found if len(found) == 1 else [])
        if not topics:
            return None
        raw = (message for _, _, message in bag.messages(topics))
        frames = [message_to_tracked_frame(bag.decode(data, topics[0])) for data in raw]
    return _rows(path, frames, sequence)


def _rows(path: Path, tracked: list[TrackedFrame], sequence: Sequence) -> MotRows:
    numbers: dict[int, deque[int]] = defaultdict(deque)  # a stamp may come again
    for item in sequence:
        numbers[item.frame.stamp_ns].append(item.frame.index + 1)
    running = RunningIds()
    columns = [MotRows.of([], [], [])]
    for it in tracked:
        stamp, tracks = it.frame.stamp_ns, counted(it)
        if not numbers[stamp]:
            raise UserError(
                f'{path}: no frame of {sequence.name} belongs to the message of'
                f' {stamp / NANOSECONDS:.9f} s; give the tracks of the same recording'
            )
        frame = np.full(len(tracks), numbers[stamp].popleft())
        ids = running(tracks.id, it.reset_count)
        columns.append(MotRows.of(frame, ids, tracks.xyxy, tracks.score))
    names = 'frame', 'id', 'xyxy', 'score'
    return MotRows.of(*(np.concatenate([getattr(c, name) for c in columns]) for name in names))
