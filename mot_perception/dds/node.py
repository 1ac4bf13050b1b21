"""A ROS 2 node without ROS: it publishes and subscribes over DDS, in serialised messages."""

from __future__ import annotations

import logging
from functools import partial
from threading import Lock, Thread, current_thread
from time import sleep
from typing import TYPE_CHECKING, Any

from cyclonedds.builtin import BuiltinTopicDcpsPublication, BuiltinTopicDcpsSubscription
from cyclonedds.core import DDSException, GuardCondition, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.util import duration

from mot_perception.dds.carrier import RawTopic, quality
from mot_perception.dds.domain import domain_id, open_domain
from mot_perception.dds.endpoints import DdsPublisher, DdsSubscription
from mot_perception.dds.neighbours import (
    Publication,
    participants,
    publications,
    type_hashes,
    why_silent,
)
from mot_perception.dds.ros_graph import RosGraph
from mot_perception.dds.ros_names import check_node, dds_topic, resolve, type_hash
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

LOOK_EVERY = duration(seconds=1)
LEAVE_SECONDS = 2.0
PAUSE_SECONDS = 1.0


class DdsNode:
    """A participant with one node; a context manager.

    One thread of it calls back with what arrives, for all topics; so a callback must not wait.
    What a callback raises, and what is wrong with a topic, is reported once and counted.

    Args:
        name: Of the node.
        namespace: '/' or such as '/robot'.
        domain: 0 … 232; None: what ROS_DOMAIN_ID says, else 0.
        report: Is told in one line what is wrong; None: logged as a warning.

    Raises:
        UserError: A name or the domain is wrong, or the network cannot be used.
    """

    def __init__(
        self,
        name: str,
        namespace: str = '/',
        domain: int | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        check_node(name, namespace)
        self.name, self.namespace, self.domain = name, namespace, domain_id(domain)
        self._report = logging.getLogger(__name__).warning if report is None else report
        self._domain = open_domain(self.domain)
        try:
            self._participant = DomainParticipant(
                self.domain, Qos(Policy.Userdata(b'enclave=/;'), Policy.EntityName(name))
            )
        except DDSException as error:
            raise UserError(
                f'DDS domain {self.domain} cannot be joined ({error.msg or error}); is there a '
                'network interface that is up, and are fewer than 120 nodes on this machine?'
            ) from None
        self._graph = RosGraph(self._participant, name, namespace)
        self._wake = GuardCondition(self._participant)
        self._waiting = WaitSet(self._participant)
        self._waiting.attach(self._wake)
        self._readers: list[DdsSubscription] = []
        self._writers: list[DdsPublisher] = []
        self._changing = Lock()
        self._open = True
        self._thread = Thread(target=self._listen, name=f'dds {name}', daemon=True)
        self._tell()
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def full_name(self) -> str:
        """Namespace and name, as `ros2 node list` has it."""
        return f'{self.namespace.rstrip("/")}/{self.name}'

    @property
    def guid(self) -> str:
        """What DDS tells our participant by: 32 hexadecimal digits."""
        return str(self._participant.guid.hex)

    def resolve(self, name: str) -> str:
        """Return the full name of a topic: 'tracks', '~/markers' or '/tracks'.

        Raises:
            UserError: It is no ROS name.
        """
        return resolve(name, self.name, self.namespace)

    def subscribe(
        self,
        topic: str,
        msgtype: str,
        callback: Callable[[bytes], None],
        *,
        reliable: bool = False,
        depth: int = 1,
        latched: bool = False,
    ) -> DdsSubscription:
        """Subscribe to a topic.

        Args:
            topic: Its name; a relative one belongs to our namespace.
            msgtype: Such as 'sensor_msgs/msg/Image'.
            callback: Called in the node's thread with each message's CDR bytes.
            reliable: Ask for what was lost; best-effort publishers are not heard then.
            depth: Messages kept for a callback that is late; older ones give way.
            latched: Also get what was published before (transient local).

        Raises:
            UserError: It is no ROS name.
        """
        wanted = Publication(self.resolve(topic), msgtype, reliable, latched)
        reader: DataReader[Any] = DataReader(
            self._participant, self._topic(wanted), _quality(wanted, depth)
        )
        others = partial(type_hashes, self._participant, BuiltinTopicDcpsPublication, wanted.topic)
        subscription = DdsSubscription(wanted, reader, callback, others, self._report)
        self._add(subscription, self._readers)
        return subscription

    def advertise(
        self,
        topic: str,
        msgtype: str,
        *,
        reliable: bool = True,
        depth: int = 10,
        latched: bool = False,
    ) -> DdsPublisher:
        """Make a publisher.

        Args:
            topic: Its name; a relative one belongs to our namespace.
            msgtype: Such as 'sensor_msgs/msg/Image'.
            reliable: Send again what subscribers have lost, if they ask for it.
            depth: Messages that are kept for that, or for those who come later.
            latched: Send what was published before to those who come later.

        Raises:
            UserError: It is no ROS name.
        """
        offered = Publication(self.resolve(topic), msgtype, reliable, latched)
        writer: DataWriter[Any] = DataWriter(
            self._participant, self._topic(offered), _quality(offered, depth)
        )
        others = partial(
            type_hashes, self._participant, BuiltinTopicDcpsSubscription, offered.topic
        )
        publisher = DdsPublisher(offered, writer, others, self._report)
        self._add(publisher, self._writers)
        return publisher

    def why_silent(self, subscription: DdsSubscription) -> str:
        """Say in one line why nothing may arrive on a subscription, and what to do."""
        heard, others = publications(self._participant), participants(self._participant)
        return why_silent(subscription.wanted, heard, others, self.domain)

    def close(self) -> None:
        """Leave the domain; callbacks have ended when this returns. Again: nothing happens."""
        with self._changing:
            if not self._open:
                return
            self._open = False
        self._wake.set(True)
        if self._thread is not current_thread():
            self._thread.join(LEAVE_SECONDS)
        for writer in self._writers:
            writer.close()
        self._participant._delete(self._participant._ref)  # with all that belongs to it
        del self._domain  # the last node of a domain takes it along

    def _topic(self, of: Publication) -> RawTopic:
        return RawTopic(self._participant, dds_topic(of.topic), of.msgtype)

    def _add(self, endpoint: Any, to: list[Any]) -> None:
        with self._changing:
            to.append(endpoint)
        self._waiting.attach(endpoint.entity)
        self._tell()

    def _tell(self) -> None:
        with self._changing:
            readers = [it.entity for it in self._readers]
            self._graph.tell(readers, [it.entity for it in self._writers])

    def _endpoints(self) -> list[DdsSubscription | DdsPublisher]:
        return [*self._readers, *self._writers]

    def _listen(self) -> None:
        """Hand on what arrives, until the node closes.

        A thread that waits, no listeners: those are called with Cyclone's locks held, and would
        wait there for the interpreter.
        """
        while self._open:
            self._look()

    def _look(self) -> None:
        try:
            self._waiting.wait(LOOK_EVERY)
            for endpoint in self._endpoints():
                endpoint.look()
        except DDSException as error:
            if self._open:
                self._report(f'DDS: {error}')
                sleep(PAUSE_SECONDS)  # and try again: a topic must not fall silent for good


def _quality(of: Publication, depth: int) -> Qos:
    return quality(
        reliable=of.reliable,
        depth=depth,
        latched=of.latched,
        user_data=f'typehash={type_hash(of.msgtype)};',
    )
