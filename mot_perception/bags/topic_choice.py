"""Topics of a bag: named by the user, or found by type."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mot_perception.bags.topics import Topics
from mot_perception.errors import UserError
from mot_perception.messages.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    TRACKS,
)

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

    from mot_perception.bags.bag_file import BagFile

TYPES = {
    'image': (IMAGE, COMPRESSED_IMAGE),
    'depth': (IMAGE, COMPRESSED_IMAGE),
    'camera_info': (CAMERA_INFO,),
    'detections': (DETECTIONS,),
    'ground_truth': (TRACKS,),
}
TRANSPORTS = '/compressedDepth', '/compressed'


def choose_topics(bag: BagFile, topics: Topics) -> dict[str, Connection]:
    """Return the topics to read by role; roles without a topic are missing.

    Raises:
        UserError: A named topic is missing or of another type, several fit and none is named, or
            there is neither an image nor a detections topic.
    """
    chosen: dict[str, Connection] = {}
    for role in (field.name for field in fields(Topics)):
        name = getattr(topics, role)
        if name:
            chosen[role] = bag.topic(name, TYPES[role])
        elif name is None and (found := _find(bag, role, chosen)):
            chosen[role] = found
    if len({connection.topic for connection in chosen.values()}) < len(chosen):
        raise UserError(f'{bag.path}: one topic is named for two roles; name another for one')
    if 'image' not in chosen and 'detections' not in chosen:
        there = ', '.join(f'{it.topic} ({it.msgtype})' for it in bag.connections) or 'nothing'
        raise UserError(
            f'{bag.path}: neither images nor detections to read; it holds {there[:400]}'
        )
    return chosen


def _find(bag: BagFile, role: str, chosen: dict[str, Connection]) -> Connection | None:
    found = _candidates(bag, role, chosen)
    if len(found) > 1:
        names = ', '.join(connection.topic for connection in found)
        raise UserError(
            f'{bag.path}: several topics for {role}: {names}; name one in the configuration '
            f'(input.topics.{role})'
        )
    return found[0] if found else None


def _candidates(bag: BagFile, role: str, chosen: dict[str, Connection]) -> list[Connection]:
    found = [it for it in bag.connections if it.msgtype in TYPES[role]]
    taken = {connection.topic for connection in chosen.values()}
    if role in {'image', 'depth'}:
        wanted = role == 'depth'
        found = [it for it in found if it.topic not in taken and _is_depth(bag, it) == wanted]
        return _without_twins(found)
    if role == 'camera_info' and len(found) > 1 and 'image' in chosen:
        beside = _base(chosen['image'].topic).rpartition('/')[0] + '/camera_info'
        return [it for it in found if it.topic == beside] or found
    if role == 'ground_truth':
        return [it for it in found if it.topic.rpartition('/')[2] == 'ground_truth']
    return found


def _is_depth(bag: BagFile, connection: Connection) -> bool:
    message: Any = bag.first(connection)
    if connection.msgtype == COMPRESSED_IMAGE:
        return 'compressedDepth' in message.format or message.format.startswith('16UC1')
    if message.encoding == 'mono16':  # grey or depth: the name has to tell
        return 'depth' in connection.topic
    return message.encoding in {'16UC1', '32FC1'}


def _base(topic: str) -> str:
    for transport in TRANSPORTS:
        topic = topic.removesuffix(transport)
    return topic


def _without_twins(found: list[Connection]) -> list[Connection]:
    """Drop compressed copies of topics that are there uncompressed."""
    names = {connection.topic for connection in found}
    return [it for it in found if _base(it.topic) == it.topic or _base(it.topic) not in names]
