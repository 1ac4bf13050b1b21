"""The authors' own packages, which nobody needs: found where they are installed."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = {
    'depth_pro': 'pip install git+https://github.com/apple/ml-depth-pro',
    'sam2': 'pip install git+https://github.com/facebookresearch/sam2',
    'fastreid': 'pip install --no-deps fastreid',
}
"""How to get them. They need torchvision of the same build as torch; PyPI's does not go with torch
for the CPU, and its fastreid would replace torch by an older one."""
INSTEAD = {
    'depth_pro': "depth.backend 'transformers'",
    'sam2': "masks.backend 'sam2'",
    'fastreid': "appearance.backend 'fastreid'",
}
"""What computes the same without them."""


def native(module: str) -> Any:
    """Import a module of such a package.

    Args:
        module: Its dotted name.

    Raises:
        UserError: The package is not installed, or does not import: how to install it, and what
            goes without.
    """
    package = module.partition('.')[0]
    try:
        import_module(package)
        return import_module(module)
    except ModuleNotFoundError as error:
        said = 'is not installed' if error.name == package else f'lacks {error.name}'
    except Exception as error:  # whatever a package of another age does where it is imported
        said = f'cannot be imported ({_line(error)})'
    raise UserError(
        f'the package {package} {said}: run "{INSTALL[package]}", or set {INSTEAD[package]}, '
        'which needs no such package'
    ) from None


@contextmanager
def calling(package: str) -> Iterator[None]:
    """Say in one line what a package raises that is not what its documentation says.

    Raises:
        UserError: Instead of any exception that is none.
    """
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError:
        raise UserError(
            f'the package {package}: the memory of the GPU does not suffice; take a smaller '
            "network, or set models.device 'cpu'"
        ) from None
    except Exception as error:
        raise UserError(
            f'the package {package} fails ({_line(error)}); install another version of it, or set '
            f'{INSTEAD[package]}'
        ) from error


def _line(error: BaseException) -> str:
    """Return the type of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0][:200]}' if lines else type(error).__name__
