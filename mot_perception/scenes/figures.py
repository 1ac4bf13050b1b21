"""What people wear, and how a frame is put together from a backdrop and posed figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.scenes.raster import draw_limbs, draw_shadows, name_pixels
from mot_perception.scenes.skeleton import ENDS, MATERIALS, RADII, ROUNDNESS, STARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SKIN = np.array([(150, 180, 224), (118, 152, 206), (84, 118, 172), (60, 84, 128)], float)
_HAIR = np.array([(30, 34, 40), (36, 52, 78), (60, 92, 130), (84, 140, 178)], float)
_CLOTH = np.array(
    [(60, 60, 210), (200, 120, 40), (70, 170, 70), (40, 170, 230), (180, 70, 150), (230, 230, 230),
     (70, 70, 70), (190, 190, 60), (60, 110, 240), (120, 60, 30), (150, 150, 240), (90, 130, 60)],
    float,
)  # fmt: skip
_TROUSERS = np.array([(92, 70, 50), (60, 60, 64), (120, 120, 116), (60, 84, 110)], float)
_SHOES = np.array([(50, 50, 54), (220, 220, 224), (50, 70, 100)], float)
_SHADOW = 0.5


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn of N figures.

    Attributes:
        masks: uint16 H×W, instance id, 0 where there is none.
        boxes: float64 N×4, tight around each figure as if it stood alone, within the image.
        covered: int64 N, pixels of each figure as if it stood alone, within the image.
        visible: int64 N, pixels of these that are seen.
    """

    masks: NDArray[np.uint16]
    boxes: Array
    covered: NDArray[np.int64]
    visible: NDArray[np.int64]


def wardrobe(random: np.random.Generator, people: int, same_clothing: bool) -> Array:
    """Return N×5×3 BGR colours of skin, hair, shirt, trousers and shoes."""
    rows = 1 if same_clothing else people
    shirts = random.permutation(len(_CLOTH))
    dressed = np.stack(
        [
            _SKIN[random.integers(0, len(_SKIN), rows)],
            _HAIR[random.integers(0, len(_HAIR), rows)],
            _CLOTH[shirts[np.arange(rows) % len(shirts)]],
            _TROUSERS[random.integers(0, len(_TROUSERS), rows)],
            _SHOES[random.integers(0, len(_SHOES), rows)],
        ],
        axis=1,
    )
    varied = np.broadcast_to(dressed, (people, 5, 3)) * random.normal(1, 0.02, (people, 5, 1))
    return np.asarray(np.clip(varied * 1.12, 0, 255))


def draw(
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    joints: Array,
    scale: Array,
    colours: Array,
    ids: NDArray[np.int64],
    focal: float,
) -> Drawn:
    """Draw N figures over a backdrop, hidden parts hidden.

    Args:
        image: uint8 H×W×3 BGR, drawn over.
        depth: float32 H×W metres, drawn over.
        joints: N×J×3, pixel (u, v) and depth of every joint.
        scale: N×J, pixels per body height at every joint.
        colours: N×5×3, see `wardrobe`.
        ids: N, instance ids from 1 to 65535.
        focal: Pixels.
    """
    people = len(joints)
    masks = np.zeros(depth.shape, np.uint16)
    tally = np.zeros((people + 1, 5), np.int64)
    tally[:, 1:3] = 1 << 30
    order = np.argsort(-joints[..., 2].mean(1), kind='stable')
    ends = np.concatenate(
        [
            np.concatenate([joints[:, at], (scale[:, at] * RADII[:, k])[..., None]], axis=-1)
            for k, at in enumerate((STARTS, ENDS))
        ],
        axis=-1,
    )
    # Limbs of one figure: the farthest first, so that smooth edges blend over what is behind.
    within = np.argsort(-(ends[..., 2] + ends[..., 6]), axis=1, kind='stable')
    limbs = np.take_along_axis(ends, within[..., None], axis=1)[order]
    paint = np.take_along_axis(colours[:, MATERIALS], within[..., None], axis=1)[order]
    owner = np.repeat(order + 1, len(STARTS))
    visible = (ends[..., 2].min(1) > 0.2) & (ends[..., 6].min(1) > 0.2)
    shown = np.repeat(visible[order], len(STARTS))
    draw_limbs(
        np.ascontiguousarray(limbs.reshape(-1, 8)[shown]),
        np.ascontiguousarray(paint.reshape(-1, 3)[shown]),
        ROUNDNESS[within][order].ravel()[shown],
        owner[shown],
        focal,
        image,
        depth,
        masks,
        np.zeros(depth.shape, np.int32),
        tally,
    )
    seen = np.zeros(people + 1, np.int64)
    name_pixels(masks, np.concatenate([[0], ids]), seen)
    boxes = (tally[1:, 1:] + np.array([0, 0, 1, 1])).astype(np.float64)
    return Drawn(masks, boxes, tally[1:, 0], seen[1:])


def shade_floor(image: NDArray[np.uint8], spots: Array) -> None:
    """Draw soft shadows; N×4: u, v of the spot and its half axes in pixels."""
    draw_shadows(np.ascontiguousarray(spots, np.float64), _SHADOW, image)
