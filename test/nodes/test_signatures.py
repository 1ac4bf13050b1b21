"""Every name, attribute and argument that nodes and launch files take from ROS exists there."""

from __future__ import annotations

import pytest
from ros_check import problems
from ros_signatures import FOLDER, ROOT, parse_messages, parse_modules, ros_api

FILES = sorted(
    path.relative_to(ROOT)
    for folder in ('mot_perception/nodes', 'launch', 'test/ros')
    for path in (ROOT / folder).glob('*.py')
)


@pytest.fixture(autouse=True)
def _lists():
    ros_api()  # skips where they are absent


@pytest.mark.parametrize('path', FILES, ids=str)
def test_exists_in_ros(path):
    assert problems((ROOT / path).read_text('utf-8')) == []


NODE = """
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
class Own(LifecycleNode):
    def __init__(self):
        super().__init__('own')
        self.thing = 1
    def run(self):
        {}
"""


@pytest.mark.parametrize(
    ('source', 'problem'),
    [
        ('import rclpy.nodes', 'no module rclpy.nodes'),
        ('from rclpy.node import Nodes', 'rclpy.node has no Nodes'),
        ('from rclpy.lifecycle import TransitionCallbackReturnType', 'has no Transition'),
        ('from launch.actions import DeclareArgument', 'has no DeclareArgument'),
        ('from lifecycle_msgs.msg import Nothing', 'has no Nothing'),
        ('from mot_perception.msg import Track', 'has no Track'),
        ('import rclpy\nrclpy.init(arguments=[])', 'no argument arguments'),
        ('import rclpy\nrclpy.init([])', 'takes 0 positional arguments, not 1'),
        ('import rclpy\nrclpy.qos.QoSProfile(depth=1)', 'rclpy has no qos'),
        ('from rclpy.qos import QoSProfile\nQoSProfile(deep=1)', 'no argument deep'),
        (
            'from rclpy.qos import ReliabilityPolicy as R\nx = R.BEST_EFFORTS',
            'ReliabilityPolicy has no BEST_EFFORTS',
        ),
        (
            'from rclpy.lifecycle import TransitionCallbackReturn as T\nT.SUCCEEDED',
            'has no SUCCEEDED',
        ),
        (
            'from diagnostic_msgs.msg import DiagnosticStatus\nDiagnosticStatus.WARNING',
            'has no WARNING',
        ),
        (
            'from sensor_msgs.msg import Image\nimage = Image()\nimage.headr.stamp = 1',
            'Image has no headr',
        ),
        (
            'from sensor_msgs.msg import Image\nimage = Image()\nimage.header.stamp.secs = 1',
            'Time has no secs',
        ),
        ('from sensor_msgs.msg import Image\nImage(tall=1)', 'no argument tall'),
        ('from std_srvs.srv import SetBool\nSetBool.Request(on=True)', 'no argument on'),
        (
            'from std_srvs.srv import Trigger\ndef f(r: Trigger.Response): r.ok = True',
            'has no ok',
        ),
        (NODE.format('self.create_subscriber(1)'), 'Own has no create_subscriber'),
        (NODE.format('self.create_timer(period=1.0)'), 'no argument period'),
        (NODE.format('self.create_timer(1.0)'), 'needs the argument callback'),
        (NODE.format('self.create_timer(1.0, print).stop()'), 'Timer has no stop'),
        (NODE.format('self.get_logger().warned("x")'), 'RcutilsLogger has no warned'),
        (NODE.format('self.get_clock().now().nanosecs'), 'Time has no nanosecs'),
        (NODE.format('return TransitionCallbackReturn.OK'), 'has no OK'),
        (NODE.format('self.other'), 'Own has no other'),
        (NODE.format('[self.other for _ in range(3)]'), 'Own has no other'),
        (NODE.format('self.run(1)'), 'takes 0 positional arguments'),
        (NODE.format('super().trigger_start()'), 'has no trigger_start'),
        (NODE.format('self._state_machine'), 'Own has no _state_machine'),
        (
            'from launch_ros.actions import LifecycleNode\nLifecycleNode(executable="x")',
            'needs the argument name',
        ),
        (
            'from launch_ros.actions import LifecycleNode as L\nL(name="", namespace="", exe="")',
            'no argument exe',
        ),
        (
            'from launch.event_handlers import OnProcessExit\nOnProcessExit(on_end=[])',
            'no argument on_end',
        ),
        (
            'from launch_ros.event_handlers import OnStateTransition as O\nO(goal="active")',
            'no argument goal',
        ),
        (
            'from mot_perception.nodes.perception_node import PerceptionNode\n'
            'class N(PerceptionNode):\n    def f(self): self.nothing()',
            'N has no nothing',
        ),
        (
            'import pytest\nrclpy = pytest.importorskip("rclpy")\nrclpy.spinn()',
            'rclpy has no spinn',
        ),
    ],
)
def test_mistakes_are_found(source, problem):
    assert [it for it in problems(source) if problem in it]


@pytest.mark.parametrize(
    'source',
    [
        'from rclpy.qos import QoSProfile, HistoryPolicy as H\nQoSProfile(history=H.KEEP_ALL)',
        'from rclpy.qos import ReliabilityPolicy as R\nR.RELIABLE.name',
        'from sensor_msgs.msg import Image\nImage(height=1).header.stamp.sec = 3',
        'from rclpy.exceptions import ParameterException as P\n'
        'try: pass\nexcept P as e: print(e.args)',
        NODE.format('self.create_subscription(int, "t", print, 1, raw=True).destroy()'),
        NODE.format('self.create_timer(*[1.0, print])'),
        NODE.format('self.create_timer(**{})'),
        NODE.format('self.thing = self.get_parameter("x").value'),
        NODE.format('self.get_logger().info("x", throttle_duration_sec=1.0)'),
        NODE.format('return super().on_configure(None)'),
        'from launch_ros.actions import LifecycleNode as L\n'
        'L(name="", namespace="", executable="", respawn=True, condition=None)',
        'import rclpy.qos\nrclpy.qos.QoSProfile(depth=1)',
        'import torch\ntorch.anything(1)',
    ],
)
def test_no_false_alarm(source):
    assert problems(source) == []


def test_lists_are_read_whole():
    """No line of the lists gets lost."""
    lines = (FOLDER / 'python_signatures.txt').read_text('utf-8').splitlines()
    modules = parse_modules('\n'.join(lines))
    classes = [it for module in modules.values() for it in module.classes.values()]
    assert len(classes) == sum(line.startswith('class ') for line in lines)
    assert sum(len(it.functions) for it in modules.values()) == sum(
        line.startswith('def ') for line in lines
    )
    first, *_, last = modules['rclpy.node'].classes['Node'].members
    assert (first, last) == ('PARAM_REL_TOL', 'waitables')
    info = parse_messages((FOLDER / 'messages.txt').read_text('utf-8'))['sensor_msgs.msg']
    assert info.classes['CameraInfo'].fields['k'] == 'double[9]'
