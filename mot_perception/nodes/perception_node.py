"""What all nodes of this package have in common: life cycle, parameters, services, diagnostics."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, ClassVar

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import Updater
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from mot_perception.errors import UserError
from mot_perception.models import load_models
from mot_perception.nodes.node_ports import NodePorts
from mot_perception.nodes.parameters import NodeParameters
from mot_perception.runtime.engine import Engine
from mot_perception.runtime.health import ERROR, OK, WARN

if TYPE_CHECKING:
    from collections.abc import Callable

    from diagnostic_updater import DiagnosticStatusWrapper
    from rclpy.lifecycle import LifecycleState

    from mot_perception.config import Config
    from mot_perception.models import Models
    from mot_perception.runtime.topics import Task

LEVELS = {OK: DiagnosticStatus.OK, WARN: DiagnosticStatus.WARN, ERROR: DiagnosticStatus.ERROR}


class PerceptionNode(LifecycleNode):
    """A managed node around an `Engine`.

    Models are loaded when it is configured and freed when it is cleaned up; it subscribes while it
    is active. Services: `~/reset` (std_srvs/Trigger) and `~/enable` (std_srvs/SetBool).

    Args:
        name: Default name of the node.
        arguments: Those of `rclpy.node.Node`.

    Raises:
        UserError: A parameter that it was started with is wrong.
    """

    task: ClassVar[Task]

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        autostart = self.declare_parameter(
            'autostart',
            True,
            ParameterDescriptor(
                description='Configure and activate at the start, without being asked.',
                read_only=True,
            ),
        )
        self.autostart = bool(autostart.value)
        self._settings = NodeParameters(self, self.task, self._on_parameters)
        self._models: Models | None = None
        self._ports: NodePorts | None = None
        self._engine: Engine | None = None
        self._updater = Updater(self)
        self._updater.setHardwareID('none')
        for camera in self._settings.config().stream.cameras:
            self._updater.add(camera or 'camera', self._diagnosis_of(camera))
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self._refuse_impossible_transitions()

    def start(self) -> bool:
        """Configure and activate; return whether both worked."""
        return all(
            change() == TransitionCallbackReturn.SUCCESS
            for change in (self.trigger_configure, self.trigger_activate)
        )

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models and create the publishers."""
        return self._transition(self._configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and begin to work."""
        return self._transition(self._activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop working; tracks are kept."""
        return self._transition(self._deactivate, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the models."""
        return self._transition(self.close, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working and free the models."""
        return self._transition(self.close, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up what was half done: the node can be configured again."""
        return self._transition(self.close, super().on_error, state)

    def close(self) -> None:
        """Stop working and free everything; may be called at any time."""
        self._deactivate()
        if self._ports is not None:
            self._ports.close()
        if self._models is not None:
            self._models.close()
        self._ports = self._engine = self._models = None

    def _refuse_impossible_transitions(self) -> None:
        """Answer requests of them: rclpy raises instead, which would end the node."""
        service = next(it for it in self.services if it.srv_type is ChangeState)
        change = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return change(request, response)
            except RuntimeError as error:  # the base of rclpy's errors, which are private
                self.get_logger().warning(f'transition {request.transition.id}: {error}')
                response.success = False
                return response

        service.callback = answer

    def _configure(self) -> None:
        config = self._settings.config()
        self._models = load_models(config)
        self._ports = NodePorts(self, config, self.task)
        self._engine = Engine(config, self._models, self._ports, self.task)
        self._ports.advertise()
        loaded = ', '.join(f'{role}: {name}' for role, name in self._models.names.items())
        self.get_logger().info(f'ready: {loaded or "no models"}')

    def _activate(self) -> None:
        if self._engine is None or self._ports is None:
            raise UserError('the node is not configured')
        self._engine.start()
        self._ports.subscribe(self._engine)

    def _deactivate(self) -> None:
        if self._ports is not None:
            self._ports.unsubscribe()
        if self._engine is not None:
            self._engine.stop()

    def _transition(
        self,
        change: Callable[[], None],
        of_publishers: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        """Do a transition; tell why where it fails: rclpy would keep silent."""
        try:
            change()
        except UserError as error:
            self.get_logger().error(str(error))
            self.close()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            if self.context.ok():  # else it was asked to stop in the middle of it
                self.get_logger().error(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        return of_publishers(state)

    def _on_parameters(self, config: Config) -> None:
        if self._engine is not None:
            self._engine.reconfigure(config)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._engine is not None
        if self._engine is None:
            response.message = 'not configured'
        else:
            self._engine.reset()
            response.message = 'all tracks are forgotten'
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._engine is not None
        if self._engine is None:
            response.message = 'not configured'
        else:
            self._engine.enable(request.data)
            response.message = 'enabled' if request.data else 'disabled'
        return response

    def _diagnosis_of(
        self, camera: str
    ) -> Callable[[DiagnosticStatusWrapper], DiagnosticStatusWrapper]:
        def fill(status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
            if self._engine is None:
                status.summary(DiagnosticStatus.OK, 'not configured')
                return status
            found = self._engine.diagnose(camera)
            status.summary(LEVELS[found.level], found.message)
            for key, value in found.values.items():
                status.add(key, value)
            return status

        return fill
