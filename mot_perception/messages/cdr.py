"""Messages as the bytes that DDS and bags carry (CDR), and back."""

from __future__ import annotations

from typing import Any

from mot_perception.errors import UserError
from mot_perception.messages.typestore import COMPRESSED_IMAGE, IMAGE, typestore

MOST_BYTES = 8 << 20
"""Largest message that is read, pictures apart: its objects take many times its bytes."""

LARGEST_MESSAGE = 256 << 20
"""Bytes of the largest message that is taken from a topic: no camera's image is larger."""

# Their one large field is read as a view, whatever its length.
PICTURES = frozenset([IMAGE, COMPRESSED_IMAGE])


def read_message(
    data: bytes | bytearray | memoryview, msgtype: str, where: str = 'message'
) -> Any:
    """Return the message (rosbags' class) of serialised bytes; its arrays share their memory.

    A 1080p image costs some microseconds. Time and memory are bounded by the length of the
    bytes: no count in them is believed before it is compared with what follows it.

    Args:
        data: CDR with its 4 bytes of encapsulation, in either byte order.
        msgtype: Full name of a type of our typestore, such as 'sensor_msgs/msg/Image'.
        where: Names the message in errors, such as its topic.

    Raises:
        UserError: The bytes are no such message, or too many.
    """
    if len(data) > MOST_BYTES and msgtype not in PICTURES:
        raise UserError(f'{where}: {msgtype} of {len(data)} bytes is absurdly large; shorten it')
    try:
        return typestore().deserialize_cdr(memoryview(data), msgtype)
    except Exception as error:  # rosbags raises more than its own exceptions on damaged bytes
        raise UserError(
            f'{where}: no {msgtype} of ROS 2 Jazzy ({_why(error)}); check what is published there'
        ) from error


def write_message(message: Any, msgtype: str) -> bytes:
    """Return the CDR bytes (little endian) of a message of rosbags' class.

    Args:
        message: All fields filled with their types; arrays as ndarrays.
        msgtype: Full name of its type.
    """
    return bytes(typestore().serialize_cdr(message, msgtype, little_endian=True))


def _why(error: Exception) -> str:
    return ' '.join(str(error).split())[:200] or type(error).__name__
