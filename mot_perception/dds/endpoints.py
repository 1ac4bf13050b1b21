"""Publishers and subscriptions of a node without ROS."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from cyclonedds.core import DDSException, DDSStatus

from mot_perception.dds.carrier import (
    ENCAPSULATION,
    MOST_TAKEN,
    PLAIN_CDR,
    take_bytes,
    write_bytes,
)
from mot_perception.dds.ros_names import type_hash
from mot_perception.messages.cdr import LARGEST_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader

    from mot_perception.dds.neighbours import Publication

POLICIES = {2: 'durability', 4: 'deadline', 8: 'liveliness', 11: 'reliability'}
"""DDS's numbers of the policies that a ROS user can set, and that may be incompatible."""


class _Version:
    """Reports once that another process has another version of a message type.

    ROS 2 lets such processes meet; the bytes may mean something else there.
    """

    def __init__(
        self, of: Publication, others: Callable[[], set[str]], report: Callable[[str], None]
    ) -> None:
        self._of, self._others, self._report = of, others, report
        self._met, self._said = 0, False

    def check(self, met: int) -> None:
        """Look at who is there if somebody has come since the last look."""
        if met == self._met or self._said:
            return
        self._met = met
        if self._others() - {type_hash(self._of.msgtype)}:
            self._said = True
            self._report(
                f'{self._of.topic}: another process has another version of {self._of.msgtype}; '
                'what is sent may be misread'
            )


class DdsSubscription:
    """A subscription of a node.

    Attributes:
        wanted: Topic, type, and what is asked for.
        entity: Cyclone's reader.
        received: Messages handed to the callback.
        malformed: Messages that were no CDR or too large.
        failed: Messages whose callback raised.
    """

    def __init__(
        self,
        wanted: Publication,
        reader: DataReader[Any],
        callback: Callable[[bytes], None],
        others: Callable[[], set[str]],
        report: Callable[[str], None],
    ) -> None:
        self.wanted = wanted
        self.entity: Any = reader
        self._callback, self._report = callback, report
        self._version = _Version(wanted, others, report)
        self.received = self.malformed = self.failed = 0
        reader.set_status_mask(
            DDSStatus.DataAvailable
            | DDSStatus.RequestedIncompatibleQos
            | DDSStatus.SubscriptionMatched
        )

    @property
    def publishers(self) -> int:
        """How many publishers there are whose messages can arrive."""
        return _matched(self.entity.get_subscription_matched_status)

    def look(self) -> None:
        """Hand on what has arrived, and report publishers that cannot be heard or understood.

        Raises:
            DDSException: The reader is gone.
        """
        status = self.entity.get_requested_incompatible_qos_status()
        if status.total_count_change:
            self._report(
                f'{self.wanted.topic}: a publisher is not heard, for it offers less '
                f'{_policy(status.last_policy_id)} than is asked for'
            )
        self._version.check(self.entity.get_subscription_matched_status().total_count)
        taken = MOST_TAKEN
        while taken == MOST_TAKEN:
            samples = take_bytes(self.entity)
            taken = len(samples)
            for data in samples:
                self._hand_on(data)

    def _hand_on(self, data: bytes) -> None:
        if not ENCAPSULATION < len(data) <= LARGEST_MESSAGE or data[:2] not in PLAIN_CDR:
            self.malformed += 1
            if self.malformed == 1:
                self._report(
                    f'{self.wanted.topic}: {len(data)} bytes that are no ROS message are left out'
                )
            return
        try:
            self._callback(data)
        except Exception as error:
            self.failed += 1
            if self.failed == 1:
                self._report(f'{self.wanted.topic}: {type(error).__name__}: {error}')
        else:
            self.received += 1


class DdsPublisher:
    """A publisher of a node.

    Attributes:
        offered: Topic, type, and what is offered.
        entity: Cyclone's writer.
        lost: Messages given up because subscribers lagged behind.
    """

    def __init__(
        self,
        offered: Publication,
        writer: DataWriter[Any],
        others: Callable[[], set[str]],
        report: Callable[[str], None],
    ) -> None:
        self.offered = offered
        self.entity: Any = writer
        self._report = report
        self._version = _Version(offered, others, report)
        self.lost = 0
        self._writing = Lock()
        self._open = True
        writer.set_status_mask(DDSStatus.OfferedIncompatibleQos | DDSStatus.PublicationMatched)

    @property
    def subscribers(self) -> int:
        """How many subscribers there are that messages can reach."""
        return _matched(self.entity.get_publication_matched_status) if self._open else 0

    def publish(self, data: bytes) -> None:
        """Send a message, for any thread; reliably, it may wait a tenth of a second for readers.

        Nothing happens after the node has closed.

        Args:
            data: CDR with its 4 bytes of encapsulation.

        Raises:
            ValueError: That is no message.
            DDSException: Cyclone refuses it.
        """
        if len(data) <= ENCAPSULATION:
            raise ValueError(f'{self.offered.topic}: {len(data)} bytes are no message')
        with self._writing:  # so that the writer does not go away meanwhile
            if not self._open or write_bytes(self.entity, data):
                return
            self.lost += 1
        if self.lost == 1:
            self._report(f'{self.offered.topic}: a subscriber lags behind; messages are lost')

    def look(self) -> None:
        """Report subscribers that cannot be reached, or would misread.

        Raises:
            DDSException: The writer is gone.
        """
        status = self.entity.get_offered_incompatible_qos_status()
        if status.total_count_change:
            self._report(
                f'{self.offered.topic}: a subscriber is not reached, for it asks for more '
                f'{_policy(status.last_policy_id)} than is offered'
            )
        self._version.check(self.entity.get_publication_matched_status().total_count)

    def close(self) -> None:
        """Publish nothing any more."""
        with self._writing:
            self._open = False


def _matched(status: Callable[[], Any]) -> int:
    try:
        return int(status().current_count)
    except DDSException:  # the node has closed meanwhile
        return 0


def _policy(number: int) -> str:
    return POLICIES.get(number, f'policy {number}')
