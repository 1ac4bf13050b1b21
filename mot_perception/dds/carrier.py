"""Serialised messages through Cyclone DDS untouched: topics, and readers and writers of bytes.

Its Python types would pack and unpack element by element (0.9 s for a 1080p image), and announce
what they are made of to those who compare. So this is Cyclone's C interface, as ROS 2 uses it:
bytes in, bytes out, and the interpreter runs on while Cyclone works or waits.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_size_t, c_uint32, c_void_p
from typing import TYPE_CHECKING, Any

from cyclonedds.core import DDSException, Entity
from cyclonedds.internal import DDS, dds_c_t
from cyclonedds.qos import Policy, Qos
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from mot_perception.dds.ros_names import dds_type

if TYPE_CHECKING:
    from cyclonedds.domain import DomainParticipant
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
DATA, ANY_STATE = 2, 0
"""Cyclone's numbers: a sample that is no mere key; samples in whatever state."""


class _Bytes(Structure):
    """Cyclone's ddsrt_iovec_t."""

    _fields_ = (('base', c_void_p), ('length', c_size_t))


class _Descriptor(Structure):
    """Cyclone's dds_topic_descriptor_t."""

    _fields_ = (
        ('size', c_uint32),
        ('align', c_uint32),
        ('flags', c_uint32),
        ('keys_count', c_uint32),
        ('type_name', c_char_p),
        ('keys', c_void_p),
        ('operations_count', c_uint32),
        ('operations', POINTER(c_uint32)),
        ('meta', c_char_p),
        ('type_information', c_void_p),
        ('type_information_size', c_uint32),
        ('type_mapping', c_void_p),
        ('type_mapping_size', c_uint32),
        ('representations', c_uint32),
    )


# Cyclone checks what arrives against the fields of the type: one byte (ADR | 1BY at offset 0), and
# the end (RTS). Each ROS message has a byte, and any value will do.
ONE_BYTE = (c_uint32 * 3)(0x01 << 24 | 0x01 << 16, 0, 0)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of Cyclone's library; not the one that its Python package has typed."""
    found = DDS._dll_handle[name]
    found.restype, found.argtypes = result, arguments
    return found


_create_topic = _function(
    'dds_create_topic', c_int32, c_int32, POINTER(_Descriptor), c_char_p, c_void_p, c_void_p
)
_entity_type = _function('dds_get_entity_sertype', c_int32, c_int32, POINTER(c_void_p))
_take = _function('dds_takecdr', c_int32, c_int32, POINTER(c_void_p), c_uint32, c_void_p, c_uint32)
_write = _function('dds_writecdr', c_int32, c_int32, c_void_p)
_sample = _function(
    'ddsi_serdata_from_ser_iov', c_void_p, c_void_p, c_int32, c_size_t, POINTER(_Bytes), c_size_t
)
_sample_size = _function('ddsi_serdata_size', c_uint32, c_void_p)
_view = _function(
    'ddsi_serdata_to_ser_ref', c_void_p, c_void_p, c_size_t, c_size_t, POINTER(_Bytes)
)
_end_view = _function('ddsi_serdata_to_ser_unref', None, c_void_p, POINTER(_Bytes))
_free_sample = _function('ddsi_serdata_unref', None, c_void_p)


class RawTopic(Topic[Any]):
    """A topic whose samples are serialised messages.

    Args:
        participant: Whose.
        name: On DDS.
        msgtype: The ROS type.

    Raises:
        DDSException: Cyclone refuses it.
    """

    def __init__(self, participant: DomainParticipant, name: str, msgtype: str) -> None:
        descriptor = _Descriptor(
            size=1,
            align=1,
            type_name=dds_type(msgtype).encode(),
            operations_count=len(ONE_BYTE),
            operations=ONE_BYTE,
        )
        made = _create_topic(participant._ref, byref(descriptor), name.encode(), None, None)
        Entity.__init__(self, made)
        self.data_type: Any = None
        self._keepalive_entities = [participant]


def quality(*, reliable: bool, depth: int, latched: bool, user_data: str) -> Qos:
    """Return the quality of service of a reader or writer, as rmw_cyclonedds would set it."""
    if reliable:
        reliability = Policy.Reliability.Reliable(LONGEST_WAIT)
    else:
        reliability = Policy.Reliability.BestEffort
    kept = Policy.History.KeepLast(depth)
    policies = [
        reliability,
        Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
        kept,
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.WriterDataLifecycle(autodispose=False),
        Policy.Userdata(user_data.encode()),
    ]
    if latched:
        policies.append(Policy.DurabilityService(0, kept, -1, -1, -1))
    return Qos(*policies)


def take_bytes(reader: DataReader[Any]) -> list[bytes]:
    """Return what a reader has received, oldest first; at most `MOST_TAKEN` samples.

    Raises:
        DDSException: The reader is gone.
    """
    samples = (c_void_p * MOST_TAKEN)()
    about = (dds_c_t.sample_info * MOST_TAKEN)()
    count = _checked(_take(reader._ref, samples, MOST_TAKEN, about, ANY_STATE), 'taking')
    found = []
    for sample, info in zip(samples[:count], about[:count], strict=True):
        if info.valid_data:
            found.append(_content(sample))
        _free_sample(sample)
    return found


def write_bytes(writer: DataWriter[Any], data: bytes) -> bool:
    """Write one sample; return whether it went, rather than being given up.

    Args:
        writer: Of a `RawTopic`.
        data: CDR with its 4 bytes of encapsulation.

    Raises:
        DDSException: The writer is gone, or that is no CDR.
    """
    padded = data + bytes(-len(data) % 4)  # RTPS aligns
    view = _Bytes(ctypes.cast(c_char_p(padded), c_void_p), len(padded))
    kind = c_void_p()
    _checked(_entity_type(writer._ref, byref(kind)), 'writing')
    sample = _sample(kind, DATA, 1, byref(view), len(padded))
    if sample is None:
        raise DDSException(DDSException.DDS_RETCODE_BAD_PARAMETER, 'no CDR')
    code = _write(writer._ref, sample)  # takes the sample over
    if code == DDSException.DDS_RETCODE_TIMEOUT:
        return False
    _checked(code, 'writing')
    return True


def _content(sample: int | None) -> bytes:
    view = _Bytes()
    held = _view(sample, 0, _sample_size(sample), byref(view))
    try:
        return ctypes.string_at(view.base, view.length)
    finally:
        _end_view(held, byref(view))


def _checked(code: int, what: str) -> int:
    if code < 0:
        raise DDSException(code, f'occurred while {what}')
    return code
