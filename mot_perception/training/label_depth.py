"""Labels of pseudo-depth for whole sequences, by a network of images.

First the network looks at every frame; what it says goes to the disk. Then all frames are moved to
one scale (`depth_alignment`), the range of the sequence is found, and the labels are written. So
memory holds some frames, whatever the length; and a kill costs 32 of them at most.
"""

from __future__ import annotations

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
from mot_perception.bags.outputs import whole
from mot_perception.errors import UserError
from mot_perception.perception.depth_stream import focal_of
from mot_perception.perception.grid import sample
from mot_perception.training.depth_alignment import PLACES, Alignment, own_ranges
from mot_perception.training.depth_maps import DepthMaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from mot_perception.training.label_work import Work
    from mot_perception.types import Frame

    Follow = Callable[[Iterable[Any], str, int | None], Iterable[Any]]

RECIPE = 'frames aligned with those 1, 3, 10, 30 and 100 before; range from 0.1 to 99.9 %'
"""How labels are made; those of another recipe or model are not put beside them."""
RECIPE_OF_STILLS = 'each image in its own range (metres as they are); from 0.1 to 99.9 %'
RANGE = 0.1, 99.9
"""Percentiles of a sequence between which codes tell apart; an outlier would take them all."""
LOOKED_AT = 2000
"""Frames that the percentiles are taken of; of longer sequences, every second, third, … one."""
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


def label_depth(
    works: list[Work],
    estimator: RawDepth,
    *,
    force: bool = False,
    follow: Follow = lambda items, *_: items,
) -> int:
    """Label sequences; those that are finished stay as they are, unfinished ones are gone on with.

    Args:
        works: Of `label_work.plan`.
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
    wanted = _origin(work, estimator)
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
    moves, low, high = _surveyed(maps, estimator.metric, work)
    meaning = _meaning(work, estimator, maps.frames, low, high)
    with whole(work.folder, force=force, sign=SIDECAR) as part:
        part.mkdir()
        shown = follow(maps, f'{name}: labels', maps.frames)
        moved = zip(shown, *moves, work.sizes(maps.frames), strict=True)
        for number, (depth, scale, shift, size) in enumerate(moved):
            # between pixels' centres, as the image was made smaller for the network
            label = cv2.resize(depth * scale + shift, size)
            codes = meaning.codes(np.asarray(label, np.float32))
            write_label(part / f'{work.stem(number)}.png', codes)
        write_meaning(part, meaning)
    maps.delete()


def _looked_at(work: Work, estimator: RawDepth, follow: Follow) -> DepthMaps:
    """Return what the network says of all frames; those that it was asked for are not again."""
    sequence, place = work.sequence, work.folder.with_name(UNFINISHED)
    try:
        maps = DepthMaps(place, _origin(work, estimator))
        items = follow(work.items(), sequence.name, sequence.length)
        maps.extend(
            _seen(item.frame, sequence.name, estimator)
            for item in islice(items, maps.frames, None)
        )
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
    maps: DepthMaps, metric: bool, work: Work
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], float, float]:
    """Return scale and shift of each frame, and between which numbers the sequence lies then."""
    alignment, ranges, samples = Alignment(metric=metric), [], []
    every = -(-maps.frames // LOOKED_AT)
    for number, depth in enumerate(maps):
        cells = sample(depth, PLACES)
        if work.still:
            ranges.append(_range(cells[np.isfinite(cells)]))
        else:
            alignment.add(cells)
        if number % every == 0:
            samples.append(cells)
    moves = own_ranges(ranges, metric=metric) if work.still else alignment.moves()
    scale, shift = moves.scale.astype(np.float32), moves.shift.astype(np.float32)
    moved = [it * a + b for it, a, b in zip(samples, scale[::every], shift[::every], strict=True)]
    known = np.concatenate([it[np.isfinite(it)] for it in moved]) if moved else np.empty(0)
    low, high = _range(known)
    if not low < high:
        raise UserError(
            f'{work.sequence.name}: the network sees the same depth everywhere; check the images '
            'and the model'
        )
    return (scale, shift), low, high


def _range(known: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.percentile(known, RANGE) if len(known) else (0.0, 0.0)
    return float(low), float(high)


def _origin(work: Work, estimator: RawDepth) -> dict[str, str]:
    """Return what decides what labels are."""
    recipe = RECIPE_OF_STILLS if work.still else RECIPE
    return {'model': estimator.name, 'recipe': recipe, 'source': work.source()}


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
        licence=estimator.licence,
        software=f'mot_perception {mot_perception.__version__}',
        **_origin(work, estimator),
    )
