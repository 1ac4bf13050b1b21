"""What is wrong with a sequence in MOTChallenge's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mot_perception.bags.image_files import list_images
from mot_perception.bags.motchallenge import SEQINFO
from mot_perception.bags.seqinfo import SeqInfo, read_seqinfo
from mot_perception.training.fdta.doctor_findings import Chart
from mot_perception.training.fdta.doctor_pictures import examine_pictures
from mot_perception.training.fdta.doctor_truth import examine_truth
from mot_perception.training.fdta.mot_footage import USUAL_FPS, gaps, open_mot_footage

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.training.fdta.doctor_findings import Demands, Follow


def examine_sequence(folder: Path, demands: Demands, follow: Follow) -> Chart:
    """Return what is found of a sequence.

    Args:
        folder: The sequence.
        demands: Of the training.
        follow: Passes images on; shows progress.
    """
    chart = Chart('/'.join(folder.resolve().parts[-2:]), folder)
    info = SeqInfo()
    with chart.noting():
        info = read_seqinfo(folder / SEQINFO)
    images = _images(chart, folder / info.image_folder)
    size = examine_pictures(chart, images, demands, follow, alike=True)
    _compare(chart, info, len(images), size)
    chart.frames = info.length or len(images)
    examine_truth(chart, size if all(size) else (info.width, info.height), demands)
    if not chart.stops:
        _open_to_be_sure(chart, demands)
    return chart


def _images(chart: Chart, folder: Path) -> list[Path]:
    """Return the images; note if there are none, or some are missing between others."""
    images = list_images(folder) if folder.is_dir() else []
    if not images:
        chart.error('no images; training needs them', [str(folder.relative_to(chart.path))])
    chart.error(
        'images are missing between these, or double; the k-th image is frame k',
        [f'{one.relative_to(chart.path)} and {other.name}' for one, other in gaps(images)],
    )
    return images


def _compare(chart: Chart, info: SeqInfo, images: int, size: tuple[int, int]) -> None:
    """Note where `seqinfo.ini` and the images disagree."""
    if images and info.length and images != info.length:
        chart.error(
            f'seqLength={info.length}, but there are {images} images; mend one of them', [SEQINFO]
        )
    told = info.width, info.height
    if all(size) and all(told) and size != told:
        chart.warn(
            f'imWidth, imHeight say {told[0]}×{told[1]}, images have {size[0]}×{size[1]}',
            [SEQINFO],
        )
    if info.fps is None:
        chart.warn(f'frameRate is unknown; taken to be {USUAL_FPS:g} a second', [SEQINFO])


def _open_to_be_sure(chart: Chart, demands: Demands) -> None:
    """Open a sequence as a training does."""
    asked: Orientation | None = 'disparity' if demands.depth else None
    with chart.noting():
        open_mot_footage(chart.path, asked, demands.objects, demands.labels)
