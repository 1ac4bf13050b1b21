"""Where the files beside the code are: messages, configurations."""

from __future__ import annotations

import os
import re
import site
import sysconfig
from pathlib import Path

from mot_perception.errors import UserError


def resource(relative: str) -> Path:
    """Find a file of the package, such as 'msg/TrackedObject.msg' or 'config/motion.yaml'.

    Looked for in the source tree, then where pip puts shared data, then in the ROS prefixes.

    Args:
        relative: Path below the package's root or share folder.

    Raises:
        UserError: None of these places has it.
    """
    roots = _roots()
    for root in roots:
        if (root / relative).is_file():
            return root / relative
    searched = ', '.join(str(root) for root in roots)
    raise UserError(f'{relative} of mot_perception is missing (searched {searched}): reinstall it')


def weights(model: str) -> Path:
    """Return the file that a model's name means: a shipped network's, else a path.

    Args:
        model: Such as 'people_nano', or '~/yolox_x.pth'.
    """
    shipped = Path(__file__).parent / 'weights' / f'{model}.safetensors'
    if re.fullmatch('[a-z0-9_]+', model) and shipped.is_file():
        return shipped
    return Path(model).expanduser()


def _roots() -> list[Path]:
    ament = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    prefixes = [sysconfig.get_path('data'), site.getuserbase(), *ament]
    shares = [Path(prefix) / 'share' / 'mot_perception' for prefix in prefixes if prefix]
    return [Path(__file__).resolve().parents[1], *shares]
