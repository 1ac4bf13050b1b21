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

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.cli.status_line import StatusLine
    from mot_perception.config import Config

LOOK_EVERY = 1.0
"""Seconds between two looks at how things are."""
COMPRESSED, COMPRESSED_DEPTH = '/compressed', '/compressedDepth'


@dataclass(frozen=True)
class _Wish:
    """What the options ask for.

    Attributes:
        config: Settings.
        inputs: Names of topics by what they carry.
        outputs: The same of what is published.
        node: Its name, namespace, and domain.
        reliable: Whether lost images are asked for again.
        seconds: When to stop, or None.
    """

    config: Config
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
        str, typer.Option('--config', '-c', help='YAML file, or: motion, selftrencmot.')
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
    from mot_perception.cli.status_line import StatusLine
    from mot_perception.config import load_config

    if find_spec('cyclonedds') is None:
        raise UserError('cyclonedds: not installed; run "pip install \'mot_perception[live]\'"')
    settings, image, depth = _adapted(load_config(config), image, depth, detections)
    inputs = {
        'image': image,
        'depth': depth,
        'camera_info': camera_info or _beside(image),
        'detections': detections,
    }
    wish = _Wish(
        settings,
        {role: name for role, name in inputs.items() if name},
        {'tracks': tracks} if tracks else {},
        (node_name, namespace, domain),
        reliable,
        seconds,
    )
    status = StatusLine(quiet=quiet)
    try:
        _run(wish, status)
    except KeyboardInterrupt:  # while models were loaded
        status.end('stopped')


def _adapted(
    config: Config, image: str | None, depth: str | None, detections: str | None
) -> tuple[Config, str | None, str | None]:
    """Return the settings that the options ask for, and image topics without their transport."""
    sections: dict[str, dict[str, str]] = {'stream': {}}
    if detections:
        sections['detector'] = {'backend': 'topic'}
    if depth:
        sections['depth'] = {'backend': 'topic'}
        if depth.endswith(COMPRESSED_DEPTH):
            sections['stream']['depth_transport'] = 'compressedDepth'
            depth = depth.removesuffix(COMPRESSED_DEPTH)
    if image and image.endswith(COMPRESSED):
        sections['stream']['image_transport'] = 'compressed'
        image = image.removesuffix(COMPRESSED)
    update = {
        name: getattr(config, name).model_copy(update=values) for name, values in sections.items()
    }
    return config.model_copy(update=update), image, depth


def _beside(image: str | None) -> str | None:
    """Return where image_transport looks for the camera's intrinsics."""
    return image and image.rpartition('/')[0] + '/camera_info' * ('/' in image)


def _run(wish: _Wish, status: StatusLine) -> None:
    """Load the models, join the domain, and work until asked to stop."""
    from mot_perception.cli.live_watch import Stop, Watch
    from mot_perception.dds.node import DdsNode
    from mot_perception.dds.ports import DdsPorts, Names
    from mot_perception.models import load_models
    from mot_perception.runtime.engine import Engine

    def log(level: str, text: str) -> None:
        status.say(text if level == 'info' else f'{level}: {text}')

    models = load_models(wish.config)
    with Stop() as stop, ExitStack() as opened:
        opened.callback(models.close)
        node = opened.enter_context(DdsNode(*wish.node, partial(log, 'warning')))
        names = Names(wish.inputs, wish.outputs)
        ports = DdsPorts(node, wish.config, names, reliable=wish.reliable, log=log)
        ports.advertise()
        engine = Engine(wish.config, models, ports)
        opened.callback(engine.stop)
        engine.start()
        ports.subscribe(engine)
        watch = Watch(node, ports, engine, wish.config, status)
        watch.introduce()
        end = inf if wish.seconds is None else monotonic() + wish.seconds
        while not stop.asked and monotonic() < end:
            watch.look()
            stop.sleep(min(LOOK_EVERY, end - monotonic()))
        watch.conclude(must_have_seen=not stop.asked)
