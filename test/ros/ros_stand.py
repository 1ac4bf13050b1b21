"""A test stand: a node under test, a helper that talks to it, and a thread that spins both."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mot_perception.msg import TrackedObjectArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose

from mot_perception.config import Config
from mot_perception.models import Models, load_models
from mot_perception.nodes.tracker_node import TrackerNode
from mot_perception.perception.protocols import Depth
from mot_perception.pipeline import Pipeline
from mot_perception.types import Detections, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from mot_perception.nodes.perception_node import PerceptionNode

DEADLINE = 30.0
"""Seconds that anything may take on a busy machine; nothing waits so long that works."""
WIDTH, HEIGHT = 160, 120
BOX = 40, 30, 80, 90
FRAME_ID = 'camera_optical_frame'
START = 1000.0
"""Stamp of the first image, seconds."""
_numbers = itertools.count()


class BrightBoxes:
    """A detector that finds the bright rectangle of `picture`, as slowly as one likes."""

    name = 'bright boxes'
    class_names = ('thing',)

    def __init__(self) -> None:
        self.seconds = 0.0

    def detect(self, images: Any) -> list[Detections]:
        sleep(self.seconds)
        return [self._boxes(image) for image in images]

    def gpu_bytes(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _boxes(self, image: Any) -> Detections:
        rows, columns = np.nonzero(image[..., 1] > 128)
        if not len(rows):
            return Detections.empty()
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections.of([box], [0.95])


class FlatDepth:
    """A depth estimator that sees a wall."""

    name = 'wall'

    def estimate(self, image: Any, focal: Any = None) -> Depth:
        return Depth(np.full(image.shape[:2], 2.5, np.float32), metric=True)

    def gpu_bytes(self) -> int:
        return 0

    def close(self) -> None:
        pass


class Stand:
    """What a test needs of ROS.

    Args:
        test: Name of the test; namespaces are made from it.
        monkeypatch: Replaces the models of the node by a `BrightBoxes`.
    """

    def __init__(self, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.detector = BrightBoxes()
        monkeypatch.setattr(
            'mot_perception.nodes.perception_node.load_models', lambda config: self._models(config)
        )
        words = re.sub('[^a-z0-9]+', '_', test.lower())[:40].strip('_')
        self.name = f'{words}_{next(_numbers)}'
        self.namespace = f'/mot_test/{self.name}'
        self.helper = Node('helper', namespace=self.namespace)
        self.tracks: list[TrackedObjectArray] = []
        self._diagnostics: list[DiagnosticStatus] = []
        self._nodes: list[Any] = []
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.helper)
        self.listen('tracks', self.tracks.append)
        self.helper.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 50)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    # The node under test

    def node(
        self,
        parameters: dict[str, Any] | None = None,
        *,
        start: bool = True,
        kind: type[PerceptionNode] = TrackerNode,
    ) -> Any:
        """Return a node with parameters, started, spun."""
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        node = kind(
            namespace=self.namespace,
            cli_args=['--ros-args', '-r', f'__node:={self.name}', '-r', f'/clock:={self.clock}'],
            parameter_overrides=overrides,
        )
        self._nodes.append(node)
        if start:
            assert node.start()
        self._executor.add_node(node)
        return node

    @property
    def clock(self) -> str:
        """Name of this stand's own /clock."""
        return f'{self.namespace}/clock'

    def change_state(self, node: Any, transition: int) -> bool:
        """Ask a node for a transition; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f'{node.get_name()}/change_state', request).success

    def state(self, node: Any) -> int:
        """Return the state that a node says it is in."""
        return self.call(
            GetState, f'{node.get_name()}/get_state', GetState.Request()
        ).current_state.id

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Call a service and return its response."""
        client = self.helper.create_client(kind, name)
        assert client.wait_for_service(timeout_sec=DEADLINE), f'no service {name}'
        future = client.call_async(request)
        self.wait(future.done, f'an answer of {name}')
        self.helper.destroy_client(client)
        return future.result()

    def close(self) -> None:
        """Stop spinning and destroy the nodes."""
        self._executor.shutdown(timeout_sec=DEADLINE)
        self._thread.join(DEADLINE)
        for node in self._nodes:
            node.close()
            node.destroy_node()
        self.helper.destroy_node()

    # Topics

    def listen(
        self, topic: str, receive: Callable[[Any], None], kind: Any = TrackedObjectArray
    ) -> None:
        """Subscribe the helper, reliably."""
        self.helper.create_subscription(kind, topic, receive, quality(depth=200))

    def publisher(self, kind: Any, topic: str, *, best_effort: bool = True) -> Any:
        """Return a publisher of the helper that the node has found."""
        publisher = self.helper.create_publisher(kind, topic, quality(best_effort=best_effort))
        self.wait(lambda: publisher.get_subscription_count() > 0, f'a subscription to {topic}')
        # The other side needs a moment longer to find the publisher.
        node = self._nodes[-1]
        full = self.helper.resolve_topic_name(topic)
        self.wait(lambda: node.count_publishers(full) > 0, f'{topic} being found')
        sleep(0.5)
        return publisher

    def diagnosis(self) -> DiagnosticStatus | None:
        """Return the newest diagnosis of the node under test."""
        return self._diagnostics[-1] if self._diagnostics else None

    def values(self) -> dict[str, str]:
        """Return the values of the newest diagnosis."""
        found = self.diagnosis()
        return {it.key: it.value for it in found.values} if found else {}

    def wait(self, is_true: Callable[[], Any], what: str) -> None:
        """Wait until something is true.

        Raises:
            AssertionError: It does not come true.
        """
        end = monotonic() + DEADLINE
        while not is_true():
            assert monotonic() < end, f'{what} did not come within {DEADLINE:.0f} s'
            sleep(0.01)

    def wait_tracks(self, count: int) -> None:
        """Wait for so many messages of tracks in all."""
        self.wait(lambda: len(self.tracks) >= count, f'message {count} of tracks')

    def feed(self, publisher: Any, count: int, start: float = START, period: float = 0.05) -> None:
        """Publish images one after the other, each when the one before has been tracked."""
        for number in range(count):
            before = len(self.tracks)
            publisher.publish(image(start + number * period))
            self.wait_tracks(before + 1)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self._diagnostics += [it for it in message.status if it.name.startswith(self.name)]

    def _models(self, config: Any) -> Models:
        """Return what a configuration asks for; of the networks that there are not, the errors."""
        if config.detector.backend == 'transformers':
            return load_models(config)
        watches = config.detector.backend != 'topic'
        return Models(
            detector=self.detector if watches else None,
            depth=FlatDepth() if config.depth.backend == 'transformers' else None,
            class_names=self.detector.class_names if watches else (),
        )


def warm_up() -> None:
    """Let the tracker compile: a minute on a slow machine, once for each installation."""
    for depth in (None, np.full((HEIGHT, WIDTH), 2.5, np.float32)):
        backend = 'none' if depth is None else 'topic'
        config = Config.model_validate({'depth': {'backend': backend}})
        pipeline = Pipeline(config, Models())
        for number in range(5):
            frame = Frame(
                stamp_ns=number * 50_000_000, index=number, width=WIDTH, height=HEIGHT, depth=depth
            )
            pipeline.step(frame, Detections.of([BOX, [0, 0, 20, 20]], [0.9, 0.3]))


def quality(*, best_effort: bool = False, depth: int = 10) -> QoSProfile:
    """Return a QoS."""
    wanted = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=wanted)


def picture(box: tuple[int, int, int, int] = BOX) -> Any:
    """Return a BGR image with one bright rectangle."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 200
    return pixels


def image(stamp: float, pixels: Any = None, encoding: str = 'bgr8') -> Image:
    """Return an image message."""
    pixels = picture() if pixels is None else pixels
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = int(pixels.strides[0])
    message.data.frombytes(np.ascontiguousarray(pixels).tobytes())
    _stamp(message, stamp)
    return message


def jpeg(stamp: float) -> CompressedImage:
    """Return a compressed image message."""
    _, data = cv2.imencode('.jpg', picture())
    message = CompressedImage(format='bgr8; jpeg compressed bgr8')
    message.data.frombytes(data.tobytes())
    _stamp(message, stamp)
    return message


def camera_info(stamp: float, focal: float = 100.0) -> CameraInfo:
    """Return the intrinsics of the camera of `picture`."""
    message = CameraInfo(height=HEIGHT, width=WIDTH, distortion_model='plumb_bob')
    message.k = [focal, 0.0, WIDTH / 2, 0.0, focal, HEIGHT / 2, 0.0, 0.0, 1.0]
    _stamp(message, stamp)
    return message


def detections(stamp: float, box: tuple[int, int, int, int] = BOX) -> Detection2DArray:
    """Return one detection."""
    left, top, right, bottom = box
    place = BoundingBox2D(size_x=float(right - left), size_y=float(bottom - top))
    place.center.position.x, place.center.position.y = (left + right) / 2, (top + bottom) / 2
    kind = ObjectHypothesisWithPose()
    kind.hypothesis.class_id, kind.hypothesis.score = 'thing', 0.95
    message = Detection2DArray(detections=[Detection2D(bbox=place, results=[kind])])
    _stamp(message, stamp)
    return message


def seconds(message: Any) -> float:
    """Return the stamp of a message."""
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def _stamp(message: Any, stamp: float) -> None:
    message.header.frame_id = FRAME_ID
    message.header.stamp.sec = int(stamp)
    message.header.stamp.nanosec = round((stamp - int(stamp)) * 1e9)
