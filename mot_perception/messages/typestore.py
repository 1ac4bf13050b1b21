"""Message types where ROS is not installed: ROS 2 Jazzy's, vision_msgs, foxglove_msgs, our own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mot_perception.messages.mapping import MessageClasses
from mot_perception.resources import resource

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

PACKAGES = (
    'mot_perception',
    'vision_msgs',
    'sensor_msgs',
    'geometry_msgs',
    'std_msgs',
    'builtin_interfaces',
)
OWN = 'TrackedObject', 'TrackedObjectArray'
TRACKS = 'mot_perception/msg/TrackedObjectArray'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


@cache
def typestore() -> Typestore:
    """Return the types that bags are written with, and read with if they carry none."""
    store = get_typestore(Stores.ROS2_JAZZY)
    texts = {f'mot_perception/msg/{name}': resource(f'msg/{name}.msg') for name in OWN}
    for file in (Path(__file__).parent / 'interfaces').glob('*/msg/*.msg'):
        texts[f'{file.parts[-3]}/msg/{file.stem}'] = file
    # All at once: they are made of each other.
    store.register(
        {
            found: definition
            for name, file in texts.items()
            for found, definition in get_types_from_msg(file.read_text('utf-8'), name).items()
        }
    )
    return store


@cache
def message_classes() -> MessageClasses:
    """Return rosbags' classes for the mappings of `mapping` and `detections`."""
    types = typestore().types

    def find(name: str) -> type:
        return next(types[full] for p in PACKAGES if (full := f'{p}/msg/{name}') in types)

    return MessageClasses(**{name: find(name) for name in MessageClasses.__annotations__})
