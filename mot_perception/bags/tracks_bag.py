"""Tracks as a rosbag2 bag: one `TrackedObjectArray` a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mot_perception.bags.bag_file import BagFile
from mot_perception.bags.bag_writer import BagWriter
from mot_perception.messages.mapping import message_to_tracked_frame
from mot_perception.messages.tracks_cdr import tracked_frame_to_cdr
from mot_perception.messages.typestore import TRACKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mot_perception.messages.mapping import ObjectExtras
    from mot_perception.types import TrackedFrame


class TracksBagWriter(BagWriter):
    """Writes tracks of one or more sequences; a context manager.

    Args:
        path: Folder of the bag to make.
        force: Replace what is there.
        class_names: Name of class 0, 1, ….

    Raises:
        UserError: On entering: `path` exists and `force` is off; then: it cannot be written.
    """

    def __init__(
        self, path: Path | str, *, force: bool = False, class_names: Sequence[str] = ()
    ) -> None:
        super().__init__(path, force=force)
        self._class_names = class_names

    def write(
        self, tracked: TrackedFrame, topic: str = '/tracks', extras: ObjectExtras | None = None
    ) -> None:
        """Append one frame at the time of its stamp.

        Args:
            tracked: What the tracker said of the frame.
            topic: Where to; each sequence of a set needs its own, such as `/<sequence>/tracks`.
            extras: Masks and embeddings, if they are wanted.
        """
        data = tracked_frame_to_cdr(tracked, self._class_names, extras)
        self.put_raw(topic, TRACKS, tracked.frame.stamp_ns, data)


def read_tracks(path: Path | str, topic: str = '/tracks') -> Iterator[TrackedFrame]:
    """Yield the tracks of a bag in the order of its log.

    Args:
        path: The bag.
        topic: Which of its topics.

    Raises:
        UserError: Missing, damaged, or without that topic.
    """
    with BagFile(Path(path)) as bag:
        connection = bag.topic(topic, [TRACKS])
        for _, _, raw in bag.messages([connection]):
            yield message_to_tracked_frame(bag.decode(raw, connection))
