"""Write messages to a rosbag2 bag (mcap, compressed) that appears whole or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mot_perception.bags.outputs import whole
from mot_perception.messages.typestore import typestore

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rosbags.interfaces import Connection


SIGN = 'metadata.yaml'
"""What every folder that is a bag holds."""


class BagWriter:
    """A bag that is being written; a context manager.

    The bag appears when the block ends without an exception, else nothing does.

    Args:
        path: Folder of the bag to make.
        force: Replace what is there.

    Raises:
        UserError: On entering: `path` exists and `force` is off; then: it cannot be written.
    """

    def __init__(self, path: Path | str, *, force: bool = False) -> None:
        self._path = Path(path)
        self._force = force
        self._connections: dict[str, Connection] = {}
        self._logged: dict[str, int] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(whole(self._path, force=self._force, sign=SIGN))
            writer = Writer(part, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP)
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
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

    def put(self, topic: str, msgtype: str, stamp_ns: int, message: Any) -> None:
        """Append a message of rosbags' classes at the time of its stamp."""
        self.put_raw(topic, msgtype, stamp_ns, typestore().serialize_cdr(message, msgtype))

    def put_raw(self, topic: str, msgtype: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append a serialised message at the time of its stamp.

        The log knows no time before 1970 and no way back: there, a message is logged 1 ns after
        the one before, so that it is read in the order it was written in.
        """
        if topic not in self._connections:
            connection = self._writer.add_connection(topic, msgtype, typestore=typestore())
            self._connections[topic] = connection
        self._logged[topic] = max(stamp_ns, self._logged.get(topic, -1) + 1)
        self._writer.write(self._connections[topic], self._logged[topic], data)
