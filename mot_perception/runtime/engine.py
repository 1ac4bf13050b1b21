"""Serialised messages of cameras in, serialised results out: a node without its middleware.

Whoever receives messages hands them over and goes on; one thread of the engine does all the work.
"""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING

from mot_perception.runtime.health import ERROR, OK, Diagnosis
from mot_perception.runtime.lane import Lane
from mot_perception.runtime.mailbox import Mailbox
from mot_perception.runtime.warm_up import warm_up

if TYPE_CHECKING:
    from mot_perception.config import Config
    from mot_perception.messages.synchronise import Stamped
    from mot_perception.models import Models
    from mot_perception.runtime.ports import Ports
    from mot_perception.runtime.topics import Task

STOP_SECONDS = 10.0
"""How long a frame at hand may take before a stopping engine leaves it alone."""


class Engine:
    """Works on the frames of all cameras, one at a time, the newest of each first.

    Args:
        config: Settings.
        models: Loaded models, shared by all cameras.
        ports: The world outside.
        task: What is done with a frame.
    """

    def __init__(self, config: Config, models: Models, ports: Ports, task: Task = 'track') -> None:
        if task == 'track':
            warm_up(config, models)
        self._stream, self._models = config.stream, models
        self._lanes = {
            camera: Lane(camera, config, models, ports, task) for camera in config.stream.cameras
        }
        self._mailbox = self._new_mailbox()
        self._working = Lock()
        self._thread: Thread | None = None
        self.enabled = True

    def start(self) -> None:
        """Begin to work; frames that were left from before are forgotten, tracks are not."""
        self._mailbox = self._new_mailbox()
        for lane in self._lanes.values():
            lane.begin()
        self._thread = Thread(target=self._work, name='inference', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the frame at hand, and work no more."""
        self._mailbox.close()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def receive(self, camera: str, role: str, data: bytes) -> None:
        """Take a serialised message, for any thread; never waits for work, never raises.

        Args:
            camera: Whose; '' for the only one.
            role: What it carries: 'image', 'depth', 'camera_info' or 'detections'.
            data: CDR bytes.
        """
        if self.enabled:
            for found in self._lanes[camera].receive(role, data):
                self._mailbox.put(camera, found)

    def enable(self, on: bool) -> None:
        """Work on what comes, or let it pass; tracks end by the stamps of what comes later."""
        self.enabled = on
        self._mailbox.clear()
        for lane in self._lanes.values():
            lane.begin()

    def reset(self) -> None:
        """Forget all tracks; ids start again at 1."""
        with self._working:
            self._mailbox.clear()
            for lane in self._lanes.values():
                lane.reset()

    def reconfigure(self, config: Config) -> None:
        """Apply settings that may change while tracks live."""
        with self._working:
            for lane in self._lanes.values():
                lane.reconfigure(config)

    def report(self, camera: str, text: str) -> None:
        """Count and log what went wrong outside, such as an incompatible quality of service."""
        self._lanes[camera].report(text)

    def diagnose(self, camera: str) -> Diagnosis:
        """Say how a camera fares, and with which models."""
        found = self._lanes[camera].health.diagnose()
        values = {**found.values, **self._models.names, **self._models.memory()}
        if self._thread is None:
            return Diagnosis(OK, 'not active', values)
        if not self._thread.is_alive():
            return Diagnosis(ERROR, 'the inference thread has ended; restart the node', values)
        if not self.enabled:
            return Diagnosis(OK, 'disabled', values)
        return Diagnosis(found.level, found.message, values)

    def _new_mailbox(self) -> Mailbox[dict[str, Stamped]]:
        return Mailbox(self._stream.cameras, self._stream.queue)

    def _work(self) -> None:
        mailbox = self._mailbox
        while (letter := mailbox.take()) is not None:
            camera, found, dropped = letter
            with self._working:
                self._lanes[camera].work(found, dropped)
