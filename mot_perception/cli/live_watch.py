"""How `live` tells how it fares, and how it is asked to stop."""

from __future__ import annotations

import signal
from time import monotonic, sleep
from typing import TYPE_CHECKING

from mot_perception.cli import interrupt
from mot_perception.dds.domain import small_buffers
from mot_perception.errors import UserError
from mot_perception.messages.typestore import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Self

    from mot_perception.cli.status_line import StatusLine
    from mot_perception.config import Config
    from mot_perception.dds.node import DdsNode
    from mot_perception.dds.ports import DdsPorts
    from mot_perception.runtime.engine import Engine

STOPPING = signal.SIGINT, signal.SIGTERM
NAP = 0.1
"""Seconds until a wish to stop is noticed."""


class Watch:
    """Tells how the tracker fares: on the status line, and as diagnostics."""

    def __init__(
        self,
        node: DdsNode,
        ports: DdsPorts,
        engine: Engine,
        config: Config,
        status: StatusLine,
    ) -> None:
        self._node, self._ports, self._engine, self._status = node, ports, engine, status
        self._cameras, self._patience = config.stream.cameras, config.stream.stale_after
        self._heard: dict[tuple[str, str], tuple[int, float]] = {}
        self._said: dict[str, str] = {}

    def introduce(self) -> None:
        """Say who we are, and what is listened to."""
        heard = ', '.join(it.wanted.topic for it in self._ports.subscriptions.values())
        self._status.say(
            f'{self._node.full_name} in domain {self._node.domain}, listening to {heard}; '
            'Ctrl-C ends it'
        )
        large = any(it.wanted.msgtype == IMAGE for it in self._ports.subscriptions.values())
        if large and (warning := small_buffers()):
            self._status.say(f'warning: {warning}')

    def look(self) -> None:
        """Show the state, say what is missing, publish diagnostics."""
        missing = dict(self._silent())
        for topic, why in missing.items():
            if self._said.get(topic) != why:
                self._status.say(f'{topic}: nothing comes; {why}')
        self._said = missing
        lines = [self._line(camera) for camera in self._cameras]
        waiting = f'; waiting for {", ".join(missing)}' * bool(missing)
        self._status.show(' | '.join(lines) + waiting)
        self._ports.diagnose(self._engine)

    def conclude(self, *, must_have_seen: bool) -> None:
        """Say what was done.

        Raises:
            UserError: There was no frame, and there had to be one.
        """
        frames = sum(int(self._engine.diagnose(it).values['frames']) for it in self._cameras)
        self._status.end(' | '.join(self._line(camera) for camera in self._cameras))
        if must_have_seen and not frames:
            found = [f'{topic}: {why}' for topic, why in self._silent(patience=0)]
            raise UserError('no frame could be tracked; ' + '; '.join(found or ['see above']))

    def _line(self, camera: str) -> str:
        values = self._engine.diagnose(camera).values
        parts = [
            f'{values["frames"]} frames',
            f'{values["frames/s"]}/s',
            f'{values["latency p50 ms"]} ms behind the camera',
            f'{values["objects"]} tracks',
            f'{values["dropped"]} dropped',
            f'{values["faults"]} faults',
        ]
        if values['frames'] == '0':  # nothing to tell of rates
            del parts[1:4]
        return f'{camera}: ' * bool(camera) + ', '.join(parts)

    def _silent(self, patience: float | None = None) -> Iterator[tuple[str, str]]:
        """Yield the topics that are needed and silent, and why they may be."""
        now = monotonic()
        for key, subscription in self._ports.subscriptions.items():
            count, since = self._heard.get(key, (0, now))
            if subscription.received != count or key not in self._heard:
                self._heard[key] = count, since = subscription.received, now
            wait = self._patience if patience is None else patience
            if key[1] != 'camera_info' and now - since >= wait:
                yield subscription.wanted.topic, self._node.why_silent(subscription)


class Stop:
    """Turns Ctrl-C and a request to terminate into a wish, so that all is closed in order."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._before = {it: signal.signal(it, self._ask) for it in STOPPING}
        self.asked |= interrupt.asked()  # and a library swallowed it
        return self

    def __exit__(self, *_: object) -> None:
        if not self.asked:  # else more of them may follow, and change nothing
            for it, handler in self._before.items():
                signal.signal(it, handler)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not on when asked to stop."""
        end = monotonic() + seconds
        while not self.asked and (left := end - monotonic()) > 0:
            sleep(min(NAP, left))

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
