"""Serialised messages through Cyclone DDS untouched: readers and writers of CDR bytes.

Cyclone's own Python types pack and unpack element by element, 0.9 s for a 1080p image. The types
here bear a ROS type's name, and leave the bytes alone.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

from cyclonedds.core import DDSException
from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl.types import uint8
from cyclonedds.internal import DDS
from cyclonedds.qos import Policy, Qos
from cyclonedds.topic import Sample
from cyclonedds.util import duration

from mot_perception.dds.ros_names import dds_type

if TYPE_CHECKING:
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader

ENCAPSULATION = 4
"""Bytes before the message: which representation, which byte order, options."""
PLAIN_CDR = b'\x00\x00', b'\x00\x01'
"""XCDR1, big and little endian: what ROS 2 sends."""
MOST_TAKEN = 16
"""Samples fetched at once."""
LONGEST_WAIT = duration(milliseconds=100)
"""A reliable writer waits so long for readers that lag behind, then gives the sample up."""


_dds_write = DDS._dll_handle['dds_write']
_dds_write.argtypes = [ctypes.c_int32, ctypes.POINTER(Sample)]
_dds_write.restype = ctypes.c_int32


class Carried:
    """A sample as Cyclone's reader makes it: its bytes, and a place for its sample_info."""

    def __init__(self, cdr: bytes) -> None:
        self.cdr = cdr
        self.sample_info: Any = None


class _Raw(IdlStruct):
    """A type whose samples stay bytes."""

    @classmethod
    def deserialize(cls, data: bytes, *_: object) -> Any:
        """Return the sample as it came."""
        return Carried(data)

    @classmethod
    def deserialize_key(cls, data: bytes, *_: object) -> Any:
        """Return nothing: ROS topics have no keys."""


@cache
def carrier_type(msgtype: str) -> type[IdlStruct]:
    """Return Cyclone's type for a ROS type.

    Cyclone checks what arrives against the fields of the type. There is one byte here: each ROS
    message has one, and any value will do.
    """
    name = dds_type(msgtype)
    return make_idl_struct(name.rsplit('::', 1)[-1], name, {'first': uint8}, bases=(_Raw,))


def quality(*, reliable: bool, depth: int, latched: bool, user_data: str = '') -> Qos:
    """Return the quality of service of a reader or writer, as rmw_cyclonedds would set it."""
    if reliable:
        reliability = Policy.Reliability.Reliable(LONGEST_WAIT)
    else:
        reliability = Policy.Reliability.BestEffort
    policies = [
        reliability,
        Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
        Policy.History.KeepLast(depth),
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.WriterDataLifecycle(autodispose=False),
    ]
    if latched:
        kept = Policy.History.KeepLast(depth)
        policies.append(Policy.DurabilityService(0, kept, -1, -1, -1))
    if user_data:
        policies.append(Policy.Userdata(user_data.encode()))
    return Qos(*policies)


def take_bytes(reader: DataReader[Any]) -> list[bytes]:
    """Return what a reader has received, oldest first; at most `MOST_TAKEN` samples."""
    return [it.cdr for it in reader.take(MOST_TAKEN) if isinstance(it, Carried)]


def write_bytes(writer: DataWriter[Any], data: bytes) -> bool:
    """Write one sample; return whether it went, rather than being given up.

    It calls Cyclone past the Python package's own way, which would hold the interpreter's lock
    while it waits for readers that lag behind.

    Args:
        writer: Of a `carrier_type`.
        data: CDR with its 4 bytes of encapsulation.

    Raises:
        DDSException: Cyclone refuses it.
    """
    padded = data + bytes(-len(data) % 4)  # RTPS aligns
    view = Sample(ctypes.cast(ctypes.c_char_p(padded), ctypes.c_void_p), len(padded))
    code = _dds_write(writer._ref, view)
    if code == DDSException.DDS_RETCODE_TIMEOUT:
        return False
    if code < 0:
        raise DDSException(code, 'occurred while writing')
    return True
