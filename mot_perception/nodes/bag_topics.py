"""Which topics of a bag `replay.launch.py` plays, told by the bag's metadata.yaml alone.

Like `launching`, this must not import what the Python of ROS may not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from mot_perception.nodes.launching import BACKENDS, method_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping

ROLES = {
    'image': 'images',
    'depth': 'depth images',
    'camera_info': 'intrinsics',
    'detections': 'detections',
}
"""Launch arguments that name a topic of the bag, and what it carries."""
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
TYPES = {
    'image': (IMAGE, COMPRESSED),
    'depth': (IMAGE, COMPRESSED),
    'camera_info': ('sensor_msgs/msg/CameraInfo',),
    'detections': ('vision_msgs/msg/Detection2DArray',),
}
TRANSPORTS = {
    'image': ('image_transport', 'compressed'),
    'depth': ('depth_transport', 'compressedDepth'),
}
"""For roles with images: the launch argument of the transport, and its compressed value."""
MOST_METADATA_BYTES = 16 << 20


def choose_topics(given: MutableMapping[str, str]) -> list[str]:
    """Find the topics to play; write them and their transports into the launch arguments.

    A topic that is not named is found by its type; images with 'depth' in their name are depth.
    As in an offline replay, detections that the bag has are used unless FDTA finds its own, and
    depth that was found is used if the parameters say so.

    Args:
        given: The launch arguments.

    Returns:
        The topics' names in the bag.

    Raises:
        RuntimeError: There is no such bag or topic, or several fit; one line that says so.
    """
    recorded = _recorded(Path(given['bag']).expanduser())
    played: list[str] = []
    for role in ROLES:
        if given[role]:
            name = _named(role, given, recorded)
            given[role] = _base(role, name, given)
        elif name := _find(role, given, recorded):
            _announce(role, _base(role, name, given), given)
        if name:
            played.append(name)
    if not given['image'] and not given['detections']:
        there = ', '.join(sorted(recorded)) or 'nothing that its metadata.yaml names'
        raise RuntimeError(f'bag: neither images nor detections; it holds {there:.400}')
    if not given['image']:
        given['image_transport'] = 'none'
    return played


def _recorded(bag: Path) -> dict[str, str]:
    """Return the types of the topics that have messages; nothing where metadata is missing."""
    if not bag.exists():
        raise RuntimeError(f'bag: {bag} does not exist')
    file = bag / 'metadata.yaml'
    if not file.is_file():
        return {}
    try:
        with file.open('rb') as stream:
            information = yaml.safe_load(stream.read(MOST_METADATA_BYTES))
        topics = information['rosbag2_bagfile_information']['topics_with_message_count']
        return {
            str(it['topic_metadata']['name']): str(it['topic_metadata']['type'])
            for it in topics
            if it['message_count']
        }
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise RuntimeError(f'bag: {file} cannot be read; is this a rosbag2 bag?') from None


def _named(role: str, given: Mapping[str, str], recorded: Mapping[str, str]) -> str:
    """Return the topic that an argument names, or its compressed copy if only that is there."""
    name = given[role]
    names = [name]
    if role in TRANSPORTS:
        argument, compressed = TRANSPORTS[role]
        names.append(f'{name}/{compressed}')
        if given[argument] == compressed:
            names.reverse()
    if not recorded:
        return names[0]
    found = next((it for it in names if recorded.get(it) in TYPES[role]), '')
    if not found:
        there = ', '.join(it for it, kind in recorded.items() if kind in TYPES[role]) or 'none'
        raise RuntimeError(f'{role}:={name}: the bag has no such topic; of its type: {there:.300}')
    return found


def _find(role: str, given: Mapping[str, str], recorded: Mapping[str, str]) -> str:
    """Return the topic of the bag that fits a role, or nothing."""
    if given.get(BACKENDS.get(role, ''), '') not in ('', 'topic'):
        return ''
    if role == 'detections' and method_of(given) == 'fdta':
        return ''
    found = [name for name, kind in recorded.items() if kind in TYPES[role]]
    if role in TRANSPORTS:
        found = [it for it in found if ('depth' in it.lower()) == (role == 'depth')]
        found = _of_transport(role, given, found, recorded)
    if role == 'camera_info' and len(found) > 1:
        beside = given['image'].rpartition('/')[0] + '/camera_info'
        found = [name for name in found if name == beside] or found
    if len(found) > 1:
        raise RuntimeError(f'{role}: several topics fit, {", ".join(found)}: give {role}:=')
    return found[0] if found else ''


def _of_transport(
    role: str, given: Mapping[str, str], found: Collection[str], recorded: Mapping[str, str]
) -> list[str]:
    """Keep what the node can subscribe to: of an image and its compressed copy, one."""
    argument, compressed = TRANSPORTS[role]
    raw = [it for it in found if recorded[it] == IMAGE]
    packed = [it for it in found if recorded[it] == COMPRESSED and it.endswith(f'/{compressed}')]
    if given[argument]:
        return packed if given[argument] == compressed else raw
    return raw + [it for it in packed if it.removesuffix(f'/{compressed}') not in raw]


def _base(role: str, name: str, given: MutableMapping[str, str]) -> str:
    """Return the name that the node wants, to which it appends the transport; set that."""
    if role not in TRANSPORTS:
        return name
    argument, compressed = TRANSPORTS[role]
    if name.endswith(f'/{compressed}'):
        given[argument] = compressed
    return name.removesuffix(f'/{compressed}')


def _announce(role: str, name: str, given: MutableMapping[str, str]) -> None:
    """Write a topic that was found into the launch arguments."""
    if role == 'depth':  # the argument would ask for its use
        given['remappings'] += f' depth:={name}'
    else:
        given[role] = name
