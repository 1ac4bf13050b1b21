"""A second process on DDS, made of Cyclone's own types: it talks, listens and looks about.

    dds_peer.py echo            /in to /out, strings
    dds_peer.py late            prints the latched string of /kept
    dds_peer.py graph           prints what is said of the node 'ours' until it has two publishers
    dds_peer.py garbage TOPIC TYPE   damaged samples, and now and then the string 'well'
    dds_peer.py camera          images and detections; prints the tracks

With --reliable it offers and asks for that. Each finding is a line of JSON.
"""

import argparse
import json
import os
import random
import time

from cyclonedds.builtin import (
    BuiltinDataReader,
    BuiltinTopicDcpsPublication,
    BuiltinTopicDcpsSubscription,
)
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import make_idl_struct
from cyclonedds.idl.types import uint8
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from dds_types import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    Header,
    Image,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    ParticipantEntitiesInfo,
    Point2D,
    Pose2D,
    PoseWithCovariance,
    String,
    Time,
    TrackedObjectArray,
)

WIDTH, HEIGHT = 64, 48
PERIOD = 0.05


def quality(reliable, latched=False):
    """What rmw_cyclonedds sets."""
    return Qos(
        Policy.Reliability.Reliable(duration(seconds=1))
        if reliable
        else Policy.Reliability.BestEffort,
        Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
        Policy.History.KeepLast(10),
        Policy.DataRepresentation(use_cdrv0_representation=True),
    )


class Peer:
    def __init__(self, reliable):
        self.participant = DomainParticipant(int(os.environ['ROS_DOMAIN_ID']))
        self.reliable = reliable

    def reader(self, name, kind, **quality_of_service):
        topic = Topic(self.participant, name, kind)
        settings = {'reliable': self.reliable, **quality_of_service}
        return DataReader(self.participant, topic, quality(**settings))

    def writer(self, name, kind):
        topic = Topic(self.participant, name, kind)
        return DataWriter(self.participant, topic, quality(self.reliable))


def say(**found):
    print(json.dumps(found), flush=True)


def echo(peer):
    heard, said = peer.reader('rt/in', String), peer.writer('rt/out', String)
    say(ready=True)
    while True:
        for sample in heard.take(10):
            said.write(String(data=sample.data))
        time.sleep(0.01)


def late(peer):
    heard = peer.reader('rt/kept', String, reliable=True, latched=True)
    while not (samples := heard.take(10)):
        time.sleep(0.01)
    say(kept=[sample.data for sample in samples])


def graph(peer):
    heard = peer.reader('ros_discovery_info', ParticipantEntitiesInfo, reliable=True, latched=True)
    while True:
        for sample in heard.take(10):
            for node in sample.node_entities_info_seq:
                if node.node_name == 'ours':
                    describe(peer, sample, node)
        time.sleep(0.01)


def describe(peer, sample, node):
    time.sleep(0.2)  # endpoints are told of by others means than nodes
    endpoints = {}
    for topic in (BuiltinTopicDcpsPublication, BuiltinTopicDcpsSubscription):
        for it in BuiltinDataReader(peer.participant, topic).read(100):
            extra = it.qos[Policy.Userdata]
            endpoints[it.key.hex] = it.topic_name, it.type_name, extra.data if extra else b''
    say(
        namespace=node.node_namespace,
        participant=bytes(sample.gid.data).hex(),
        readers=[named(gid, endpoints) for gid in node.reader_gid_seq],
        writers=[named(gid, endpoints) for gid in node.writer_gid_seq],
    )


def named(gid, endpoints):
    topic, kind, user_data = endpoints[bytes(gid.data).hex()]
    return [topic, kind, user_data.decode()]


def garbage(peer, topic, kind):
    """Bytes under a false name: Cyclone sends nothing that does not fit the fields."""
    type_ = make_idl_struct('Garbage', kind, {'first': uint8})
    type_.serialize = lambda sample, **_: sample.cdr
    said = peer.writer(topic, type_)

    def send(cdr):
        sample = type_(0)
        sample.cdr = cdr
        said.write(sample)

    random.seed(0)
    while not said.get_publication_matched_status().current_count:
        time.sleep(0.01)
    while True:
        for size in range(1, 64):
            for representation in (1, 7):  # as ROS does, and XCDR2
                send(bytes([0, representation, 0, 0]) + random.randbytes(size))
            send(b'\0\1\0\0\5\0\0\0well\0')
            time.sleep(0.001)


def header(moment):
    return Header(
        stamp=Time(sec=int(moment), nanosec=int(moment % 1 * 1e9)), frame_id='camera_optical_frame'
    )


def image(moment):
    pixels = list(bytes(WIDTH * HEIGHT * 3))
    return Image(header(moment), HEIGHT, WIDTH, 'rgb8', 0, WIDTH * 3, pixels)


def detections(moment, number):
    """Two people who walk past each other."""
    found = []
    for x in (10 + number % 40, 50 - number % 40):
        box = BoundingBox2D(Pose2D(Point2D(float(x), 24.0), 0.0), 8.0, 20.0)
        guess = ObjectHypothesisWithPose(ObjectHypothesis('person', 0.9), PoseWithCovariance())
        found.append(Detection2D(header(moment), [guess], box, ''))
    return Detection2DArray(header(moment), found)


def camera(peer):
    images = peer.writer('rt/camera/image_raw', Image)
    boxes = peer.writer('rt/boxes', Detection2DArray)
    heard = peer.reader('rt/tracks', TrackedObjectArray, reliable=True)
    for number in range(100_000):
        moment = time.time()
        images.write(image(moment))
        boxes.write(detections(moment, number))
        for sample in heard.take(10):
            if isinstance(sample, TrackedObjectArray):  # else: a publisher has left
                tell(sample)
        time.sleep(PERIOD)


def tell(sample):
    say(
        stamp=sample.header.stamp.sec + sample.header.stamp.nanosec / 1e9,
        age=time.time() - sample.header.stamp.sec,
        frame_id=sample.header.frame_id,
        size=[sample.image_width, sample.image_height],
        frame=sample.frame_index,
        ids=[it.id for it in sample.objects if it.state == 1],
        names=sorted({it.class_name for it in sample.objects}),
        centres=[[it.bbox.center.position.x, it.bbox.center.position.y] for it in sample.objects],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('role', choices=['echo', 'late', 'graph', 'garbage', 'camera'])
    parser.add_argument('of', nargs='*')
    parser.add_argument('--reliable', action='store_true')
    given = parser.parse_args()
    globals()[given.role](Peer(given.reliable), *given.of)


if __name__ == '__main__':
    main()
