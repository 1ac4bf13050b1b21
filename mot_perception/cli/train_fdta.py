"""`mot-perception train fdta`: the end-to-end tracker, on data sets, recordings or scenes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from mot_perception.cli.libraries import require
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.training.fdta.settings import FdtaTraining

CLIPS = 400
"""An epoch of rendered scenes, if nothing is said."""


def fdta(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar='DATA...',
            help='MOTChallenge sets or sequences, bags, CrowdHuman; else rendered scenes.',
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder of the training.')],
    held_out: Annotated[
        list[Path] | None,
        typer.Option(help='Tracked after each epoch; the best weights are kept. Repeatable.'),
    ] = None,
    boxes: Annotated[
        list[Path] | None,
        typer.Option(help='Render scenes that move as this ground truth. Repeatable.'),
    ] = None,
    held_out_boxes: Annotated[
        list[Path] | None, typer.Option(help='The same, to be tracked only. Repeatable.')
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help='Labels of depth: LABELS/NAME/depth, of label-depth --out, is read first.'
        ),
    ] = None,
    preset: Annotated[
        Literal['improved', 'release', 'paper'],
        typer.Option(help='Ours; as the released code trains; as the paper says.'),
    ] = 'improved',
    like: Annotated[
        Literal['dancetrack', 'sportsmot', 'bft'],
        typer.Option(help='Data set whose schedule and bins release and paper take.'),
    ] = 'dancetrack',
    size: Annotated[
        Literal['published', 'tiny'],
        typer.Option(help='Published: ResNet-50, 800×1440. Tiny: a CPU can train it.'),
    ] = 'published',
    adapters: Annotated[
        list[str] | None,
        typer.Option('--adapter', help="'spatial', 'temporal', 'identity', 'none'; default: all."),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help='Weights of a Deformable DETR, or of FDTA, to start from.')
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help='Weights of the whole network to start from.')
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help='Frames of a clip; 1: boxes alone, no identities.')
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help='Clips a step, of all processes together.')
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help='An epoch; default: all.')] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help='How many.')] = None,
    rate: Annotated[float | None, typer.Option(min=0, help='Largest learning rate.')] = None,
    gradient_frames: Annotated[
        int | None,
        typer.Option(min=0, help='Of a clip, that the detector learns from; 0: it is frozen.'),
    ] = None,
    precision: Annotated[
        Literal['float32', 'float16', 'bfloat16'] | None, typer.Option(help='On a GPU.')
    ] = None,
    checkpointed: Annotated[
        int | None,
        typer.Option(min=0, help='Frames whose activations are kept at a time: less memory.'),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help='Same seed, same losses.')] = 0,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda, cuda:1 and so on.')] = 'auto',
    workers: Annotated[int, typer.Option(min=0, help='Processes that read clips.')] = 0,
    resume: Annotated[bool, typer.Option('--resume', help='Go on with what is there.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Train FDTA; OUT/fdta.safetensors is what the tracker loads.

    Raises:
        UserError: An option or the data is wrong, a library or file is missing, or the folder is
            in use.
    """
    require(torch='models', tensorboard='training')
    from mot_perception.cli.fdta_footages import Sources, footages
    from mot_perception.cli.training_bar import training_bar
    from mot_perception.training.fdta.train import train_fdta

    changed: dict[str, object] = {
        'seed': seed, 'length': length, 'batch': batch, 'clips': clips, 'epochs': epochs,
        'rate': rate, 'gradient_frames': gradient_frames, 'precision': precision,
        'checkpointed': checkpointed,
    }  # fmt: skip
    if not data and clips is None:  # scenes have no end
        changed['clips'] = CLIPS
    given = {name: value for name, value in changed.items() if value is not None}
    sources = Sources(data or (), boxes or (), held_out or (), held_out_boxes or (), labels=labels)
    settings = _settings(preset, like, size, adapters, given)
    quiet |= os.environ.get('RANK', '0') != '0'  # one of several processes speaks
    with training_bar(quiet=quiet) as on_step:
        return train_fdta(
            out,
            settings,
            *footages(sources, settings),
            detector=detector,
            start=start,
            device=device,
            workers=workers,
            resume=resume,
            command=' '.join(['mot-perception', *sys.argv[1:]]),
            on_step=on_step,
        )


def _settings(
    preset: str, like: str, size: str, adapters: list[str] | None, changed: dict[str, object]
) -> FdtaTraining:
    """Return the training that the options describe."""
    from pydantic import ValidationError

    from mot_perception.training.fdta import settings as of

    known: tuple[of.Adapter, ...] = get_args(of.Adapter)
    if unknown := set(adapters or ()) - {*known, 'none'}:
        raise UserError(
            f"--adapter {unknown.pop()!r:.40}: choose of {', '.join(known)}, or 'none'"
        )
    chosen = [name for name in known if adapters is None or name in adapters]
    if preset == 'improved':
        usual = of.improved()
    else:
        usual = (of.release if preset == 'release' else of.paper)(like)  # type: ignore[arg-type]
    made = of.tiny(usual) if size == 'tiny' else usual
    epochs = int(str(changed.get('epochs', made.epochs)))
    changed['falls'] = tuple(sorted({round(it * epochs / made.epochs) for it in made.falls}))
    try:
        return of.with_adapters(of.changed(made, **changed), chosen)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault['loc'][0]).replace('_', '-')
        raise UserError(f'--{name}: {fault["msg"]}, not {fault["input"]!r:.40}') from None
