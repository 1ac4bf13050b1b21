"""The detector and the depth node on the real ROS 2."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed here')
pytest.importorskip('mot_perception.msg', reason='the messages are not built: colcon build')

import numpy as np
from ros_stand import BOX, FRAME_ID, HEIGHT, START, WIDTH, image, jpeg, seconds
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from mot_perception.nodes.depth_node import DepthNode
from mot_perception.nodes.detector_node import DetectorNode


def test_detector(stand):
    found = []
    stand.listen('detections', found.append, Detection2DArray)
    stand.node(kind=DetectorNode)
    stand.publisher(Image, 'image').publish(image(START))
    stand.wait(lambda: found, 'detections')
    assert seconds(found[0]) == START
    assert found[0].header.frame_id == FRAME_ID
    (it,) = found[0].detections
    assert it.bbox.size_x == BOX[2] - BOX[0]
    assert it.results[0].hypothesis.class_id == 'thing'
    assert it.results[0].hypothesis.score == pytest.approx(0.95)


def test_detector_reads_compressed_images(stand):
    found = []
    stand.listen('detections', found.append, Detection2DArray)
    stand.node({'stream.image_transport': 'compressed'}, kind=DetectorNode)
    stand.publisher(CompressedImage, 'image/compressed').publish(jpeg(START))
    stand.wait(lambda: found, 'detections')
    assert len(found[0].detections) == 1


def test_depth(stand):
    found = []
    stand.listen('depth', found.append, Image)
    stand.node({'depth.backend': 'transformers', 'depth.model': 'wall'}, kind=DepthNode)
    stand.publisher(Image, 'image').publish(image(START))
    stand.wait(lambda: found, 'depth')
    depth = found[0]
    assert (depth.width, depth.height, depth.encoding) == (WIDTH, HEIGHT, '32FC1')
    assert seconds(depth) == START
    assert np.frombuffer(depth.data, '<f4').tolist() == [2.5] * (WIDTH * HEIGHT)
