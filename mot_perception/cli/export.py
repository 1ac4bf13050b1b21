"""Writes a YOLOX as ONNX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mot_perception import resources
from mot_perception.cli.libraries import require
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.perception.yolox_export import Exported

LARGEST = 4096
"""Pixels of an image's side."""


def export(
    weights: Annotated[str, typer.Argument(help='File with weights of YOLOX, or people_nano.')],
    out: Annotated[Path, typer.Argument(metavar='OUT.onnx', help='The file to make.')],
    *,
    size: Annotated[
        str, typer.Option(metavar='HxW', help='Height and width that images are scaled into.')
    ] = '',
    batch: Annotated[
        Literal['1', 'dynamic'], typer.Option(help='Images at once: one, or any number.')
    ] = '1',
    pixels: Annotated[
        Literal['auto', 'bgr', 'imagenet'],
        typer.Option(help='What the weights were trained on; see detector.pixels.'),
    ] = 'auto',
    force: Annotated[bool, typer.Option('--force', help='Replace the file.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Write a YOLOX as ONNX, and check that ONNX Runtime computes what torch does.

    Raises:
        UserError: The weights cannot be read, a library is missing, an option is wrong, or the
            two differ: then there is no file.
    """
    height, width = _sides(size)
    require(torch='models', onnx='onnx', onnxruntime='onnx')
    from mot_perception.bags.outputs import whole
    from mot_perception.perception.yolox_export import export_yolox

    with whole(out, force=force) as part:
        done = export_yolox(
            resources.weights(weights),
            part,
            height=height,
            width=width,
            pixels=pixels,
            any_batch=batch == 'dynamic',
        )
    if not quiet:
        typer.echo(_told(done, out))
    return out


def _sides(size: str) -> tuple[int, int]:
    """Return height and width that were asked for; 0 where the usual ones are wanted."""
    if not size:
        return 0, 0
    found = re.fullmatch('([0-9]{1,4})x([0-9]{1,4})', size)
    sides = [int(side) for side in found.groups()] if found else [0]
    if any(side % 32 or not 0 < side <= LARGEST for side in sides):
        raise UserError(
            f'--size {size!r:.40}: two multiples of 32 up to {LARGEST} are expected, such as '
            '416x416 or 800x1440'
        )
    height, width = sides
    return height, width


def _told(done: Exported, out: Path) -> str:
    note = done.note
    return (
        f'{out}: yolox-{note.size}, {note.height}x{note.width}, {note.pixels}, '
        f'{len(note.class_names)} class{"es" * (len(note.class_names) > 1)}\n'
        f'largest difference between ONNX Runtime and torch: {done.pixels:.2g} pixels, '
        f'{done.probability:.2g} of a probability'
    )
