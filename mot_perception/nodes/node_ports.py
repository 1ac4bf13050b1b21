"""An engine's view of the node that it works in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from mot_perception.nodes.interfaces import message_class
from mot_perception.runtime.topics import OUTPUTS, inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.lifecycle import LifecycleNode, LifecyclePublisher

    from mot_perception.config import Config
    from mot_perception.runtime.engine import Engine
    from mot_perception.runtime.topics import Task, Topic


class NodePorts:
    """Publishers and subscriptions of a node, for serialised messages of each camera.

    Messages stay bytes: neither images nor tracks are turned into ROS's Python objects.

    Args:
        node: The node.
        config: Names the cameras and transports.
        task: What the node does.
    """

    def __init__(self, node: LifecycleNode, config: Config, task: Task) -> None:
        self._node, self._config, self._task = node, config, task
        self._publishers: dict[tuple[str, str], LifecyclePublisher] = {}
        self._subscriptions: list[Any] = []
        self._inputs = inputs(config, task)

    def advertise(self) -> None:
        """Create the publishers; types that are not installed are left out."""
        for output, topic in OUTPUTS[self._task].items():
            kind = message_class(topic.msgtype)
            if kind is None:
                package = topic.msgtype.partition('/')[0]
                self.log('info', f'{topic.name} is not published: {package} is not installed')
                continue
            for camera in self._config.stream.cameras:
                self._publishers[camera, output] = self._node.create_lifecycle_publisher(
                    kind,
                    topic.of(camera),
                    _quality(ReliabilityPolicy.RELIABLE, topic.kept),
                    qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                )

    def subscribe(self, engine: Engine) -> None:
        """Hand what arrives to an engine."""
        for camera in self._config.stream.cameras:
            for role, topic in self._inputs.items():
                self._subscriptions.append(self._subscription(engine, camera, role, topic))

    def unsubscribe(self) -> None:
        """Destroy the subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def close(self) -> None:
        """Destroy subscriptions and publishers."""
        self.unsubscribe()
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])

    def publish(self, camera: str, output: str, data: bytes) -> None:
        """Send a serialised message; see `Ports`."""
        if publisher := self._publishers.get((camera, output)):
            publisher.publish(data)

    def wanted(self, camera: str, output: str) -> bool:
        """Return whether somebody listens to an output."""
        publisher = self._publishers.get((camera, output))
        return publisher is not None and publisher.get_subscription_count() > 0

    def has_field(self, output: str, field: str) -> bool:
        """Return whether the installed messages of an output have a field."""
        kind = message_class(OUTPUTS[self._task][output].msgtype)
        return kind is not None and field in kind.get_fields_and_field_types()

    def topic(self, camera: str, role: str) -> str:
        """Return the full name of the topic of an input, remapped."""
        topic = self._inputs[role]
        return self._node.resolve_topic_name(topic.of(camera)) + topic.transport

    def now_ns(self) -> int:
        """Return the node's time: of the system, or simulated."""
        return int(self._node.get_clock().now().nanoseconds)

    def log(self, level: str, text: str) -> None:
        """Log one line; rclpy raises where one line of code logs with two severities."""
        logger = self._node.get_logger()
        if level == 'error':
            logger.error(text)
        elif level == 'warning':
            logger.warning(text)
        else:
            logger.info(text)

    def _subscription(self, engine: Engine, camera: str, role: str, topic: Topic) -> Any:
        def receive(data: bytes) -> None:
            engine.receive(camera, role, data)

        return self._node.create_subscription(
            message_class(topic.msgtype),
            self.topic(camera, role),
            receive,
            _quality(ReliabilityPolicy.BEST_EFFORT, self._config.stream.queue),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible(engine, camera, role)
            ),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            raw=True,
        )

    def _on_incompatible(self, engine: Engine, camera: str, role: str) -> Callable[[Any], None]:
        def report(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            engine.report(
                camera,
                f'{self.topic(camera, role)}: a publisher offers another {policy} than is asked '
                'for, nothing arrives from it; see qos_overrides',
            )

        return report


def _quality(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )
