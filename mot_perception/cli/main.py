"""The program `mot-perception`: its verbs, and what it says when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer
from typer.exceptions import TyperException

import mot_perception
from mot_perception.cli.adding import add_verb
from mot_perception.cli.interrupt import FAILED, INTERRUPTED, asked
from mot_perception.errors import UserError

app = typer.Typer(
    name='mot-perception',
    help='Track objects in camera images: who is who, frame after frame.',
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main(arguments: list[str]) -> int:
    """Run the program; whatever the user can mend is one line on stderr, never a traceback.

    Args:
        arguments: Those of the command line, without the program's name.

    Returns:
        The exit code: 0, or 2 if something went wrong or the user interrupted.
    """
    command = typer.main.get_command(app)
    try:
        # Not app(arguments): that would turn an interrupt into an exit code of its own.
        with command.make_context('mot-perception', arguments or ['--help']) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except KeyboardInterrupt:
        return _fail(INTERRUPTED)
    except TyperException as error:
        message = getattr(error, 'format_message', error.__str__)().rstrip('.')
        return _fail(f'{message}; see mot-perception {_verb(arguments)}--help')
    except UserError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f'{error.filename or "input or output"}: {error.strerror or error}')
    except Exception:
        if asked():  # the interrupt came out of a library as something else
            return _fail(INTERRUPTED)
        raise
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f'error: {" ".join(message.split())}\n')
    return FAILED


def _verb(arguments: list[str]) -> str:
    """Return the verb that was called, and the one within it, each followed by a space."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    within: typer.Typer | None = app
    named = ''
    for argument in arguments:
        known = {command.name for command in within.registered_commands} if within else set()
        if argument in known or (within is app and argument in groups):
            named += f'{argument} '
            within = groups.get(argument)
    return named


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(mot_perception.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            '--version', callback=_print_version, is_eager=True, help='Print the version.'
        ),
    ] = False,
) -> None:
    """Take the options of the program itself."""


def _register() -> None:
    from mot_perception.cli.ablate import ablate
    from mot_perception.cli.ablate_fdta import ablate_fdta
    from mot_perception.cli.bench import bench
    from mot_perception.cli.demo import demo
    from mot_perception.cli.doctor import doctor
    from mot_perception.cli.evaluate import evaluate
    from mot_perception.cli.export import export
    from mot_perception.cli.extract import extract
    from mot_perception.cli.inspect_fdta import inspect
    from mot_perception.cli.label_depth import label_depth
    from mot_perception.cli.live import live
    from mot_perception.cli.replay import replay
    from mot_perception.cli.scene import scene
    from mot_perception.cli.train import train

    examples: dict[Callable[..., object], str] = {
        replay: 'replay recording/ --config selftrencmot --out result/',
        live: 'live --image /camera/image_raw --detections /detections',
        evaluate: 'evaluate --gt dancetrack/val --tracks result/ --csv scores.csv',
        scene: 'scene crossing/ --motion walk --people 8 --seconds 20',
        extract: 'extract dancetrack/train --config sam2.yaml --out maps/',
        label_depth: 'label-depth dancetrack/train --model depth-anything-v2-small/',
        inspect: 'inspect run/fdta.safetensors dancetrack/val --out seen/',
        doctor: 'doctor dancetrack/train',
        ablate: 'ablate --boxes dancetrack/val --scenes 5 --out ablation/',
        ablate_fdta: 'ablate-fdta --boxes dancetrack/val --detector boxes.safetensors --out rows/',
        export: 'export yolox_s.pth yolox_s.onnx --size 640x640',
        bench: 'bench --objects 10 --objects 100',
        demo: 'demo --out demo/',
    }
    for verb, example in examples.items():
        add_verb(app, verb, example)
    app.add_typer(train, name='train')


_register()
