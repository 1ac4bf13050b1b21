"""Labels images with how deep everything is: what FDTA's Spatial Adapter learns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mot_perception.cli.libraries import require
from mot_perception.errors import UserError

MODEL = 'depth-anything/Depth-Anything-V2-Small-hf'


def label_depth(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar='SOURCE...',
            help='MOTChallenge sequence or set of them, CrowdHuman, folder of images, bag, video.',
        ),
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            '--model',
            '-m',
            help="Depth network of transformers: a folder, a name on the hub; or Apple's "
            'depth_pro.pt. Base, Large and Depth Pro are not for commercial use.',
        ),
    ] = MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            '--out', '-o', help="Labels go to OUT/NAME/depth; default: the sequence's own folder."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N.')] = 'auto',
    half: Annotated[bool, typer.Option(help='Half precision on a GPU.')] = True,
    force: Annotated[
        bool, typer.Option('--force', '-f', help='Replace labels that were made in another way.')
    ] = False,
    quiet: Annotated[
        bool, typer.Option('--quiet', '-q', help='Print nothing but what licences forbid.')
    ] = False,
) -> None:
    """Write pseudo-depth beside images, steady over each sequence; goes on where it was stopped.

    train fdta reads OUT by --labels. It learns from data with ground truth: a video has none, its
    labels are for looking at.

    Raises:
        UserError: What is wrong with the sources, the model or the labels that are there.
    """
    require(torch='models', transformers='models')
    from mot_perception.cli.progress import progress_bar
    from mot_perception.perception.transformers_depth import TransformersDepth
    from mot_perception.training.label_depth import label_depth as label_all
    from mot_perception.training.label_work import plan

    works = plan(sources, out)
    estimator = TransformersDepth(model, device=device, half=half)
    console = Console(stderr=True)
    if estimator.restricted:
        console.print(f'[bold red]{estimator.name}[/]: so are the labels ({estimator.licence})')
    try:
        with progress_bar(quiet=quiet) as bar:
            labelled = label_all(works, estimator, force=force, follow=bar.track)
    except KeyboardInterrupt:
        raise UserError('interrupted; run it again to go on') from None
    if not quiet:
        what = 'metres' if estimator.metric else 'disparity without unit'
        Console().print(
            f'{labelled} of {len(works)} sequences labelled now, the others were finished: '
            f'{what}, {estimator.name}, {estimator.licence}'
        )
