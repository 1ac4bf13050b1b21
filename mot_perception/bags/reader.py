"""A rosbag2 bag as a sequence: images, depth, camera, detections, ground truth, synchronised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mot_perception.bags.bag_file import BagFile
from mot_perception.bags.mot import PEDESTRIAN
from mot_perception.bags.rows import MotRows
from mot_perception.bags.sequence import GroundTruth, Item, Sequence
from mot_perception.bags.topic_choice import choose_topics
from mot_perception.bags.topics import Topics
from mot_perception.messages.detections import ClassIndex
from mot_perception.messages.frames import FrameReader
from mot_perception.messages.image_size import picture_size
from mot_perception.messages.mapping import camera_model, message_to_tracked_frame
from mot_perception.messages.synchronise import Stamped, stamp_of, synchronise
from mot_perception.messages.typestore import COMPRESSED_IMAGE
from mot_perception.types import NANOSECONDS, TrackState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rosbags.interfaces import Connection


DEFAULT_PERIOD_NS = NANOSECONDS // 10


def open_bag(
    path: Path,
    *,
    topics: Topics | None = None,
    score_range: tuple[float, float] | None = None,
) -> Sequence:
    """Open a bag: topics are chosen here, messages are read while one iterates.

    A frame is an image with the depth, detections and ground truth whose stamps are nearest,
    at most half a frame away; the camera info is the latest one. Where there are detections,
    images without are left out, as frames that the detector dropped: the index counts them. In a
    bag without images, each message of detections is a frame. Frames come in the order of the log,
    with the stamps of their headers, also where time jumps back.

    Args:
        path: Folder of the bag, `.mcap`, or `.db3` file.
        topics: Topics to read.
        score_range: (low, high) of the detections' scores if they are not in [0, 1].

    Raises:
        UserError: Missing, damaged, cut off; no topic fits or several do.
    """
    wanted, classes = topics or Topics(), ClassIndex()
    with BagFile(path) as bag:
        reader = BagReader(bag, choose_topics(bag, wanted))
        width, height = reader.size
        lead = reader.connections[reader.leader]
        length, period = lead.msgcount, reader.period_ns
        roles, files = set(reader.connections), bag.files

    def read(decode: bool) -> Iterator[Item]:
        with BagFile(path) as bag:
            reader = BagReader(bag, choose_topics(bag, wanted), score_range, classes)
            yield from reader.items(decode)

    def ground_truth() -> MotRows | None:
        return _rows(read(False)) if 'ground_truth' in roles else None

    return Sequence(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        fps=NANOSECONDS / period if period > 0 else None,
        width=width,
        height=height,
        length=length,
        has_images='image' in roles,
        has_detections='detections' in roles,
        input_files=files,
        frames=lambda: read(True),
        read_ground_truth=ground_truth,
        class_names=classes.names,
    )


class BagReader:
    """Turns the messages of an open bag into items.

    Args:
        bag: The bag.
        connections: Topics by role, of `choose_topics`.
        score_range: See `open_bag`.
        classes: Numbers the class names of detections.

    Attributes:
        leader: The role whose messages make the frames.
        size: Width and height of the first frame, 0 where unknown.
    """

    def __init__(
        self,
        bag: BagFile,
        connections: dict[str, Connection],
        score_range: tuple[float, float] | None = None,
        classes: ClassIndex | None = None,
    ) -> None:
        self._bag = bag
        self.connections = connections
        self.leader = 'image' if 'image' in connections else 'detections'
        self._frames = FrameReader(
            {role: connection.msgtype for role, connection in connections.items()},
            {role: self._where(role) for role in connections},
            class_index=classes,
            score_range=score_range,
        )
        if 'camera_info' in connections:  # the first one may come after the first image
            self._frames.camera = camera_model(bag.first(connections['camera_info']))
        self.size = self._first_size()

    @property
    def period_ns(self) -> float:
        """Mean time between frames."""
        gaps = self.connections[self.leader].msgcount - 1
        return self._bag.duration_ns / gaps if gaps > 0 else 0.0

    def _first_size(self) -> tuple[int, int]:
        """Return width and height of the first image, of the camera, or 0."""
        if 'image' not in self.connections:
            camera = self._frames.camera
            return (camera.width, camera.height) if camera else (0, 0)
        first = self._bag.first(self.connections['image'])
        if self.connections['image'].msgtype == COMPRESSED_IMAGE:
            return picture_size(first.data, self._where('image'))
        return int(first.width), int(first.height)

    def items(self, decode: bool) -> Iterator[Item]:
        """Yield the frames; without `decode`, images and depth are left out."""
        for index, found in self.found():
            yield self.item(index, found, decode=decode)

    def found(self) -> Iterator[tuple[int, dict[str, Stamped]]]:
        """Yield number and messages of each frame."""
        beside = set(self.connections) - {self.leader, 'camera_info'}
        tolerance = min(self.period_ns or DEFAULT_PERIOD_NS, NANOSECONDS) / 2
        for index, found in enumerate(synchronise(self._feed(), self.leader, beside, tolerance)):
            if 'detections' in found or 'detections' not in self.connections:
                yield index, found

    def _feed(self) -> Iterator[Stamped]:
        roles = {connection.topic: role for role, connection in self.connections.items()}
        for connection, log_ns, raw in self._bag.messages(self.connections.values()):
            role = roles[connection.topic]
            if role == 'camera_info':
                self._frames.latch_camera(raw)
            else:
                yield Stamped(role, stamp_of(raw, log_ns), log_ns, raw)

    def item(self, index: int, found: dict[str, Stamped], *, decode: bool) -> Item:
        """Return the frame of messages.

        Raises:
            UserError: One of them cannot be read.
        """
        frame, detections = self._frames.read(found, index, pixels=decode)
        truth = found.get('ground_truth')
        return Item(frame, detections, _truth(self._message(truth)) if truth else None)

    def _message(self, stamped: Stamped) -> Any:
        return self._bag.decode(stamped.raw, self.connections[stamped.role])

    def _where(self, role: str) -> str:
        return f'{self._bag.path}: {self.connections[role].topic}'


def _truth(message: Any) -> GroundTruth:
    tracks = message_to_tracked_frame(message).tracks
    there = tracks.state != TrackState.REMOVED
    return GroundTruth(tracks.id[there], tracks.xyxy[there])


def _rows(items: Iterator[Item]) -> MotRows:
    frames, ids, boxes = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty((0, 4))]
    for item in items:
        if item.ground_truth is not None:
            ids.append(item.ground_truth.ids)
            boxes.append(item.ground_truth.xyxy)
            frames.append(np.full(len(ids[-1]), item.frame.index + 1))
    rows = MotRows.of(np.concatenate(frames), np.concatenate(ids), np.concatenate(boxes))
    return replace(rows, label=np.full(len(rows), PEDESTRIAN, np.int32))
