"""Declares the parameters of a node, and watches over their changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

from mot_perception.errors import UserError
from mot_perception.runtime.parameters import PRESETS, check_names, configuration, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from mot_perception.config import Config
    from mot_perception.runtime.parameters import Parameter
    from mot_perception.runtime.topics import Task


class NodeParameters:
    """The parameters of a node as one configuration.

    Args:
        node: Whose.
        task: What the node does; it declares the settings of that.
        on_change: Called with the new configuration after parameters have been set.

    Raises:
        UserError: A value that the node was started with is wrong.
    """

    def __init__(self, node: Node, task: Task, on_change: Callable[[Config], None]) -> None:
        self._node, self._task, self._on_change = node, task, on_change
        table = parameters(task)
        presets = {it.name: str(_declare(node, it)) for it in table if it.name in PRESETS}
        table = parameters(task, presets)  # whose defaults they decide
        for parameter in table:
            if not node.has_parameter(parameter.name):
                _declare(node, parameter)
        self._names = [parameter.name for parameter in table]
        check_names(getattr(node, '_parameter_overrides', ()))  # rclpy has no public name for it
        self.config()
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def config(self, changed: dict[str, Any] | None = None) -> Config:
        """Return the configuration that the parameters make.

        Args:
            changed: Values to take instead of those that are set.

        Raises:
            UserError: They do not fit together.
        """
        found = self._node.get_parameters(self._names)
        values = {parameter.name: parameter.value for parameter in found}
        return configuration({**values, **(changed or {})}, self._task)

    def _check(self, wanted: list[Any]) -> SetParametersResult:
        """Refuse, with a reason, what the configuration does not allow."""
        try:
            self.config(self._ours(wanted))
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, changed: list[Any]) -> None:
        if self._ours(changed):
            self._on_change(self.config())

    def _ours(self, given: list[Any]) -> dict[str, Any]:
        return {it.name: it.value for it in given if it.name in self._names}


def _declare(node: Node, parameter: Parameter) -> Any:
    """Declare a parameter; return its value, which may have been given at the start."""
    try:
        return node.declare_parameter(
            parameter.name, parameter.default, _descriptor(parameter)
        ).value
    except InvalidParameterTypeException:
        kind = type(parameter.default).__name__
        hint = ', with a decimal point' if kind == 'float' else ''
        raise UserError(
            f'{parameter.name}: a value of type {kind} is needed{hint}, such as '
            f'{parameter.default!r}; mend the parameter file'
        ) from None
    except InvalidParameterValueException as error:
        raise UserError(f'{parameter.name}: {error}; mend the parameter file') from None


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=parameter.description,
        additional_constraints=parameter.constraints,
        read_only=not parameter.dynamic,
    )
    low, high = parameter.low, parameter.high
    if isinstance(parameter.default, bool) or (low is None and high is None):
        return descriptor
    if isinstance(parameter.default, int):
        descriptor.integer_range = [
            IntegerRange(
                from_value=-sys.maxsize if low is None else int(low),
                to_value=sys.maxsize if high is None else int(high),
                step=0,
            )
        ]
    else:
        largest = sys.float_info.max
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-largest if low is None else float(low),
                to_value=largest if high is None else float(high),
                step=0.0,
            )
        ]
    return descriptor
