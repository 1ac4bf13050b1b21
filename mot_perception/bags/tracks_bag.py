"""Tracks as a rosbag2 bag (mcap): one `TrackedObjectArray` a frame on `/tracks`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.rosbag2 import StoragePlugin, Writer

from mot_perception.bags.messages import tracked_frame_to_message
from mot_perception.bags.outputs import whole
from mot_perception.bags.typestore import TRACKS, message_classes, typestore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from rosbags.interfaces import Connection

    from mot_perception.types import TrackedFrame


class TracksBagWriter:
    """Writes tracks of one or more sequences; a context manager.

    The bag appears when the block ends without an exception, else nothing does.

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
        self._path = Path(path)
        self._force = force
        self._class_names = class_names
        self._stack = ExitStack()
        self._connections: dict[str, Connection] = {}
        self._writer: Writer

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(whole(self._path, force=self._force))
            writer = Writer(part, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP)
            self._writer = stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, tracked: TrackedFrame, topic: str = '/tracks') -> None:
        """Append one frame at the time of its stamp.

        Args:
            tracked: What the tracker said of the frame.
            topic: Where to; sequences of a set have a topic each, `/<sequence>/tracks`.
        """
        if topic not in self._connections:
            connection = self._writer.add_connection(topic, TRACKS, typestore=typestore())
            self._connections[topic] = connection
        message = tracked_frame_to_message(tracked, message_classes(), self._class_names)
        data = typestore().serialize_cdr(message, TRACKS)
        # A bag has no time before 1970.
        self._writer.write(self._connections[topic], max(tracked.frame.stamp_ns, 0), data)
