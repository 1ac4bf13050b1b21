"""Message classes by their names."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def message_class(msgtype: str) -> Any:
    """Return the class of a type such as 'sensor_msgs/msg/Image'; None if it is not installed."""
    package, _, name = msgtype.split('/')
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except ImportError:
        return None
