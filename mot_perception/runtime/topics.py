"""What a camera's topics are called, what they carry, and how they are delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mot_perception.messages.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    TRACKS,
)

if TYPE_CHECKING:
    from mot_perception.config import Config

Task = Literal['track', 'detect', 'depth']

ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'
MARKERS = 'visualization_msgs/msg/MarkerArray'


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of one camera.

    Attributes:
        name: Relative to the node's namespace, or to the node itself: '~/…'.
        msgtype: Its type, such as 'sensor_msgs/msg/Image'.
        transport: What image_transport appends to the name after remapping, such as '/compressed'.
        sensor: Delivered like sensor data (best effort, the newest only), else reliably.
    """

    name: str
    msgtype: str
    transport: str = ''
    sensor: bool = False

    @property
    def kept(self) -> int:
        """Messages of an output that are kept for a listener that is slow."""
        return 1 if self.sensor else 10

    def of(self, camera: str) -> str:
        """Return the name for one of several cameras; '' is the only one."""
        if not camera:
            return self.name
        private = '~/' * self.name.startswith('~/')
        return f'{private}{camera}/{self.name.removeprefix("~/")}'


OUTPUTS: dict[Task, dict[str, Topic]] = {
    'track': {
        'tracks': Topic('tracks', TRACKS),
        'detections': Topic('~/detections', DETECTIONS),
        'annotations': Topic('~/annotations', ANNOTATIONS),
        'markers': Topic('~/markers', MARKERS),
        'masks': Topic('~/masks', IMAGE, sensor=True),
        'debug_image': Topic('~/debug_image', IMAGE, sensor=True),
    },
    'detect': {'detections': Topic('detections', DETECTIONS)},
    'depth': {'depth': Topic('depth', IMAGE, sensor=True)},
}


def inputs(config: Config, task: Task) -> dict[str, Topic]:
    """Return the topics to subscribe to, by what they carry; the first one leads a frame."""
    stream = config.stream
    found = {}
    if stream.image_transport != 'none' or task != 'track':
        found['image'] = _image('image', 'compressed', stream.image_transport == 'compressed')
    if task != 'track':
        return found
    if config.detector.backend == 'topic':
        found['detections'] = Topic('detections', DETECTIONS, sensor=True)
    if config.depth.backend == 'topic' and 'image' in found:
        compressed = stream.depth_transport == 'compressedDepth'
        found['depth'] = _image('depth', 'compressedDepth', compressed)
    return {**found, 'camera_info': Topic('camera_info', CAMERA_INFO, sensor=True)}


def _image(name: str, transport: str, compressed: bool) -> Topic:
    if compressed:
        return Topic(name, COMPRESSED_IMAGE, f'/{transport}', sensor=True)
    return Topic(name, IMAGE, sensor=True)
