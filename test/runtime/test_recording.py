"""What a node makes of a recording is what a replay makes of it, message by message."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from engine_cases import World

from mot_perception.bags.bag_file import BagFile
from mot_perception.bags.scene_bag import (
    CAMERA_INFO_TOPIC,
    DEPTH_TOPIC,
    DETECTIONS_TOPIC,
    IMAGE_TOPIC,
)
from mot_perception.bags.tracks_bag import read_tracks
from mot_perception.cli.replay import replay
from mot_perception.cli.scene import scene
from mot_perception.config import load_config
from mot_perception.messages.cdr import read_message, write_message
from mot_perception.messages.typestore import TRACKS
from mot_perception.models import load_models
from mot_perception.runtime.engine import Engine

ROLES = {
    IMAGE_TOPIC: 'image',
    DEPTH_TOPIC: 'depth',
    CAMERA_INFO_TOPIC: 'camera_info',
    DETECTIONS_TOPIC: 'detections',
}
SETTINGS = """
tracker: {{preset: improved}}
detector: {{backend: topic}}
depth: {{backend: {depth}}}
masks: {{backend: {masks}}}
appearance: {{backend: stripes}}
stream: {{queue: 200, publish_masks: true, publish_embeddings: true}}
output: {{video: false, report: false}}
"""


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('scene') / 'bag'
    scene(path, people=5, seconds=3, fps=15, size=(160, 90), drop_rate=0.1, seed=3, quiet=True)
    return path


@pytest.mark.parametrize(('depth', 'masks'), [('topic', 'depth'), ('none', 'none')])
def test_node_equals_replay(recording, tmp_path, depth, masks):
    settings = tmp_path / 'settings.yaml'
    settings.write_text(SETTINGS.format(depth=depth, masks=masks))
    replay(recording, out=tmp_path / 'out', config=str(settings), evaluate=False, quiet=True)
    offline = list(read_tracks(tmp_path / 'out' / 'tracks'))
    assert any(len(tracked.tracks) for tracked in offline)

    config, world = load_config(settings), World()
    engine = Engine(config, load_models(config), world)
    engine.start()
    with BagFile(recording) as bag:
        wanted = [it for it in bag.connections if it.topic in ROLES]
        for connection, _, raw in bag.messages(wanted):
            engine.receive('', ROLES[connection.topic], bytes(raw))
    world.wait(len(offline))
    engine.stop()

    for online, expected in zip(world.tracks(), offline, strict=True):
        assert online.frame == expected.frame
        for name in ('reset_count', 'frame_index', 'dropped_frames', 'depth_is_metric', 'source'):
            assert getattr(online, name) == getattr(expected, name), name
        for column in fields(online.tracks):
            np.testing.assert_array_equal(
                getattr(online.tracks, column.name),
                getattr(expected.tracks, column.name),
                err_msg=column.name,
            )
    with BagFile(tmp_path / 'out' / 'tracks') as bag:
        recorded = [untimed(raw) for _, _, raw in bag.messages(bag.connections)]
    assert [untimed(data) for _, _, data in world.sent] == recorded
    objects = read_message(world.sent[-1][2], TRACKS).objects
    assert any(len(it.mask_rle) for it in objects) == (masks == 'depth')
    assert all(len(it.embedding) for it in objects)


def untimed(data):
    """Return a message of tracks without the time that it took."""
    message = read_message(data, TRACKS)
    message.processing_time.sec = message.processing_time.nanosec = 0
    return write_message(message, TRACKS)
