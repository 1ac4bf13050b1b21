"""Renders a synthetic RGB-D scene as a rosbag2 bag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.bags.sequence import Item
    from mot_perception.scenes.scene import Scene

LEAST_VISIBLE = 0.1
"""Whoever is hidden more than this leaves is not in the ground truth."""


def scene(
    out: Annotated[Path, typer.Argument(metavar='BAG', help='Folder of the bag to make.')],
    *,
    motion: Annotated[
        Literal['walk', 'dance', 'sport'], typer.Option(help='What the people do.')
    ] = 'walk',
    boxes: Annotated[
        Path | None,
        typer.Option(help='MOTChallenge sequence whose ground truth moves the people instead.'),
    ] = None,
    people: Annotated[int, typer.Option(help='How many.')] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help='How long.')] = 15.0,
    fps: Annotated[float, typer.Option(help='Frames per second.')] = 30.0,
    size: Annotated[
        tuple[int, int], typer.Option(metavar='WIDTH HEIGHT', help='Of the images.')
    ] = (640, 360),
    alike: Annotated[bool, typer.Option(help='Similar clothing, or different.')] = True,
    camera_motion: Annotated[
        bool, typer.Option('--camera-motion', help='The camera pans and sways.')
    ] = False,
    drop_rate: Annotated[float, typer.Option(help='Share of frames that get lost.')] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help='Same seed, same scene.')] = 0,
    force: Annotated[bool, typer.Option('--force', help='Replace the bag.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Path:
    """Render people as an RGB-D camera sees them: images, depth, detections, ground truth.

    Raises:
        UserError: A number is out of range, or the bag cannot be written.
    """
    from mot_perception.bags.scene_bag import SceneBagWriter
    from mot_perception.cli.progress import progress_bar
    from mot_perception.scenes.scene import make_scene

    if boxes is not None:
        staged = _from_ground_truth(boxes, size[1], seed, alike=alike)
    else:
        staged = make_scene(
            motion=motion,
            figures=people,
            frames=round(seconds * fps),
            width=size[0],
            height=size[1],
            fps=fps,
            seed=seed,
            same_clothing=alike,
            camera_motion=camera_motion,
            drop_rate=drop_rate,
        )
    with (
        SceneBagWriter(out, force=force, class_names=('person',)) as bag,
        progress_bar(quiet=quiet) as bar,
    ):
        for item in bar.track(_items(staged, seed), out.name, len(staged)):
            bag.write(item)
    if not quiet:
        Console().print(f'{len(staged)} frames are in [bold]{out}[/]')
    return out


def _from_ground_truth(path: Path, height: int, seed: int, *, alike: bool) -> Scene:
    """Stage the motion of a real sequence, `height` pixels high, in its own aspect ratio."""
    from mot_perception.bags.source import open_source
    from mot_perception.scenes.scene import scene_from_boxes

    sequence = open_source(path)[0]
    truth = sequence.ground_truth
    if truth is None or not sequence.height:
        raise UserError(f'{path}: needs gt/gt.txt, and the image size in seqinfo.ini')
    people = truth.select(truth.consider & (truth.label <= 1))
    return scene_from_boxes(
        people.frame,
        people.id,
        people.xyxy,
        width=sequence.width,
        height=sequence.height,
        fps=sequence.fps or 30.0,
        frames=sequence.length,
        scale=height / sequence.height,
        seed=seed,
        same_clothing=alike,
    )


def _items(staged: Scene, seed: int) -> Iterator[Item]:
    """Add to each frame what a detector says of it, and the truth."""
    from mot_perception.bags.sequence import GroundTruth, Item
    from mot_perception.scenes.detector_model import DetectorModel

    detector = DetectorModel(seed)
    for shot in staged:
        size = shot.frame.width, shot.frame.height
        found = detector(shot.boxes, shot.visibility, *size, ids=shot.ids)
        seen = shot.visibility >= LEAST_VISIBLE
        yield Item(shot.frame, found, GroundTruth(shot.ids[seen], shot.boxes[seen]))
