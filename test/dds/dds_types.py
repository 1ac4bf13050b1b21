"""ROS messages as Cyclone's own Python types: a second opinion on names and bytes.

Written from the .msg files; nothing of mot_perception is used. Annotations are no strings here:
Cyclone reads them.
"""

from dataclasses import dataclass, field

from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import array, float32, float64, int32, sequence, uint8, uint32, uint64


@dataclass
class Time(IdlStruct, typename='builtin_interfaces.msg.dds_.Time_'):
    sec: int32 = 0
    nanosec: uint32 = 0


@dataclass
class Duration(IdlStruct, typename='builtin_interfaces.msg.dds_.Duration_'):
    sec: int32 = 0
    nanosec: uint32 = 0


@dataclass
class String(IdlStruct, typename='std_msgs.msg.dds_.String_'):
    data: str = ''


@dataclass
class Header(IdlStruct, typename='std_msgs.msg.dds_.Header_'):
    stamp: Time = field(default_factory=Time)
    frame_id: str = ''


@dataclass
class Image(IdlStruct, typename='sensor_msgs.msg.dds_.Image_'):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


@dataclass
class Vector3(IdlStruct, typename='geometry_msgs.msg.dds_.Vector3_'):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
class Point(IdlStruct, typename='geometry_msgs.msg.dds_.Point_'):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
class Quaternion(IdlStruct, typename='geometry_msgs.msg.dds_.Quaternion_'):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0
    w: float64 = 1.0


@dataclass
class Pose(IdlStruct, typename='geometry_msgs.msg.dds_.Pose_'):
    position: Point = field(default_factory=Point)
    orientation: Quaternion = field(default_factory=Quaternion)


@dataclass
class PoseWithCovariance(IdlStruct, typename='geometry_msgs.msg.dds_.PoseWithCovariance_'):
    pose: Pose = field(default_factory=Pose)
    covariance: array[float64, 36] = field(default_factory=lambda: [0.0] * 36)


@dataclass
class Point2D(IdlStruct, typename='vision_msgs.msg.dds_.Point2D_'):
    x: float64 = 0.0
    y: float64 = 0.0


@dataclass
class Pose2D(IdlStruct, typename='vision_msgs.msg.dds_.Pose2D_'):
    position: Point2D = field(default_factory=Point2D)
    theta: float64 = 0.0


@dataclass
class BoundingBox2D(IdlStruct, typename='vision_msgs.msg.dds_.BoundingBox2D_'):
    center: Pose2D
    size_x: float64
    size_y: float64


@dataclass
class ObjectHypothesis(IdlStruct, typename='vision_msgs.msg.dds_.ObjectHypothesis_'):
    class_id: str
    score: float64


@dataclass
class ObjectHypothesisWithPose(
    IdlStruct, typename='vision_msgs.msg.dds_.ObjectHypothesisWithPose_'
):
    hypothesis: ObjectHypothesis
    pose: PoseWithCovariance


@dataclass
class Detection2D(IdlStruct, typename='vision_msgs.msg.dds_.Detection2D_'):
    header: Header
    results: sequence[ObjectHypothesisWithPose]
    bbox: BoundingBox2D
    id: str


@dataclass
class Detection2DArray(IdlStruct, typename='vision_msgs.msg.dds_.Detection2DArray_'):
    header: Header
    detections: sequence[Detection2D]


@dataclass
class TrackedObject(IdlStruct, typename='mot_perception.msg.dds_.TrackedObject_'):
    id: uint32
    state: uint8
    class_id: int32
    class_name: str
    score: float32
    association_score: float32
    bbox: BoundingBox2D
    velocity: Point2D
    depth: float32
    depth_stddev: float32
    position: Point
    linear_velocity: Vector3
    position_covariance: array[float64, 9]
    age: uint32
    hits: uint32
    frames_since_update: uint32
    first_seen: Time
    last_seen: Time
    mask_rle: sequence[uint32]
    embedding: sequence[float32]


@dataclass
class TrackedObjectArray(IdlStruct, typename='mot_perception.msg.dds_.TrackedObjectArray_'):
    header: Header
    source: str
    reset_count: uint32
    frame_index: uint64
    dropped_frames: uint32
    image_width: uint32
    image_height: uint32
    depth_is_metric: bool
    processing_time: Duration
    objects: sequence[TrackedObject]


@dataclass
class Gid(IdlStruct, typename='rmw_dds_common.msg.dds_.Gid_'):
    data: array[uint8, 16]


@dataclass
class NodeEntitiesInfo(IdlStruct, typename='rmw_dds_common.msg.dds_.NodeEntitiesInfo_'):
    node_namespace: str
    node_name: str
    reader_gid_seq: sequence[Gid]
    writer_gid_seq: sequence[Gid]


@dataclass
class ParticipantEntitiesInfo(
    IdlStruct, typename='rmw_dds_common.msg.dds_.ParticipantEntitiesInfo_'
):
    gid: Gid
    node_entities_info_seq: sequence[NodeEntitiesInfo]
