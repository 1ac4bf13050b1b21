"""Large images over DDS: Cyclone DDS's own settings beside ours.

    python benchmarks/dds_images.py [--seconds 10]

One process publishes 1920×1080 rgb8 at 30 Hz, another one subscribes, both as `mot-perception
live` does, on the loopback interface; and the same with 1280×720. 'frames/s' is what arrives, 'ms'
the median latency from the call that publishes to the callback, 'CPU' the share of one core that
each process takes. '208 kB': with the receive buffer that an untouched kernel allows.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import struct
import subprocess
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from mot_perception.dds import domain
from mot_perception.dds.node import DdsNode
from mot_perception.messages.cdr import write_message
from mot_perception.messages.images import encode_image
from mot_perception.messages.mapping import to_time
from mot_perception.messages.typestore import message_classes
from mot_perception.resources import resource

RATE = 30
SIZES = {'1080p': (1920, 1080), '720p': (1280, 720)}
LOOPBACK = (
    '<General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
    '<AllowMulticast>false</AllowMulticast></General>'
    '<Discovery><ParticipantIndex>auto</ParticipantIndex>'
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery>'
)
STOCK = 212_992
"""net.core.rmem_max of an untouched Linux kernel, bytes."""
OURS = resource('config/cyclonedds.xml').read_text('utf-8').strip()
NARROW = f'<Internal><SocketReceiveBufferSize max="{STOCK}B"/></Internal>'
PROFILES = {
    "Cyclone's": '',
    "Cyclone's, 208 kB": NARROW,
    'ours': OURS,
    'ours, 208 kB': f'{OURS},{NARROW}',
}
TOPIC = '/camera/image_raw', 'sensor_msgs/msg/Image'


def node(name: str, profile: str) -> DdsNode:
    """Return a node with certain settings."""
    domain.settings = lambda: ','.join(filter(None, [profile, LOOPBACK]))
    return DdsNode(name)


def publish(given: argparse.Namespace) -> None:
    """Publish until the time is over; print the share of a core that it took."""
    make = message_classes()
    width, height = SIZES[given.size]
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    header = make.Header(stamp=to_time(0, make.Time), frame_id='camera')
    content = write_message(encode_image(pixels, 'rgb8', header, make.Image), TOPIC[1])
    address = ctypes.cast(content, ctypes.c_void_p).value + 4
    with node('camera', given.profile) as camera:
        images = camera.advertise(*TOPIC, reliable=given.reliable, depth=1)
        while not images.subscribers:
            time.sleep(0.01)
        time.sleep(0.5)
        start, busy = time.monotonic(), time.process_time()
        for k in range(int(given.seconds * RATE)):
            time.sleep(max(0.0, start + k / RATE - time.monotonic()))
            # In place: to build 6 MB anew takes longer than to send them.
            ctypes.memmove(address, struct.pack('<Q', time.monotonic_ns()), 8)
            images.publish(content)
        taken = (time.process_time() - busy) / (time.monotonic() - start)
        time.sleep(0.5)
    print(json.dumps({'cpu': taken}))


def subscribe(given: argparse.Namespace) -> None:
    """Count what arrives; print it."""
    latencies: list[float] = []

    def receive(data: bytes) -> None:
        latencies.append((time.monotonic_ns() - struct.unpack_from('<Q', data, 4)[0]) / 1e6)

    with node('tracker', given.profile) as tracker:
        images = tracker.subscribe(*TOPIC, receive, reliable=given.reliable)
        while not latencies and not images.publishers:
            time.sleep(0.01)
        busy, start = time.process_time(), time.monotonic()
        time.sleep(given.seconds + 0.7)
        taken = (time.process_time() - busy) / (time.monotonic() - start)
    found = {'count': len(latencies), 'cpu': taken}
    print(json.dumps({**found, 'latency': statistics.median(latencies or [float('nan')])}))


def measure(size: str, profile: str, reliable: bool, seconds: float) -> list[str]:
    """Return the cells of one row."""
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(os.getpid() % 100 + 1),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
        'CYCLONEDDS_URI': LOOPBACK,
    }
    options = ['--size', size, '--profile', profile, '--seconds', str(seconds)]
    options += ['--reliable'] * reliable
    both = [
        subprocess.Popen(
            [sys.executable, __file__, '--role', role, *options],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for role in ('subscribe', 'publish')
    ]
    here, there = (json.loads(it.communicate()[0]) for it in both)
    return [
        f'{here["count"] / seconds:.1f}',
        f'{here["latency"]:.1f}',
        f'{there["cpu"]:.0%}',
        f'{here["cpu"]:.0%}',
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--role', choices=['publish', 'subscribe'])
    parser.add_argument('--size', choices=SIZES, default='1080p')
    parser.add_argument('--profile')
    parser.add_argument('--reliable', action='store_true')
    given = parser.parse_args()
    if given.role:
        {'publish': publish, 'subscribe': subscribe}[given.role](given)
        return
    table = Table('image', 'settings', 'delivery', title=f'{RATE} images/s')
    for name in ('frames/s', 'ms', 'CPU out', 'CPU in'):
        table.add_column(name, justify='right')
    for size in SIZES:
        for name, profile in PROFILES.items():
            for reliable in (False, True):
                cells = measure(size, profile, reliable, given.seconds)
                table.add_row(size, name, 'reliable' if reliable else 'best effort', *cells)
    Console().print(table)


if __name__ == '__main__':
    main()
