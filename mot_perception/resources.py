"""Where the files beside the code are: messages, configurations."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mot_perception.errors import UserError


def resource(relative: str) -> Path:
    """Find a file of the package, such as 'msg/TrackedObject.msg' or 'config/motion.yaml'.

    Looked for in the source tree, then where pip puts shared data, then in the ROS prefixes.

    Args:
        relative: Path below the package's root or share folder.

    Raises:
        UserError: Neither place has it.
    """
    for root in _roots():
        if (root / relative).is_file():
            return root / relative
    searched = ', '.join(str(root) for root in _roots())
    raise UserError(f'{relative} of mot_perception is missing (searched {searched}): reinstall it')


def _roots() -> list[Path]:
    prefixes = [sys.prefix, *os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)]
    shares = [Path(prefix) / 'share' / 'mot_perception' for prefix in prefixes if prefix]
    return [Path(__file__).resolve().parents[1], *shares]
