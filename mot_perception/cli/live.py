"""Tracks what cameras of ROS 2 publish, on a machine without ROS."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from mot_perception.cli.interrupt import asked
from mot_perception.cli.status_line import StatusLine
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.config import Config

LOOK_EVERY = 1.0
"""Seconds between two looks at how things are."""
TRANSPORTS = {'image': 'compressed', 'depth': 'compressedDepth'}
"""What image_transport appends to the names of topics."""


@dataclass(frozen=True)
class _Wish:
    """What the options ask for.

    Attributes:
        config: Name of the settings, or of their file.
        inputs: Names of topics by what they carry.
        outputs: The same of what is published.
        node: Its name, namespace, and domain.
        reliable: Whether lost images are asked for again.
        seconds: When to stop, or None.
    """

    config: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    node: tuple[str, str, int | None]
    reliable: bool
    seconds: float | None


def live(
    *,
    image: Annotated[
        str | None, typer.Option(metavar='TOPIC', help='Images; by default: image.')
    ] = None,
    depth: Annotated[
        str | None, typer.Option(metavar='TOPIC', help='Depth images of an RGB-D camera.')
    ] = None,
    camera_info: Annotated[
        str | None,
        typer.Option(metavar='TOPIC', help='Intrinsics; by default beside the images.'),
    ] = None,
    detections: Annotated[
        str | None,
        typer.Option(metavar='TOPIC', help='vision_msgs/Detection2DArray, of another node.'),
    ] = None,
    tracks: Annotated[
        str | None, typer.Option(metavar='TOPIC', help='What to publish; by default: tracks.')
    ] = None,
    config: Annotated[
        str, typer.Option('--config', '-c', help='YAML file, or: motion, selftrencmot, fdta.')
    ] = 'motion',
    node_name: Annotated[str, typer.Option(help='Name of the node.')] = 'mot_perception',
    namespace: Annotated[str, typer.Option(help='Namespace of the node.')] = '/',
    domain: Annotated[
        int | None, typer.Option(help='DDS domain; by default ROS_DOMAIN_ID, else 0.')
    ] = None,
    reliable: Annotated[
        bool, typer.Option('--reliable', help='Ask again for images that were lost on the way.')
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0, help='Stop by itself; an error if nothing came.')
    ] = None,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> None:
    """Track live images of ROS 2 nodes over DDS, where ROS is not installed.

    Raises:
        UserError: What is wrong with names, configuration or network; or nothing came.
    """
    inputs = {
        'image': image,
        'depth': depth,
        'camera_info': camera_info,
        'detections': detections,
    }
    wish = _Wish(
        config,
        {role: name for role, name in inputs.items() if name},
        {'tracks': tracks} if tracks else {},
        (node_name, namespace, domain),
        reliable,
        seconds,
    )
    status = StatusLine(quiet=quiet)
    try:
        _run(wish, status)
    except (KeyboardInterrupt, Exception):
        if not asked():  # else it may come out of a library as something else
            raise
        status.end('stopped')


def _adapted(config: Config, given: dict[str, str]) -> tuple[Config, dict[str, str]]:
    """Return the settings that names of topics ask for, and the names without transports.

    Raises:
        UserError: The other settings do not allow it.
    """
    from mot_perception.config import parse_config

    sections: dict[str, dict[str, str]] = {'stream': {}}
    names = dict(given)
    for role, section in {'detections': 'detector', 'depth': 'depth'}.items():
        if role in names:
            sections[section] = {'backend': 'topic'}
    for role, transport in TRANSPORTS.items():
        if names.get(role, '').endswith(f'/{transport}'):
            names[role] = names[role].removesuffix(f'/{transport}')
            sections['stream'][f'{role}_transport'] = transport
    if '/' in names.get('image', ''):  # where image_transport, too, looks for intrinsics
        names.setdefault('camera_info', names['image'].rpartition('/')[0] + '/camera_info')
    update = {
        name: getattr(config, name).model_copy(update=values) for name, values in sections.items()
    }
    adapted = config.model_copy(update=update)
    return parse_config(adapted.model_dump(mode='json'), '--config with these topics'), names


def _run(wish: _Wish, status: StatusLine) -> None:
    """Load the models, join the domain, and work until asked to stop."""
    if find_spec('cyclonedds') is None:
        raise UserError('cyclonedds: not installed; run "pip install \'mot_perception[live]\'"')

    from mot_perception.cli.live_watch import Stop, Watch
    from mot_perception.config import load_config
    from mot_perception.dds.node import DdsNode
    from mot_perception.dds.ports import DdsPorts, Names
    from mot_perception.models import load_models
    from mot_perception.runtime.engine import Engine

    def log(level: str, text: str) -> None:
        status.say(text if level == 'info' else f'{level}: {text}')

    config, inputs = _adapted(load_config(wish.config), wish.inputs)
    models = load_models(config)
    with Stop() as stop, ExitStack() as opened:
        opened.callback(models.close)
        node = opened.enter_context(DdsNode(*wish.node, partial(log, 'warning')))
        names = Names(inputs, wish.outputs)
        ports = DdsPorts(node, config, names, reliable=wish.reliable, log=log)
        ports.advertise()
        engine = Engine(config, models, ports)
        opened.callback(engine.stop)
        engine.start()
        ports.subscribe(engine)
        watch = Watch(node, ports, engine, config, status)
        watch.introduce()
        end = inf if wish.seconds is None else monotonic() + wish.seconds
        while not stop.asked and monotonic() < end:
            watch.look()
            stop.sleep(min(LOOK_EVERY, end - monotonic()))
        watch.conclude(must_have_seen=not stop.asked)
