"""An engine's view of the DDS node that it works in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mot_perception.errors import UserError
from mot_perception.runtime.outputs import diagnostics_message
from mot_perception.runtime.topics import OUTPUTS, inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mot_perception.config import Config
    from mot_perception.dds.endpoints import DdsPublisher, DdsSubscription
    from mot_perception.dds.node import DdsNode
    from mot_perception.runtime.engine import Engine
    from mot_perception.runtime.topics import Topic

CAMERA = '{camera}'
"""Stands for the name of the camera in the name of a topic."""
DIAGNOSTICS = '/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray'


@dataclass(frozen=True)
class Names:
    """What topics are called instead of 'image', 'tracks', …; `{camera}` stands for a camera.

    Attributes:
        inputs: By what they carry.
        outputs: By what they carry.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class DdsPorts:
    """Publishers and subscriptions of a tracker, for serialised messages of each camera.

    Args:
        node: The node.
        config: Names the cameras and transports.
        names: Of topics that are called otherwise than usual.
        reliable: Ask publishers to send again what was lost.
        log: Is told (level, line).

    Raises:
        UserError: One name would serve several cameras.
    """

    def __init__(
        self,
        node: DdsNode,
        config: Config,
        names: Names,
        *,
        reliable: bool,
        log: Callable[[str, str], None],
    ) -> None:
        self._node, self._names, self._reliable = node, names, reliable
        self._inputs = inputs(config, 'track')
        self._cameras, self._queue = config.stream.cameras, config.stream.queue
        self.log = log
        self.subscriptions: dict[tuple[str, str], DdsSubscription] = {}
        self._publishers: dict[tuple[str, str], DdsPublisher] = {}
        self._diagnostics: DdsPublisher | None = None
        for name in [*names.inputs.values(), *names.outputs.values()]:
            if len(self._cameras) > 1 and CAMERA not in name:
                raise UserError(
                    f'{name}: one topic for {len(self._cameras)} cameras; write /{CAMERA}/…'
                )

    def advertise(self) -> None:
        """Create the publishers."""
        for output, topic in OUTPUTS['track'].items():
            for camera in self._cameras:
                self._publishers[camera, output] = self._node.advertise(
                    self._name(self._names.outputs.get(output), topic, camera),
                    topic.msgtype,
                    depth=topic.kept,
                )
        self._diagnostics = self._node.advertise(*DIAGNOSTICS)

    def subscribe(self, engine: Engine) -> None:
        """Hand what arrives to an engine."""
        for camera in self._cameras:
            for role, topic in self._inputs.items():
                self.subscriptions[camera, role] = self._node.subscribe(
                    self.topic(camera, role),
                    topic.msgtype,
                    partial(engine.receive, camera, role),
                    reliable=self._reliable,
                    depth=self._queue,
                )

    def publish(self, camera: str, output: str, data: bytes) -> None:
        """Send a serialised message; see `Ports`."""
        self._publishers[camera, output].publish(data)

    def wanted(self, camera: str, output: str) -> bool:
        """Return whether somebody listens to an output."""
        return self._publishers[camera, output].subscribers > 0

    def has_field(self, output: str, field: str) -> bool:
        """Return True: messages are those of our own, newest definitions."""
        return True

    def topic(self, camera: str, role: str) -> str:
        """Return the full name of the topic of an input."""
        topic = self._inputs[role]
        return self._name(self._names.inputs.get(role), topic, camera) + topic.transport

    def now_ns(self) -> int:
        """Return the time of the system: images are stamped by it."""
        return time.time_ns()

    def diagnose(self, engine: Engine) -> None:
        """Publish how the cameras fare."""
        for camera in self._cameras:
            found = engine.diagnose(camera)
            if self._diagnostics is not None:
                self._diagnostics.publish(
                    diagnostics_message(
                        self.now_ns(),
                        f'{self._node.name}: {camera or "camera"}',
                        'none',
                        found.level,
                        found.message,
                        found.values,
                    )
                )

    def _name(self, given: str | None, topic: Topic, camera: str) -> str:
        name = topic.of(camera) if given is None else given.replace(CAMERA, camera)
        return self._node.resolve(name)
