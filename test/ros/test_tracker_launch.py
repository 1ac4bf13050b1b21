"""`tracker.launch.py` as users start it: a process of its own, and stopped as it should be."""

from __future__ import annotations

import unittest
from pathlib import Path
from time import monotonic, sleep

import pytest

pytest.importorskip('launch_testing', reason='ROS 2 is not installed here')

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

LAUNCH_FILE = Path(__file__).resolve().parents[2] / 'launch' / 'tracker.launch.py'
NAMESPACE = '/mot_test/launched'
DEADLINE = 60.0


def is_installed() -> bool:
    """Return whether launch will find the node."""
    try:
        get_package_prefix('mot_perception')
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.launch_test
def generate_test_description():
    """Start the tracker with topics remapped, on detections alone."""
    arguments = {
        'namespace': NAMESPACE,
        'name': 'followed',
        'detections': f'{NAMESPACE}/yolo/found',
        'image_transport': 'none',
        'tracks': 'identities',
        'tracker.max_age': '3',
    }
    tracker = IncludeLaunchDescription(str(LAUNCH_FILE), launch_arguments=arguments.items())
    started = [tracker] if is_installed() else []
    return LaunchDescription([*started, launch_testing.actions.ReadyToTest()])


class TestTracker(unittest.TestCase):
    """While it runs."""

    __test__ = False  # launch_testing collects it, pytest alone must not

    @classmethod
    def setUpClass(cls):
        """Make a node in a context of its own."""
        if not is_installed():
            raise unittest.SkipTest('mot_perception is not installed: colcon build')
        cls.context = rclpy.Context()
        cls.context.init()
        cls.node = rclpy.create_node('probe', namespace=NAMESPACE, context=cls.context)
        cls.executor = SingleThreadedExecutor(context=cls.context)
        cls.executor.add_node(cls.node)

    @classmethod
    def tearDownClass(cls):
        """Take the node down."""
        cls.executor.shutdown()
        cls.node.destroy_node()
        cls.context.try_shutdown()

    def spin_until(self, is_true, what):
        """Spin until something is true."""
        end = monotonic() + DEADLINE
        while not is_true():
            self.assertLess(monotonic(), end, f'{what} did not come')
            self.executor.spin_once(timeout_sec=0.1)

    def test_detections_become_tracks(self):
        """Arguments reached the node: names, remappings, parameters."""
        from mot_perception.msg import TrackedObjectArray

        found = []
        self.node.create_subscription(
            TrackedObjectArray, f'{NAMESPACE}/identities', found.append, 10
        )
        publisher = self.node.create_publisher(Detection2DArray, f'{NAMESPACE}/yolo/found', 10)
        self.spin_until(lambda: publisher.get_subscription_count() > 0, 'the subscription')
        message = Detection2DArray()
        for second in range(1, 1000):
            message.header.stamp.sec = second
            publisher.publish(message)
            self.executor.spin_once(timeout_sec=0.1)
            if found:
                break
            sleep(0.05)
        self.assertTrue(found, 'no tracks came')
        self.assertIn(('followed', NAMESPACE), self.node.get_node_names_and_namespaces())

    def test_reset(self):
        """The service has the node's name."""
        client = self.node.create_client(Trigger, f'{NAMESPACE}/followed/reset')
        self.spin_until(client.service_is_ready, 'the service')
        future = client.call_async(Trigger.Request())
        self.spin_until(future.done, 'the answer')
        self.assertTrue(future.result().success)


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After Ctrl-C."""

    __test__ = False

    def test_exit_code(self, proc_info):
        """It ends cleanly."""
        if is_installed():
            launch_testing.asserts.assertExitCodes(proc_info)
