"""Names of topics, nodes and types: as ROS 2 spells them, and as they travel over DDS.

Rules: design.ros2.org/articles/topic_and_service_names.html.
"""

from __future__ import annotations

import re

from mot_perception.errors import UserError
from mot_perception.messages.typestore import typestore

NODE_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,254}')
FULL_NAME = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')
LONGEST_NAME = 247
TOPIC_PREFIX = 'rt'
"""What rmw puts before the names of topics; services have others."""


def check_node(name: str, namespace: str) -> None:
    """Check the name of a node and its namespace.

    Raises:
        UserError: One of them is no ROS name.
    """
    if not NODE_NAME.fullmatch(name):
        raise UserError(f'node name {name!r:.60}: use letters, digits and _, no digit first')
    if namespace != '/' and not _is_full(namespace):
        raise UserError(f'namespace {namespace!r:.60}: write it as / or /robot/front')


def resolve(name: str, node: str, namespace: str = '/') -> str:
    """Return the full name of a topic.

    Args:
        name: 'tracks' is relative to the namespace, '~/markers' to the node, '/tracks' is full.
        node: Name of the node.
        namespace: Its namespace, '/' or '/robot'.

    Raises:
        UserError: It is no ROS name.
    """
    root = namespace.rstrip('/')
    if name.startswith('~/'):
        full = f'{root}/{node}/{name[2:]}'
    elif name.startswith('/'):
        full = name
    else:
        full = f'{root}/{name}'
    if not _is_full(full):
        raise UserError(
            f'topic {name!r:.80}: names are words of letters, digits and _ (no digit first) '
            'with / between them, such as /camera/image_raw'
        )
    return full


def dds_topic(full_name: str) -> str:
    """Return what a topic is called on DDS: 'rt/tracks' for '/tracks'."""
    return TOPIC_PREFIX + full_name


def ros_topic(dds_name: str) -> str | None:
    """Return the full ROS name of a DDS topic; None if it is no ROS topic."""
    prefix, slash, rest = dds_name.partition('/')
    return slash + rest if prefix == TOPIC_PREFIX and rest else None


def dds_type(msgtype: str) -> str:
    """Return what a type is called on DDS: 'std_msgs::msg::dds_::String_'."""
    package, kind, name = msgtype.split('/')
    return f'{package}::{kind}::dds_::{name}_'


def ros_type(dds_name: str) -> str:
    """Return the ROS name of a DDS type; the same name if it is none of ROS."""
    found = re.fullmatch(r'(\w+)::(\w+)::dds_::(\w+)_', dds_name)
    return '/'.join(found.groups()) if found else dds_name


def type_hash(msgtype: str) -> str:
    """Return the REP 2016 hash of a type, 'RIHS01_' and 64 hexadecimal digits."""
    return str(typestore().hash_rihs01(msgtype))


def _is_full(name: str) -> bool:
    return len(name) <= LONGEST_NAME and FULL_NAME.fullmatch(name) is not None
