"""The node in the ROS graph: what `ros2 node list` and `ros2 topic info -v` know of it.

DDS knows participants, readers and writers. Which node they belong to, each ROS process says on
the topic ros_discovery_info (rmw_dds_common).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from cyclonedds.pub import DataWriter

from mot_perception.dds.carrier import RawTopic, quality, write_bytes
from mot_perception.messages.cdr import write_message
from mot_perception.messages.typestore import typestore

if TYPE_CHECKING:
    from cyclonedds.core import Entity
    from cyclonedds.domain import DomainParticipant

TOPIC = 'ros_discovery_info'
MSGTYPE = 'rmw_dds_common/msg/ParticipantEntitiesInfo'
# rosbags makes another hash of types with a char in them.
HASH = 'RIHS01_91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e'


class RosGraph:
    """Tells other ROS processes which endpoints belong to our node.

    Args:
        participant: Ours.
        name: Of the node.
        namespace: Of the node.
    """

    def __init__(self, participant: DomainParticipant, name: str, namespace: str) -> None:
        self._participant, self._name, self._namespace = participant, name, namespace
        topic = RawTopic(participant, TOPIC, MSGTYPE)
        quality_of_service = quality(
            reliable=True, depth=1, latched=True, user_data=f'typehash={HASH};'
        )
        self._writer: DataWriter[Any] = DataWriter(participant, topic, quality_of_service)

    def tell(self, readers: list[Entity], writers: list[Entity]) -> None:
        """Say which readers and writers the node has now."""
        types = typestore().types
        node = types['rmw_dds_common/msg/NodeEntitiesInfo'](
            node_namespace=self._namespace,
            node_name=self._name,
            reader_gid_seq=[_gid(reader) for reader in readers],
            writer_gid_seq=[_gid(writer) for writer in writers],
        )
        message = types[MSGTYPE](gid=_gid(self._participant), node_entities_info_seq=[node])
        write_bytes(self._writer, write_message(message, MSGTYPE))


def _gid(entity: Entity) -> Any:
    return typestore().types['rmw_dds_common/msg/Gid'](
        data=np.frombuffer(entity.guid.bytes, np.uint8)
    )
