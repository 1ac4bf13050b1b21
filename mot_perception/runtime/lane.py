"""One camera's way through the engine: what arrives, what it becomes, what goes wrong."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from threading import Lock
from time import monotonic_ns, perf_counter_ns
from typing import TYPE_CHECKING

from mot_perception.errors import UserError
from mot_perception.messages.cdr import LARGEST_MESSAGE
from mot_perception.messages.frames import FrameReader
from mot_perception.messages.synchronise import Stamped, Synchroniser, stamp_of
from mot_perception.runtime.health import Health
from mot_perception.runtime.tasks import make_task
from mot_perception.runtime.topics import inputs
from mot_perception.types import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mot_perception.config import Config
    from mot_perception.models import Models
    from mot_perception.runtime.ports import Ports
    from mot_perception.runtime.topics import Task
    from mot_perception.types import Frame

LATENESS_NS = NANOSECONDS // 2
"""What belongs to an image may arrive so much later."""
MOST_WAITING = 16
"""Images that wait for what belongs to them."""


class Lane:
    """Receives one camera's messages, works on its frames, and publishes what they become.

    `receive` is called by threads that must not wait, all other methods by the one that works.

    Args:
        camera: Its name; '' for the only one.
        config: Settings.
        models: Loaded models.
        ports: The world outside.
        task: What is done with a frame.
    """

    def __init__(
        self, camera: str, config: Config, models: Models, ports: Ports, task: Task
    ) -> None:
        self._camera, self._ports, self._stream = camera, ports, config.stream
        topics = inputs(config, task)
        self._where = names = {role: ports.topic(camera, role) for role in topics}
        needed = {role: name for role, name in names.items() if role != 'camera_info'}
        self._leader, *self._companions = needed
        self.health = Health(config.stream.stale_after, needed)
        score_range = config.input.score_range
        self._reader = FrameReader(
            {role: topic.msgtype for role, topic in topics.items()},
            names,
            score_range=None if score_range == (0, 1) else score_range,
        )
        self._task = make_task(task, config, models, self._reader.classes, ports)
        cut = ' or the picture was cut' * (config.camera_cut == 'reset')
        self._why_reset = f'stamps ran back{cut}'
        self._receiving = Lock()
        self._index = self._skipped = 0
        self._size: tuple[int, int] | None = None
        self.begin()

    def begin(self) -> None:
        """Forget what has arrived; silence counts from now."""
        stream = self._stream
        with self._receiving:
            self._synchroniser = Synchroniser(
                self._leader,
                self._companions,
                stream.sync_slop * NANOSECONDS,
                lateness_ns=LATENESS_NS,
                most_waiting=max(MOST_WAITING, stream.queue),
                stale_ns=int(stream.stale_after * NANOSECONDS),
            )
        self.health.begin()

    def receive(self, role: str, data: bytes) -> list[dict[str, Stamped]]:
        """Take a serialised message; return the frames that are complete with it."""
        where = self._where.get(role)
        if where is None:  # nothing that the settings ask for
            return []
        self.health.arrived(role)
        with self._faults():
            if len(data) > LARGEST_MESSAGE:
                raise UserError(f'{where}: message of {len(data)} bytes; no camera is so large')
            if role == 'camera_info':
                self._reader.latch_camera(data)
                return []
            stamp = stamp_of(data, 0)
            if stamp == 0:
                self.report(f'{where}: stamps are zero; the time of arrival is taken instead')
                stamp = self._ports.now_ns()
            with self._receiving:
                return list(self._synchroniser.push(Stamped(role, stamp, monotonic_ns(), data)))
        return []

    def work(self, found: dict[str, Stamped], dropped: int) -> None:
        """Do the task on a frame and publish what it brings; never raises.

        Args:
            found: The frame's messages by what they carry.
            dropped: Frames that gave way to this one.
        """
        self.health.dropped += dropped
        self._skipped += dropped
        if 'detections' in self._companions and 'detections' not in found:
            self.health.unmatched += 1  # the detector dropped it
            return
        self._skipped += 1  # until it is published
        with self._faults():
            self._publish(found)
            self._skipped = 0

    def reset(self) -> None:
        """Forget all tracks, and what waits for what belongs to it."""
        self._task.reset()
        self.begin()

    def reconfigure(self, config: Config) -> None:
        """Apply settings that may change while tracks live."""
        self._task.reconfigure(config)

    def report(self, text: str) -> None:
        """Count something that is wrong, and log it if it is the first of its kind."""
        if self.health.fault(text):
            self._ports.log('warning', f'{text} (logged once; see diagnostics)')

    def _publish(self, found: dict[str, Stamped]) -> None:
        started = perf_counter_ns()
        task, ports, camera = self._task, self._ports, self._camera
        listened = {output for output in task.outputs if ports.wanted(camera, output)}
        frame, detections = self._reader.read(
            found, self._index, pixels=task.needs_pixels(listened)
        )
        self._index += 1
        self._follow_size(frame)
        resets, latency_ns = task.resets, None
        for output, data in task.run(frame, detections, self._skipped - 1, listened):
            ports.publish(camera, output, data)
            if latency_ns is None:  # the first output is what the others are made from
                latency_ns = ports.now_ns() - frame.stamp_ns
        if task.resets > resets:
            self.report(f'{self._why_reset} at {frame.stamp:.3f} s; the tracks were reset')
        self.health.resets = task.resets
        self.health.finished(latency_ns or 0, perf_counter_ns() - started, task.objects)

    def _follow_size(self, frame: Frame) -> None:
        """Start anew where images change their size: boxes are in their pixels."""
        size = frame.width, frame.height
        if 0 in size:  # detections without images: nobody knows until a camera_info comes
            return
        if self._size not in {None, size}:
            self.report(f'images are {size[0]}×{size[1]} pixels now; the tracks were reset')
            self._task.reset()
        self._size = size
        camera = frame.camera
        if camera is not None and (camera.width, camera.height) not in {size, (0, 0)}:
            self.report(
                f'images are {size[0]}×{size[1]} pixels, their camera_info is of '
                f'{camera.width}×{camera.height}: no positions in 3D'
            )

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Survive whatever messages and models bring about."""
        try:
            yield
        except UserError as error:
            self.report(str(error))
        except Exception as error:
            if self.health.fault(f'{type(error).__name__}: {error}'):
                self._ports.log('error', traceback.format_exc())
