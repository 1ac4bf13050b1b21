"""Labels of pseudo-depth for whole sequences, by a network of images.

First the network looks at every frame; what it says goes to the disk. Then all frames are moved to
one scale (`depth_alignment`), the range of the sequence is found, and the labels are written. So
memory holds some frames, whatever the length; and a kill costs 32 of them at most.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

import mot_perception
from mot_perception.bags.depth_labels import (
    SIDECAR,
    Meaning,
    read_meaning,
    write_label,
    write_meaning,
)
from mot_perception.bags.image_files import SUFFIXES
from mot_perception.bags.motchallenge import is_motchallenge
from mot_perception.bags.outputs import whole
from mot_perception.errors import UserError
from mot_perception.perception.depth_stream import focal_of
from mot_perception.perception.grid import sample
from mot_perception.training.depth_alignment import PLACES, Alignment
from mot_perception.training.depth_maps import DepthMaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.sequence import Sequence
    from mot_perception.types import Frame

    Follow = Callable[[Iterable[Any], str, int | None], Iterable[Any]]

RECIPE = 'frames aligned with those 1, 3, 10, 30 and 100 before; range from 0.1 to 99.9 %'
"""How labels are made; those of another recipe or model are not put beside them."""
RANGE = 0.1, 99.9
"""Percentiles of a sequence between which codes tell apart; an outlier would take them all."""
LOOKED_AT = 2000
"""Frames that the percentiles are taken of; of longer sequences, every second, third, … one."""
LABELS = 'depth'
UNFINISHED = '.depth-unfinished'


class RawDepth(Protocol):
    """Says how deep an image is; `TransformersDepth` does.

    Attributes:
        metric: Whether it says metres; else disparity, up to scale and shift.
        name: What it is and, by a hash, with which weights.
        licence: Of its weights.
    """

    metric: bool
    name: str
    licence: str

    def raw(self, image: NDArray[np.uint8], focal: float | None = None) -> NDArray[np.float32]:
        """Return float32 h×w of any size; NaN where unknown."""


@dataclass(frozen=True)
class Work:
    """A sequence, and where its labels go.

    Attributes:
        sequence: With images.
        folder: Of the labels, named 'depth'.
        stems: Names of the labels; None: the frames' numbers, from 00000001.
    """

    sequence: Sequence
    folder: Path
    stems: list[str] | None

    def stem(self, number: int) -> str:
        """Return the name of the label of frame `number`, from 0."""
        return f'{number + 1:08}' if self.stems is None else self.stems[number]

    def source(self) -> str:
        """Return a hash of the images' names and sizes in bytes."""
        files = [file for file in self.sequence.input_files if not self.stems or _is_image(file)]
        facts = [(file.name, file.stat().st_size) for file in files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def plan(sequences: list[Sequence], out: Path | None) -> list[Work]:
    """Return what there is to do, and where.

    Args:
        sequences: What is labelled.
        out: Labels go to `out/<name>/depth`; None: to `depth` beside the images' folder in a
            MOTChallenge sequence.

    Raises:
        UserError: There are no images, no place is known, or two have the same.
    """
    works = [_work(sequence, out) for sequence in sequences]
    folders = [work.folder for work in works]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise UserError(f'{twice[0]}: two sequences have this place; label them one by one')
    return works


def label_depth(
    works: list[Work],
    estimator: RawDepth,
    *,
    force: bool = False,
    follow: Follow = lambda items, *_: items,
) -> int:
    """Label sequences; those that are finished stay as they are, unfinished ones are gone on with.

    Args:
        works: Of `plan`.
        estimator: What looks.
        force: Replace finished labels that were made in another way.
        follow: Passes frames of a sequence on, given its name and length; shows progress.

    Returns:
        How many sequences were labelled now.

    Raises:
        UserError: Labels are there already that were made in another way, a sequence cannot be
            read, or the disk refuses.
    """
    open_works = [work for work in works if not _finished(work, estimator, force)]
    for work in open_works:
        _label(work, estimator, force, follow)
    return len(open_works)


def _work(sequence: Sequence, out: Path | None) -> Work:
    if not sequence.has_images:
        raise UserError(f'{sequence.name}: has no images; depth is seen in images')
    images = [file for file in sequence.input_files if _is_image(file)]
    stems = [image.stem for image in images] if len(images) == sequence.length else None
    if stems and len(set(stems)) < len(stems):
        raise UserError(
            f'{sequence.name}: two images differ in their suffix alone; labels are named like '
            'images, so rename one'
        )
    if out is not None:
        return Work(sequence, out / sequence.name / LABELS, stems)
    home = images[0].parent.parent if stems else None
    if home is None or not is_motchallenge(home):
        raise UserError(
            f'{sequence.name}: no MOTChallenge sequence that labels could lie in; say where to by '
            '--out'
        )
    return Work(sequence, home / LABELS, stems)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _finished(work: Work, estimator: RawDepth, force: bool) -> bool:
    """Return whether nothing is to be done.

    Raises:
        UserError: There are other labels, and they are not to be replaced.
    """
    folder = work.folder
    if not folder.exists():
        return False
    there = read_meaning(folder) if folder.is_dir() else None
    if there is None:
        raise UserError(
            f'{folder}: exists, and has no {SIDECAR}, so it was not made here; move it away, or '
            'choose --out'
        )
    wanted = {'model': estimator.name, 'recipe': RECIPE, 'source': work.source()}
    for name, value in wanted.items():
        was = getattr(there, name)
        if was != value and not force:
            raise UserError(
                f'{folder}: was made with {name} {was!r:.100}, not {value!r:.100}; label all with '
                'the same, or replace it with --force'
            )
    return all(getattr(there, name) == value for name, value in wanted.items())


def _label(work: Work, estimator: RawDepth, force: bool, follow: Follow) -> None:
    name = work.sequence.name
    maps = _looked_at(work, estimator, follow)
    moves, low, high = _surveyed(maps, estimator.metric, name)
    meaning = _meaning(work, estimator, maps.frames, low, high)
    first = next(iter(work.sequence)).frame
    with whole(work.folder, force=force, sign=SIDECAR) as part:
        part.mkdir()
        moved = zip(follow(maps, f'{name}: labels', maps.frames), *moves, strict=True)
        for number, (depth, scale, shift) in enumerate(moved):
            # between pixels' centres, as the image was made smaller for the network
            label = cv2.resize(depth * scale + shift, (first.width, first.height))
            codes = meaning.codes(np.asarray(label, np.float32))
            write_label(part / f'{work.stem(number)}.png', codes)
        write_meaning(part, meaning)
    maps.delete()


def _looked_at(work: Work, estimator: RawDepth, follow: Follow) -> DepthMaps:
    """Return what the network says of all frames; those that it was asked for are not again."""
    sequence, place = work.sequence, work.folder.with_name(UNFINISHED)
    origin = {'model': estimator.name, 'recipe': RECIPE, 'source': work.source()}
    try:
        maps = DepthMaps(place, origin)
        items = islice(follow(sequence, sequence.name, sequence.length), maps.frames, None)
        maps.extend(_seen(item.frame, sequence.name, estimator) for item in items)
    except OSError as error:
        raise UserError(
            f'{place}: cannot be written ({error.strerror or error}); make room, then run it again'
        ) from error
    return maps


def _seen(frame: Frame, name: str, estimator: RawDepth) -> NDArray[np.float32]:
    if frame.image is None:
        raise UserError(f'{name}: frame {frame.index} has no image; depth is seen in images')
    return estimator.raw(frame.image, focal_of(frame, frame.width))


def _surveyed(
    maps: DepthMaps, metric: bool, name: str
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], float, float]:
    """Return scale and shift of each frame, and between which numbers the sequence lies then."""
    alignment, samples = Alignment(metric=metric), []
    every = -(-maps.frames // LOOKED_AT)
    for number, depth in enumerate(maps):
        alignment.add(depth)
        if number % every == 0:
            samples.append(sample(depth, PLACES))
    moves = alignment.moves()
    scale, shift = moves.scale.astype(np.float32), moves.shift.astype(np.float32)
    moved = [it * a + b for it, a, b in zip(samples, scale[::every], shift[::every], strict=True)]
    known = np.concatenate([it[np.isfinite(it)] for it in moved]) if moved else np.empty(0)
    low, high = np.percentile(known, RANGE) if len(known) else (0.0, 0.0)
    if not low < high:
        raise UserError(
            f'{name}: the network sees the same depth everywhere; check the images and the model'
        )
    return (scale, shift), float(low), float(high)


def _meaning(work: Work, estimator: RawDepth, frames: int, low: float, high: float) -> Meaning:
    scale, shift = Meaning.code_range(low, high)
    nearest, farthest = (low, high) if estimator.metric else (high, low)
    return Meaning(
        orientation='depth' if estimator.metric else 'disparity',
        metric=estimator.metric,
        scale=scale,
        shift=shift,
        nearest=nearest,
        farthest=farthest,
        frames=frames,
        model=estimator.name,
        licence=estimator.licence,
        software=f'mot_perception {mot_perception.__version__}',
        recipe=RECIPE,
        source=work.source(),
    )
