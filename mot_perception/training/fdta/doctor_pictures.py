"""What is wrong with images and their labels of depth, file by file."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mot_perception.bags.depth_labels import DepthLabels
from mot_perception.bags.image_files import read_image
from mot_perception.errors import UserError
from mot_perception.messages.image_size import PNG, picture_size
from mot_perception.training.fdta.label_places import LABELS, own_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mot_perception.training.fdta.doctor_findings import Chart, Demands, Follow

    Size = tuple[int, int]

HEAD = 1 << 16
"""Bytes of a file in which its size nearly always is."""


def examine_pictures(
    chart: Chart, images: Sequence[Path], demands: Demands, follow: Follow, *, alike: bool
) -> Size:
    """Note what is wrong with images and their labels.

    Args:
        chart: Of what they belong to.
        images: The files.
        demands: Of the training.
        follow: Passes images on, given a name and their number; shows progress.
        alike: Whether all must have the same size.

    Returns:
        Width and height of the first image that can be read; 0 if there is none.
    """
    if not images:
        return 0, 0
    labels, labelled = _open_labels(chart, images, demands)
    faults: dict[str, list[str]] = {}
    sizes: dict[Path, Size] = {}
    for image in follow(images, chart.name, len(images)):
        with chart.noting(faults):
            sizes[image] = size = _size_of(image, decode=demands.images)
            if labels is not None and image.stem in labelled:
                _check_label(labels, image.stem, size, decode=demands.images)
    for what, places in faults.items():
        chart.error(what, places)
    width, height = first = next(iter(sizes.values()), (0, 0))
    others = {image: size for image, size in sizes.items() if size != first and alike}
    chart.error(
        f'not {width}×{height} pixels, as the first; make a sequence of each size',
        [f'{image.relative_to(chart.path)} {w}×{h}' for image, (w, h) in others.items()],
    )
    return first


def _open_labels(
    chart: Chart, images: Sequence[Path], demands: Demands
) -> tuple[DepthLabels | None, set[str]]:
    """Return the labels, and which images have one; note what is missing or too much."""
    if not demands.depth:
        return None, set()
    folder = own_labels(chart.path.resolve().name, demands.labels) or chart.path / LABELS
    labels, chart.depth = None, 0
    with chart.noting():
        labels = DepthLabels(folder)
    if labels is None:
        return None, set()
    there = {file.stem for file in folder.glob('*.png')}
    wanted = [image.stem for image in images]
    extra = there.difference(wanted)
    by_number = {int(stem): stem for stem in extra if stem.isdecimal()}
    missing, renamed = [], []
    for stem in wanted:
        other = by_number.get(int(stem)) if stem.isdecimal() else None
        if stem not in there and other is not None:
            renamed.append(f'expected {LABELS}/{stem}.png, found {LABELS}/{other}.png')
            extra.discard(other)
        elif stem not in there:
            missing.append(f'{LABELS}/{stem}.png')
    chart.error('label of depth under another name; give labels the names of images', renamed)
    chart.error('no such label of depth; make it by mot-perception label-depth', missing)
    chart.warn(
        'label of depth without an image', [f'{LABELS}/{stem}.png' for stem in sorted(extra)]
    )
    labelled = there.intersection(wanted)
    chart.depth = len(labelled)
    return labels, labelled


def _size_of(image: Path, *, decode: bool) -> Size:
    """Return width and height of an image.

    Raises:
        UserError: It cannot be read.
    """
    if decode:
        height, width = read_image(image).shape[:2]
        return width, height
    try:
        with image.open('rb') as file:
            head = file.read(HEAD)
            try:
                return picture_size(head, str(image))
            except UserError:  # some cameras write much before the size
                return picture_size(head + file.read(), str(image))
    except OSError as error:
        raise UserError(f'{image}: cannot be read ({error.strerror}); check the file') from error


def _check_label(labels: DepthLabels, stem: str, size: Size, *, decode: bool) -> None:
    """Raise a `UserError` if a label is not what the labels of a sequence must be."""
    if not decode:
        with labels.file(stem).open('rb') as file:
            head = file.read(26)
        bits = 8 if labels.meaning is None else 16
        # Width, height, bits a channel and kind of colour (0: grey) of a PNG.
        if head.startswith(PNG) and head[16:] == struct.pack('>IIBB', *size, bits, 0):
            return
    labels.read(stem, size[1], size[0], 'disparity')
