"""What is wrong with a folder of stills (CrowdHuman)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mot_perception.bags.image_files import list_images
from mot_perception.training.fdta.doctor_findings import Chart
from mot_perception.training.fdta.doctor_pictures import examine_pictures
from mot_perception.training.fdta.label_places import LABELS, own_labels
from mot_perception.training.fdta.still_footage import IMAGES, TRUTHS, read_still

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.training.fdta.doctor_findings import Demands, Follow


def examine_stills(root: Path, demands: Demands, follow: Follow) -> Chart:
    """Return what is found of a folder of stills.

    Args:
        root: With `images/` and `gts/`.
        demands: Of the training.
        follow: Passes images on; shows progress.
    """
    chart = Chart(root.resolve().name, root)
    images = list_images(root / IMAGES)
    if not images:
        chart.error('no images; training needs them', [IMAGES])
    own = own_labels(root.resolve().name, demands.labels)
    if demands.depth and own is None and not (root / LABELS).is_dir():
        chart.warn('no labels of depth; none is learned from these images', [LABELS])
        demands = replace(demands, depth=False)
    examine_pictures(chart, images, demands, follow, alike=False)
    stems = {image.stem for image in images}
    extra = sorted({file.stem for file in (root / TRUTHS).glob('*.txt')} - stems)
    chart.warn('boxes without an image', [f'{TRUTHS}/{stem}.txt' for stem in extra])
    _count(chart, images, demands.objects)
    return chart


def _count(chart: Chart, images: list[Path], most: int) -> None:
    """Read the boxes; note what is wrong with them, and how much can be learned."""
    empty, full = [], []
    for image in images:
        file = chart.path / TRUTHS / f'{image.stem}.txt'
        with chart.noting():
            count = len(read_still(file)[1])
            chart.boxes += count
            if count == 0:
                empty.append(f'{TRUTHS}/{file.name}')
            elif count > most:
                full.append(f'{TRUTHS}/{file.name}')
            else:
                chart.usable += 1
    chart.warn('no objects; such images are left out', empty)
    chart.warn(f'more than {most} objects; such images are left out', full)
    chart.frames = len(images)
    chart.clips = chart.usable
    chart.identities = chart.boxes
