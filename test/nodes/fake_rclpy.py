"""As much of rclpy as the nodes use, in one process and without DDS.

The names and keywords are the real ones: `test_signatures.py` holds the nodes against the
signatures of ROS 2 Jazzy, and `test/ros/` runs them on the real thing.
"""

# ruff: noqa: N818  # the names are those of rclpy

from __future__ import annotations

import enum
import sys
from types import ModuleType, SimpleNamespace
from typing import Any


class TransitionCallbackReturn(enum.Enum):
    SUCCESS = 0
    FAILURE = 1
    ERROR = 2


class ParameterException(Exception):
    pass


class InvalidParameterTypeException(ParameterException):
    pass


class InvalidParameterValueException(ParameterException):
    pass


class ExternalShutdownException(Exception):
    pass


class Message:
    """Keeps its keywords; stands for any message class."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def message(name: str, **defaults: Any) -> type[Message]:
    def fill(self: Message, **fields: Any) -> None:
        assert fields.keys() <= defaults.keys(), f'{name} has no {fields.keys() - defaults.keys()}'
        self.__dict__.update({**defaults, **fields})

    return type(name, (Message,), {'__init__': fill})


class Bus:
    """All topics: what was published, who subscribes, the time."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Any] = {}
        self.published: dict[str, list[bytes]] = {}
        self.listeners: set[str] = set()
        self.now_ns = 0
        self.log: list[tuple[str, str]] = []
        self.ok = False
        self.severities: dict[tuple[str, int], str] = {}

    def send(self, topic: str, data: bytes) -> None:
        if topic in self.subscriptions:
            self.subscriptions[topic].callback(data)


BUS = Bus()


def _log(severity: str, text: str) -> None:
    """Log as rclpy does, which keeps one severity for each line of code that logs."""
    caller = sys._getframe(2)
    line = caller.f_code.co_filename, caller.f_lineno
    if BUS.severities.setdefault(line, severity) != severity:
        raise ValueError('Logger severity cannot be changed between calls.')
    BUS.log.append((severity, text))


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.enabled = False

    def publish(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.enabled:
            BUS.published.setdefault(self.topic, []).append(data)

    def get_subscription_count(self) -> int:
        return int(self.topic in BUS.listeners)


class LifecycleNode:
    """A node whose transitions are triggered by calls."""

    def __init__(
        self,
        node_name: str,
        *,
        namespace: str = '',
        parameter_overrides: list[Any] | None = None,
        remappings: dict[str, str] | None = None,
    ) -> None:
        self._name = f'{namespace.rstrip("/")}/{node_name}'
        self._space = namespace.rstrip('/')
        self._parameter_overrides = {it.name: it.value for it in parameter_overrides or []}
        self._remappings = remappings or {}
        self._parameters: dict[str, tuple[Any, Any]] = {}
        self._checks: list[Any] = []
        self._after: list[Any] = []
        self._managed: list[Publisher] = []
        self._services = [
            SimpleNamespace(srv_type=ChangeState, name='~/change_state', callback=self._transit)
        ]
        self.state = 'unconfigured'
        self.context = SimpleNamespace(ok=lambda: True)

    # -- parameters

    def declare_parameter(self, name: str, value: Any, descriptor: Any = None) -> Any:
        given = self._parameter_overrides.get(name, value)
        if type(given) is not type(value):
            raise InvalidParameterTypeException(name)
        self._check_range(name, given, descriptor)
        self._parameters[name] = (given, descriptor)
        return SimpleNamespace(name=name, value=given)

    def has_parameter(self, name: str) -> bool:
        return name in self._parameters

    def get_parameters(self, names: list[str]) -> list[Any]:
        return [SimpleNamespace(name=n, value=self._parameters[n][0]) for n in names]

    def add_on_set_parameters_callback(self, callback: Any) -> None:
        self._checks.append(callback)

    def add_post_set_parameters_callback(self, callback: Any) -> None:
        self._after.append(callback)

    def set_parameters(self, wanted: list[Any]) -> list[Any]:
        results = []
        for it in wanted:
            result = self._set(it)
            results.append(result)
            if result.successful:
                for callback in self._after:
                    callback([it])
        return results

    def _set(self, it: Any) -> Any:
        refuse = SetParametersResult(successful=False, reason='refused by rclpy')
        if it.name not in self._parameters or self._parameters[it.name][1].read_only:
            return refuse
        try:
            self._check_range(it.name, it.value, self._parameters[it.name][1])
        except InvalidParameterValueException:
            return refuse
        for callback in self._checks:
            result = callback([it])
            if not result.successful:
                return result
        self._parameters[it.name] = (it.value, self._parameters[it.name][1])
        return SetParametersResult(successful=True)

    @staticmethod
    def _check_range(name: str, value: Any, descriptor: Any) -> None:
        for limits in (*descriptor.floating_point_range, *descriptor.integer_range):
            if not limits.from_value <= value <= limits.to_value:
                raise InvalidParameterValueException(f'{name} is out of range')

    # -- topics and services

    def resolve_topic_name(self, topic: str) -> str:
        topic = self._remappings.get(topic, topic)
        if topic.startswith('~/'):
            return f'{self._name}/{topic[2:]}'
        return topic if topic.startswith('/') else f'{self._space}/{topic}'

    def create_lifecycle_publisher(
        self, kind: Any, topic: str, qos: Any, *, qos_overriding_options: Any
    ) -> Publisher:
        assert kind is not None
        publisher = Publisher(self.resolve_topic_name(topic))
        self._managed.append(publisher)
        return publisher

    def destroy_lifecycle_publisher(self, publisher: Publisher) -> None:
        self._managed.remove(publisher)

    def create_subscription(
        self,
        kind: Any,
        topic: str,
        callback: Any,
        qos: Any,
        *,
        event_callbacks: Any,
        qos_overriding_options: Any,
        raw: bool,
    ) -> Any:
        assert kind is not None
        assert raw
        found = SimpleNamespace(
            topic=topic, callback=callback, qos=qos, events=event_callbacks, kind=kind
        )
        BUS.subscriptions[topic] = found
        return found

    def destroy_subscription(self, subscription: Any) -> None:
        del BUS.subscriptions[subscription.topic]

    def create_service(self, kind: Any, name: str, callback: Any) -> None:
        self._services.append(SimpleNamespace(srv_type=kind, name=name, callback=callback))

    @property
    def services(self) -> Any:
        yield from self._services

    def ask(self, name: str, **request: Any) -> Any:
        """Call a service as a client would."""
        (found,) = [it.callback for it in self.services if it.name == name]
        return found(SimpleNamespace(**request), SimpleNamespace(success=None, message=''))

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=BUS.now_ns))

    def get_logger(self) -> Any:
        def level(name: str) -> Any:
            return lambda text: _log(name, text)

        return SimpleNamespace(**{name: level(name) for name in ('info', 'warning', 'error')})

    def destroy_node(self) -> None:
        self.state = 'destroyed'

    # -- life cycle

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    on_cleanup = on_shutdown = on_error = on_configure

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        for publisher in self._managed:
            publisher.enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        for publisher in self._managed:
            publisher.enabled = False
        return TransitionCallbackReturn.SUCCESS

    def trigger_configure(self) -> TransitionCallbackReturn:
        return self._change('on_configure', 'unconfigured', 'inactive')

    def trigger_activate(self) -> TransitionCallbackReturn:
        return self._change('on_activate', 'inactive', 'active')

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        return self._change('on_deactivate', 'active', 'inactive')

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        return self._change('on_cleanup', 'inactive', 'unconfigured')

    def _transit(self, request: Any, response: Any) -> Any:
        response.success = getattr(self, f'trigger_{request.transition.id}')().value == 0
        return response

    def _change(self, callback: str, start: str, goal: str) -> TransitionCallbackReturn:
        if self.state != start:
            raise RuntimeError(f'{callback} in state {self.state}')
        result = getattr(self, callback)(self.state)
        if result == TransitionCallbackReturn.SUCCESS:
            self.state = goal
        elif result == TransitionCallbackReturn.ERROR:
            self.on_error(self.state)
            self.state = 'unconfigured'
        return result


class Updater:
    def __init__(self, node: LifecycleNode) -> None:
        self.tasks: dict[str, Any] = {}
        node.updater = self

    def setHardwareID(self, hwid: str) -> None:
        assert hwid

    def add(self, name: str, fill: Any) -> None:
        self.tasks[name] = fill

    def status(self, name: str) -> Any:
        found = SimpleNamespace(level=None, message='', values={})

        def summary(level: bytes, text: str) -> None:
            found.level, found.message = level, text

        def add(key: str, value: str) -> None:
            assert isinstance(value, str)
            found.values[key] = value

        self.tasks[name](SimpleNamespace(summary=summary, add=add))
        return found


ParameterDescriptor = message(
    'ParameterDescriptor',
    description='',
    additional_constraints='',
    read_only=False,
    floating_point_range=[],
    integer_range=[],
)
SetParametersResult = message('SetParametersResult', successful=False, reason='')
Range = message('Range', from_value=0, to_value=0, step=0)


class QoSOverridingOptions:
    @classmethod
    def with_default_policies(cls) -> QoSOverridingOptions:
        return cls()


def _service(name: str, **request: Any) -> type:
    return type(
        name,
        (),
        {
            'Request': message('Request', **request),
            'Response': message('Response', success=False, message=''),
        },
    )


ChangeState = _service('ChangeState', transition=None)

MODULES: dict[str, dict[str, Any]] = {
    'rclpy': {
        'init': lambda args: setattr(BUS, 'ok', True),
        'ok': lambda: BUS.ok,
        'try_shutdown': lambda: setattr(BUS, 'ok', False),
    },
    'rclpy.lifecycle': {
        'LifecycleNode': LifecycleNode,
        'TransitionCallbackReturn': TransitionCallbackReturn,
    },
    'rclpy.exceptions': {
        'ParameterException': ParameterException,
        'InvalidParameterTypeException': InvalidParameterTypeException,
        'InvalidParameterValueException': InvalidParameterValueException,
    },
    'rclpy.executors': {'ExternalShutdownException': ExternalShutdownException},
    'rclpy.qos': {
        'QoSProfile': message('QoSProfile', history=0, depth=0, reliability=0, durability=0),
        'HistoryPolicy': enum.Enum('HistoryPolicy', 'KEEP_LAST KEEP_ALL'),
        'ReliabilityPolicy': enum.Enum('ReliabilityPolicy', 'RELIABLE BEST_EFFORT'),
        'DurabilityPolicy': enum.Enum('DurabilityPolicy', 'TRANSIENT_LOCAL VOLATILE'),
        'qos_policy_name_from_kind': lambda kind: kind,
    },
    'rclpy.qos_overriding_options': {'QoSOverridingOptions': QoSOverridingOptions},
    'rclpy.event_handler': {
        'SubscriptionEventCallbacks': message('SubscriptionEventCallbacks', incompatible_qos=None)
    },
    'rcl_interfaces': {},
    'rcl_interfaces.msg': {
        'ParameterDescriptor': ParameterDescriptor,
        'SetParametersResult': SetParametersResult,
        'FloatingPointRange': Range,
        'IntegerRange': Range,
    },
    'diagnostic_msgs': {},
    'diagnostic_msgs.msg': {
        'DiagnosticStatus': SimpleNamespace(OK=b'\0', WARN=b'\1', ERROR=b'\2', STALE=b'\3')
    },
    'diagnostic_updater': {'Updater': Updater},
    'lifecycle_msgs': {},
    'lifecycle_msgs.srv': {'ChangeState': ChangeState},
    'std_srvs': {},
    'std_srvs.srv': {'SetBool': _service('SetBool', data=False), 'Trigger': _service('Trigger')},
    'sensor_msgs': {},
    'sensor_msgs.msg': {it: message(it) for it in ('Image', 'CompressedImage', 'CameraInfo')},
    'vision_msgs': {},
    'vision_msgs.msg': {'Detection2DArray': message('Detection2DArray')},
    'mot_perception.msg': {'TrackedObjectArray': message('TrackedObjectArray')},
}


def install(monkeypatch: Any) -> Bus:
    """Put the fakes in the place of what is missing; return a fresh bus."""
    BUS.__init__()
    for name, members in MODULES.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    for name in [it for it in sys.modules if it.startswith('mot_perception.nodes')]:
        monkeypatch.delitem(sys.modules, name)
    return BUS
