"""A rosbag2 bag as a list of topics and a stream of raw messages; every fault is a UserError.

Messages are decoded with our own type definitions, never with classes generated from the text in
the bag: nothing in a file runs as code. Where that text differs from ours, the topic is refused.
"""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg

from mot_perception.errors import UserError
from mot_perception.messages.typestore import typestore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from rosbags.interfaces import Connection

STORAGES = '.mcap', '.db3'


class BagFile:
    """An open bag; a context manager.

    Args:
        path: Folder of the bag, or its only `.mcap` or `.db3` file.

    Raises:
        UserError: On entering: missing, damaged, cut off, of an unknown kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _storage(path)
        self._checked: set[str] = set()

    def __enter__(self) -> Self:
        with self._faults():
            self._reader = Reader(self._file)
            self._reader.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._faults():
            self._reader.close()

    @property
    def connections(self) -> list[Connection]:
        """The topics that have messages; each once, however many wrote to it."""
        topics: dict[str, Connection] = {}
        for it in self._reader.connections:
            before = topics[it.topic].msgcount if it.topic in topics else 0
            topics[it.topic] = it._replace(msgcount=it.msgcount + before)
        return [it for it in topics.values() if it.msgcount and it.topic.isprintable()]

    @property
    def duration_ns(self) -> int:
        """Time between the first and the last message."""
        return max(self._reader.duration - 1, 0)

    @property
    def files(self) -> list[Path]:
        """The files that the bag consists of."""
        if self._file.is_file():
            return [self._file]
        return sorted(file for file in self._file.iterdir() if file.is_file())

    def topic(self, name: str, types: Collection[str]) -> Connection:
        """Return a topic by its name.

        Raises:
            UserError: The bag has no such topic (the nearest is named), or it has another type.
        """
        found = [connection for connection in self.connections if connection.topic == name]
        names = [connection.topic for connection in self.connections]
        if not found:
            near = difflib.get_close_matches(name, names, 1, 0)
            hint = f'did you mean {near[0]}?' if near else 'the bag is empty'
            raise UserError(f'{self.path}: no messages on topic {name}; {hint}')
        if found[0].msgtype not in types:
            wanted = ' or '.join(types)
            raise UserError(f'{self.path}: {name} is {found[0].msgtype}; name a topic of {wanted}')
        return found[0]

    def messages(
        self,
        connections: Collection[Connection],
        *,
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (topic, log time in ns, raw message) in the order of log times.

        Args:
            connections: The topics.
            start: First log time; None: that of the bag.
            stop: Log time of the first message that is left out; None: none is.

        Raises:
            UserError: The bag breaks off, or a type differs from ours.
        """
        for connection in connections:
            if connection.topic not in self._checked:
                self._check_definition(connection)
                self._checked.add(connection.topic)
        kinds = {(it.topic, it.msgtype) for it in connections}
        every = [it for it in self._reader.connections if (it.topic, it.msgtype) in kinds]
        stream = iter(self._reader.messages(every, start, stop))
        while True:
            with self._faults():
                message = next(stream, None)
            if message is None:
                return
            yield message

    def first(self, connection: Connection) -> Any:
        """Return the first message of a topic, decoded."""
        for _, _, raw in self.messages([connection]):
            return self.decode(raw, connection)
        raise UserError(f'{self.path}: no messages on {connection.topic}; record it again')

    def decode(self, raw: bytes, connection: Connection) -> Any:
        """Return the message of raw bytes.

        Raises:
            UserError: They are not a message of the topic's type.
        """
        with self._faults(f' on {connection.topic}'):
            return typestore().deserialize_cdr(raw, connection.msgtype)

    def _check_definition(self, connection: Connection) -> None:
        """Compare the fields in the bag with ours; text without definition is taken on trust."""
        with self._faults(f' on {connection.topic}'):
            if connection.msgdef.format != MessageDefinitionFormat.MSG:
                return
            given = get_types_from_msg(connection.msgdef.data, connection.msgtype)
        ours = typestore().fielddefs
        for name, (_, fields) in given.items():
            if name in ours and [*ours[name][1]] != [*fields]:
                raise UserError(
                    f'{self.path}: {connection.topic} was recorded with another version of {name};'
                    ' convert it to the one of ROS 2 Jazzy'
                )

    @contextmanager
    def _faults(self, where: str = '') -> Iterator[None]:
        # What rosbags raises on damaged files is not limited to its own exceptions.
        try:
            yield
        except Exception as error:
            why = ' '.join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f'{self.path}: damaged or cut off{where} ({why}); record or copy it again'
            ) from error


def _storage(path: Path) -> Path:
    """Return what rosbags opens: a folder with metadata.yaml, or a storage file."""
    if not path.exists():
        raise UserError(f'{path}: does not exist; give the folder of a rosbag2 bag')
    if path.is_file() or (path / 'metadata.yaml').exists():
        return path
    files = [file for file in sorted(path.iterdir()) if file.suffix in STORAGES]
    if len(files) != 1:
        raise UserError(f'{path}: a bag without metadata.yaml; run "ros2 bag reindex {path}"')
    return files[0]
