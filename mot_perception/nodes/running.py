"""The main function of a node."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mot_perception.nodes.perception_node import PerceptionNode


def run(make_node: Callable[[], PerceptionNode], arguments: list[str] | None = None) -> int:
    """Run a node until it is asked to stop.

    Args:
        make_node: Makes the node once rclpy is initialised.
        arguments: Of the command line; None: those of the process.

    Returns:
        The exit code: 0, or 1 if it could not start.
    """
    node = None
    try:
        _initialise(arguments)
        node = make_node()
        if node.autostart and not node.start():
            return 1
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (UserError, ParameterException) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    except RuntimeError:
        if rclpy.ok():
            raise
        return 0  # asked to stop while it was starting: nothing can be published any more
    finally:
        # A second interrupt may come while the first one is being obeyed.
        with suppress(KeyboardInterrupt):
            if node is not None:
                node.close()
                node.destroy_node()
        with suppress(KeyboardInterrupt):
            rclpy.try_shutdown()
    return 0


def _initialise(arguments: list[str] | None) -> None:
    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # the base of rclpy's errors, which are private
        what = re.sub(r', at \S+:\d+', '', ' '.join(str(error).split()))  # places in rcl's source
        raise UserError(f'{what}; mend the arguments or the parameter file') from error
