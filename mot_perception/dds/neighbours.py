"""Who else is in the domain, and why a topic may be silent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from cyclonedds.builtin import (
    BuiltinDataReader,
    BuiltinTopicDcpsParticipant,
    BuiltinTopicDcpsPublication,
)
from cyclonedds.qos import Policy

from mot_perception.dds.ros_names import ros_topic, ros_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclonedds.builtin import BuiltinTopic
    from cyclonedds.domain import DomainParticipant

MOST_NEIGHBOURS = 2000
MOST_NAMED = 4
TYPE_HASH = re.compile(r'typehash=(RIHS\d\d_[0-9a-f]{64});')


@dataclass(frozen=True)
class Publication:
    """A publisher of another process.

    Attributes:
        topic: Full ROS name.
        msgtype: ROS type.
        reliable: Whether it offers reliable delivery.
        latched: Whether it keeps its last messages for those who come later.
    """

    topic: str
    msgtype: str
    reliable: bool = True
    latched: bool = False


def participants(own: DomainParticipant) -> int:
    """Return how many other participants there are: about one for each ROS process."""
    found = BuiltinDataReader(own, BuiltinTopicDcpsParticipant).read(MOST_NEIGHBOURS)
    return sum(sample.key != own.guid for sample in found)


def publications(own: DomainParticipant) -> list[Publication]:
    """Return the publishers of ROS topics in other processes."""
    # A reader for each look: one that stays would keep all who have left.
    found = BuiltinDataReader(own, BuiltinTopicDcpsPublication).read(MOST_NEIGHBOURS)
    return [
        Publication(
            topic,
            ros_type(sample.type_name),
            sample.qos[Policy.Reliability] != Policy.Reliability.BestEffort,
            sample.qos[Policy.Durability] != Policy.Durability.Volatile,
        )
        for sample in found
        if sample.participant_key != own.guid and (topic := ros_topic(sample.topic_name))
    ]


def type_hashes(own: DomainParticipant, kind: BuiltinTopic, topic: str) -> set[str]:
    """Return the versions of its type that others announce for a ROS topic.

    Args:
        own: Our participant.
        kind: Of publications or of subscriptions.
        topic: Full ROS name.
    """
    found: set[str] = set()
    for sample in BuiltinDataReader(own, kind).read(MOST_NEIGHBOURS):
        said = sample.qos[Policy.Userdata]
        if sample.participant_key != own.guid and ros_topic(sample.topic_name) == topic and said:
            found.update(TYPE_HASH.findall(said.data.decode('latin')))
    return found


def why_silent(wanted: Publication, heard: Sequence[Publication], others: int, domain: int) -> str:
    """Say in one line why nothing arrives on a topic, and what to do.

    Args:
        wanted: The topic, its type, and what the subscriber asks for.
        heard: Publishers of other processes.
        others: Other participants.
        domain: Number of the domain.
    """
    if not others:
        return (
            f'nobody else is in domain {domain}: compare ROS_DOMAIN_ID on both sides, '
            'ROS_AUTOMATIC_DISCOVERY_RANGE and the firewall (UDP from port 7400, multicast)'
        )
    same = [it for it in heard if it.topic == wanted.topic]
    if not same:
        return f'nobody publishes it; {_nearest(wanted, heard)}'
    if wrong := [it for it in same if it.msgtype != wanted.msgtype]:
        return f'it carries {wrong[0].msgtype}, not {wanted.msgtype}'
    if wanted.reliable and not all(it.reliable for it in same):
        return 'its publisher is best effort, but reliable delivery is asked for'
    if wanted.latched and not all(it.latched for it in same):
        return 'its publisher is volatile, but transient local is asked for'
    return (
        'its publisher is there but nothing comes: either it sends nothing, or large messages get '
        'lost on the way (net.core.rmem_max, see docs/live.md)'
    )


def _nearest(wanted: Publication, heard: Sequence[Publication]) -> str:
    """Name the topics that were probably meant: of that type, else of a similar name."""
    fitting = sorted({it.topic for it in heard if it.msgtype == wanted.msgtype})
    names = sorted({it.topic for it in heard})
    kind = wanted.msgtype.rsplit('/', 1)[-1]
    if fitting:
        nearest = get_close_matches(wanted.topic, fitting, n=MOST_NAMED, cutoff=0)
        return f'{kind} is published on {", ".join(nearest)}'
    if close := get_close_matches(wanted.topic, names, n=MOST_NAMED, cutoff=0.6):
        types = {it.topic: it.msgtype for it in heard}
        nearest = [f'{name} ({types[name]})' for name in close]
        return f'no {kind} is published at all; similar names: {", ".join(nearest)}'
    return f'no {kind} is published at all'
