"""`mot-perception train detector`: YOLOX on rendered scenes, or on one's own recordings."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mot_perception.cli.libraries import require
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.training.detector_images import Images

SIDE = 32
MOST_SIDE = 4096
HELD_OUT = 96
"""Images that the scores of each epoch are of."""
PER_SCENE = 96
"""Images that are taken of a rendered scene."""


def detector(
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder of the training.')],
    size: Annotated[str, typer.Option(help='nano, tiny, s, m, l or x.')] = 'nano',
    input: Annotated[  # noqa: A002 - the option's name
        str, typer.Option(help='Height × width of what the network sees, multiples of 32.')
    ] = '192x320',
    steps: Annotated[int, typer.Option(min=1, help='How many.')] = 20_000,
    batch: Annotated[
        int, typer.Option(min=1, help='Images per step, of all processes together.')
    ] = 16,
    epoch: Annotated[
        int, typer.Option(min=1, help='Steps between two looks at held-out images.')
    ] = 250,
    rate: Annotated[float, typer.Option(min=0, help='Largest learning rate.')] = 2e-3,
    seed: Annotated[int, typer.Option(min=0, help='Same seed, same losses.')] = 1,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help='MOTChallenge sequence with images and gt/gt.txt; may be given several times. '
            'Without: rendered scenes.'
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help='Weights of one class to start from.')] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda, cuda:1 and so on.')] = 'auto',
    workers: Annotated[int, typer.Option(min=0, help='Processes that make images.')] = 0,
    resume: Annotated[bool, typer.Option('--resume', help='Go on with what is there.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Train YOLOX to find people; OUT/weights.safetensors is what the detector loads.

    Raises:
        UserError: An option is wrong, a library or file is missing, or the folder is in use.
    """
    height, width = _sides(input)
    require(torch='models', tensorboard='training')
    from mot_perception.cli.training_bar import training_bar
    from mot_perception.perception.yolox import SIZES
    from mot_perception.training.detector_images import FolderImages, SceneImages
    from mot_perception.training.train_detector import DetectorTraining, train_detector

    if size not in SIZES:
        raise UserError(f'--size is {size!r:.40}; choose one of {", ".join(SIZES)}')
    images: Images = FolderImages(data) if data else SceneImages(PER_SCENE, batch, seed)
    settings = DetectorTraining(
        size, height, width, steps, batch, epoch, rate, seed,
        images=', '.join(map(str, data)) if data else 'rendered scenes',
        weights=str(start or ''),
    )  # fmt: skip
    quiet |= os.environ.get('RANK', '0') != '0'  # one of several processes speaks
    with training_bar(quiet=quiet) as on_step:
        return train_detector(
            out,
            settings,
            images,
            images.held_out(HELD_OUT),
            start=start,
            device=device,
            workers=workers,
            resume=resume,
            command=' '.join(['mot-perception', *sys.argv[1:]]),
            on_step=on_step,
        )


def _sides(text: str) -> tuple[int, int]:
    found = re.fullmatch('([0-9]{2,4})[x×]([0-9]{2,4})', text)
    sides = tuple(map(int, found.groups())) if found else (0, 0)
    if any(side % SIDE or not SIDE <= side <= MOST_SIDE for side in sides):
        raise UserError(
            f'--input is {text!r:.40}; write height×width, as 192x320, multiples of 32'
        )
    return sides[0], sides[1]
