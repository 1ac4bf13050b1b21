"""What the classes of detectors are called, and which of them are looked for."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COCO = (
    'person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,'
    'stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,'
    'backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,'
    'baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,'
    'knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,'
    'chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,'
    'microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,'
    'toothbrush'
)


def usual_names(count: int) -> tuple[str, ...]:
    """Return COCO's names for 80 classes, 'person' for a single one, else numbers."""
    named = {1: ('person',), 80: tuple(COCO.split(','))}
    return named.get(count, tuple(map(str, range(count))))


def kept_classes(names: Sequence[str], wanted: Sequence[str], model: str) -> NDArray[np.intp]:
    """Return the numbers of the classes that are looked for.

    Args:
        names: Name of class 0, 1, ….
        wanted: Names of those looked for; none: all.
        model: The network's name, for errors.

    Raises:
        UserError: The network has no class of one of these names.
    """
    if unknown := [name for name in wanted if name not in names]:
        (nearest,) = get_close_matches(unknown[0], names, 1, 0) or ['none']
        raise UserError(
            f'detector.classes: {unknown[0]!r:.40} is no class of {model}; '
            f'the nearest name is {nearest!r:.40}'
        )
    return np.array([n for n, name in enumerate(names) if not wanted or name in wanted], np.intp)
