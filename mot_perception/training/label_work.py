"""Which images are labelled with depth, and where their labels go."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from mot_perception.bags.image_files import SUFFIXES, image_item, image_size, list_images
from mot_perception.bags.motchallenge import is_motchallenge
from mot_perception.bags.sequence import Sequence
from mot_perception.bags.source import open_source
from mot_perception.bags.topics import Topics
from mot_perception.errors import UserError
from mot_perception.training.fdta.label_places import LABELS, numbered
from mot_perception.training.fdta.still_footage import IMAGES, is_crowdhuman

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mot_perception.bags.sequence import Item

ALL_IMAGES = Topics(detections='')
"""Of a bag; where there are detections, images without are left out otherwise."""
ANY_RATE = 1.0
"""Frames per second: nothing here depends on time, and some sources do not tell."""


@dataclass(frozen=True)
class Work:
    """A sequence, and where its labels go.

    Attributes:
        sequence: With images.
        folder: Of the labels, named 'depth'.
        stems: Names of the labels; None: the frames' numbers, from 00000001.
        still: Whether images have nothing to do with each other, and may differ in size.
    """

    sequence: Sequence
    folder: Path
    stems: list[str] | None
    still: bool = False

    def stem(self, number: int) -> str:
        """Return the name of the label of frame `number`, from 0."""
        return numbered(number) if self.stems is None else self.stems[number]

    def items(self) -> Iterator[Item]:
        """Read the images, one after the other."""
        return self.sequence.frames() if self.still else iter(self.sequence)

    def sizes(self, count: int) -> Iterable[tuple[int, int]]:
        """Return width and height of so many frames."""
        if self.still:
            return map(image_size, self.sequence.input_files)
        first = next(iter(self.sequence)).frame
        return repeat((first.width, first.height), count)

    def source(self) -> str:
        """Return a hash of the images' names and sizes in bytes."""
        files = [file for file in self.sequence.input_files if not self.stems or is_image(file)]
        facts = [(file.name, file.stat().st_size) for file in files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def plan(sources: Iterable[Path], out: Path | None) -> list[Work]:
    """Return what there is to do, and where.

    Args:
        sources: What `open_source` opens, or a folder with `images/` and `gts/` (CrowdHuman).
        out: Labels go to `out/<name>/depth`; None: to `depth` beside the images' folder in a
            MOTChallenge sequence or in CrowdHuman.

    Raises:
        UserError: A source is none, there are no images, no place is known, or two have the same.
    """
    works = [work for source in sources for work in _works(source, out)]
    folders = [work.folder for work in works]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise UserError(f'{twice[0]}: two sequences have this place; label them one by one')
    return works


def _works(source: Path, out: Path | None) -> list[Work]:
    if source.is_dir() and is_crowdhuman(source):
        images = _stills(source)
        home = source if out is None else out / images.name
        return [Work(images, home / LABELS, _stems(images), still=True)]
    return [
        _work(sequence, out) for sequence in open_source(source, topics=ALL_IMAGES, fps=ANY_RATE)
    ]


def _work(sequence: Sequence, out: Path | None) -> Work:
    if not sequence.has_images:
        raise UserError(f'{sequence.name}: has no images; depth is seen in images')
    stems = _stems(sequence)
    if out is not None:
        return Work(sequence, out / sequence.name / LABELS, stems)
    images = [file for file in sequence.input_files if is_image(file)]
    home = images[0].parent.parent if stems else None
    if home is None or not is_motchallenge(home):
        raise UserError(
            f'{sequence.name}: no MOTChallenge sequence that labels could lie in; say where to by '
            '--out'
        )
    return Work(sequence, home / LABELS, stems)


def _stems(sequence: Sequence) -> list[str] | None:
    """Return the names of the images without their suffixes; None where there are no files."""
    stems = [file.stem for file in sequence.input_files if is_image(file)]
    if len(stems) != sequence.length:
        return None
    if len(set(stems)) < len(stems):
        raise UserError(
            f'{sequence.name}: two images differ in their suffix alone; labels are named like '
            'images, so rename one'
        )
    return stems


def _stills(root: Path) -> Sequence:
    images = list_images(root / IMAGES)
    if not images:
        raise UserError(f'{root / IMAGES}: no images; depth is seen in images')

    def frames() -> Iterator[Item]:
        for index, image in enumerate(images):
            yield image_item(index, ANY_RATE, (0, 0), image)

    return Sequence(
        name=root.resolve().name,
        fps=ANY_RATE,
        width=0,
        height=0,
        length=len(images),
        has_images=True,
        has_detections=False,
        input_files=images,
        frames=frames,
    )


def is_image(file: Path) -> bool:
    """Tell whether a file is one of a folder of images."""
    return file.suffix.lower() in SUFFIXES
