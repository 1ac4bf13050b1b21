"""MOTChallenge sequences: `seqinfo.ini`, `det/det.txt`, `gt/gt.txt`, images in `img1/`."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from mot_perception.bags.image_files import image_item, image_size, list_images
from mot_perception.bags.mot import PEDESTRIAN, read_mot
from mot_perception.bags.seqinfo import frame_rate, read_seqinfo
from mot_perception.bags.sequence import GroundTruth, Item, Sequence
from mot_perception.errors import UserError
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mot_perception.bags.mot import Kind
    from mot_perception.bags.rows import MotRows

SEQINFO = 'seqinfo.ini'
DETECTIONS = 'det/det.txt'
TRUTH = 'gt/gt.txt'
MARKS = SEQINFO, DETECTIONS, TRUTH, 'img1'
"""A folder that has one of these is a sequence."""


def is_motchallenge(folder: Path) -> bool:
    """Tell whether a folder is a MOTChallenge sequence."""
    return any((folder / mark).exists() for mark in MARKS)


def open_motchallenge(
    folder: Path,
    *,
    fps: float | None = None,
    score_range: tuple[float, float] | None = None,
) -> Sequence:
    """Open a sequence with or without images; all text files are read and checked here.

    Frame k of the files is item k−1, at (k−1)/fps seconds. The length is `seqLength`, else the
    number of images, else the last frame that has a row.

    Args:
        folder: The sequence.
        fps: Frames per second, instead of `seqinfo.ini`'s.
        score_range: See `read_mot`.

    Raises:
        UserError: With file and line: what is missing, malformed, or contradicts the rest.
    """
    info = read_seqinfo(folder / SEQINFO)
    rate = frame_rate(fps or info.fps, folder)
    image_folder = folder / info.image_folder
    images = list_images(image_folder) if image_folder.is_dir() else []
    detections = _read_if_there(folder / DETECTIONS, 'det', score_range)
    truth = _read_if_there(folder / TRUTH, 'gt')
    length = sequence_length(folder, info.length, images, (detections, truth))
    size = image_size(images[0]) if images else (info.width, info.height)

    def frames() -> Iterator[Item]:
        found = detections.by_frame(length) if detections else repeat(None, length)
        true = truth.by_frame(length) if truth else repeat(None, length)
        for index, rows in enumerate(zip(found, true, strict=True)):
            image = images[index] if images else None
            yield image_item(index, rate, size, image, _detections(rows[0]), _truth(rows[1]))

    files = [folder / name for name in (SEQINFO, DETECTIONS, TRUTH) if (folder / name).is_file()]
    return Sequence(
        name=folder.resolve().name,
        fps=rate,
        width=size[0],
        height=size[1],
        length=length,
        has_images=bool(images),
        has_detections=detections is not None,
        input_files=files + images,
        frames=frames,
        read_ground_truth=lambda: truth,
    )


def _read_if_there(
    path: Path, kind: Kind, score_range: tuple[float, float] | None = None
) -> MotRows | None:
    return read_mot(path, kind=kind, score_range=score_range) if path.exists() else None


def sequence_length(
    folder: Path, told: int | None, images: list[Path], tables: tuple[MotRows | None, ...]
) -> int:
    """Return how many frames a sequence has.

    Args:
        folder: The sequence.
        told: What `seqinfo.ini` says.
        images: Its images.
        tables: Boxes; they may end early, not late.

    Raises:
        UserError: These contradict each other.
    """
    last_row = max(rows.last_frame if rows is not None else 0 for rows in tables)
    length = told or len(images) or last_row
    if not length:
        raise UserError(f'{folder}: neither images nor det/det.txt nor seqLength; add one of them')
    if images and len(images) != length:
        raise UserError(
            f'{folder}: seqinfo.ini says {length} frames, but there are {len(images)} images; '
            'complete the images or mend seqLength'
        )
    if last_row > length:
        raise UserError(
            f'{folder}: boxes are given up to frame {last_row}, but the sequence has {length} '
            'frames; mend seqLength or the boxes'
        )
    return length


def _detections(rows: MotRows | None) -> Detections | None:
    return None if rows is None else Detections(rows.xyxy, rows.score, rows.label)


def _truth(rows: MotRows | None) -> GroundTruth | None:
    """Return the people a benchmark counts."""
    if rows is None:
        return None
    counted = rows.consider & (rows.label == PEDESTRIAN)
    return GroundTruth(rows.id[counted], rows.xyxy[counted])
