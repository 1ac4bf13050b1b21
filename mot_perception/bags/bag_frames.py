"""Frames of a bag in any order."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mot_perception.bags.bag_file import BagFile
from mot_perception.bags.reader import BagReader
from mot_perception.bags.topic_choice import choose_topics
from mot_perception.bags.topics import Topics
from mot_perception.errors import UserError
from mot_perception.messages.synchronise import Stamped, stamp_of
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mot_perception.bags.sequence import GroundTruth, Item

    Place = tuple[int, int]


class BagFrames:
    """All images of a bag, with depth and ground truth; detections are not looked at.

    The bag is read through once, to find where the messages of each frame are; what is paired is
    what `open_bag` pairs. It may be sent to other processes: each opens the file for itself.

    Args:
        path: Folder of the bag, `.mcap`, or `.db3` file.
        topics: Topics to read, where several fit.

    Attributes:
        path: The bag.
        period: Mean time between frames, seconds; None where there is only one.
        roles: What it holds: 'image', 'depth', ….
        truths: Ground truth of each frame, or None.

    Raises:
        UserError: Missing, damaged, cut off; no images; no topic fits or several do.
    """

    def __init__(self, path: Path, topics: Topics | None = None) -> None:
        self.path = path
        wanted = replace(topics or Topics(), detections='')
        with BagFile(path) as bag:
            reader = BagReader(bag, choose_topics(bag, wanted))
            self.roles = frozenset(reader.connections)
            self.period = reader.period_ns / NANOSECONDS or None
            self._topics = Topics(
                **{role: it.topic for role, it in reader.connections.items()}, detections=''
            )
            self._places: list[dict[str, Place]] = []
            self.truths: list[GroundTruth | None] = []
            for index, found in reader.found():
                places = {role: (it.log_ns, it.stamp_ns) for role, it in found.items()}
                self._places.append(places)
                self.truths.append(reader.item(index, found, decode=False).ground_truth)
        self._opened: tuple[int, BagFile, BagReader] | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._places)

    @property
    def found(self) -> list[Collection[str]]:
        """Which roles each frame has messages of."""
        return [places.keys() for places in self._places]

    def __getitem__(self, number: int) -> Item:
        """Read frame `number`, from 0.

        Raises:
            UserError: The bag changed, or a message is damaged.
        """
        bag, reader = self._open()
        places = self._places[number]
        roles = {reader.connections[role].topic: role for role in places}
        times = [log_ns for log_ns, _ in places.values()]
        found: dict[str, Stamped] = {}
        for connection, log_ns, raw in bag.messages(
            [reader.connections[role] for role in places], start=min(times), stop=max(times) + 1
        ):
            role, stamp_ns = roles[connection.topic], stamp_of(raw, log_ns)
            if places[role] == (log_ns, stamp_ns):
                found[role] = Stamped(role, stamp_ns, log_ns, raw)
        if len(found) < len(places):
            raise UserError(f'{self.path}: changed while it was read; start again')
        return reader.item(number, found, decode=True)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file to this process."""
        return {**self.__dict__, '_opened': None}

    def close(self) -> None:
        """Close the file; it is opened again when a frame is asked for."""
        if self._opened is not None:
            self._opened[1].__exit__(None, None, None)
        self._opened = None

    def _open(self) -> tuple[BagFile, BagReader]:
        # A process that was forked shares where its parent reads: it needs a file of its own.
        if self._opened is None or self._opened[0] != os.getpid():
            with ExitStack() as stack:
                bag = stack.enter_context(BagFile(self.path))
                reader = BagReader(bag, choose_topics(bag, self._topics))
                stack.pop_all()
            self._opened = os.getpid(), bag, reader
        return self._opened[1:]
