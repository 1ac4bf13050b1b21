"""What a video segmenter would have said of boxes in a scene whose silhouettes are known.

A model, not a measurement: SAM 2 has not been run on these scenes. It errs in the ways that such
networks err, as often as the constants below say:

* A box means the person whose own box it fits best; who is hidden is meant less. So the box of
  somebody behind another is answered, if little of him is seen, by the one in front.
* Edges waver by a cell.
* A mask leaks onto a neighbour whose box overlaps: a band of him belongs to it, for some frames.
* Who is nearly hidden is lost, now or one step back.
* One step back, a mask sometimes jumps to an overlapping neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mot_perception.boxes import iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Masks = NDArray[np.bool_]

LEAST_FIT, HIDDEN = 0.3, 0.25
"""Below this IoU with a person's box, times that power of what share of him is visible, a box does
not mean him."""
EDGE = 0.2
"""Standard deviation of the noise on how much a cell belongs to a mask, see `_wavering`."""
TOUCHING = 0.1
"""IoU of boxes from which masks may leak."""
LEAK, LEAK_STAYS, BAND = 0.04, 0.85, 0.35
"""Chance to begin to leak, and to go on in the next frame; height of the band, of the box."""
FADING, LOST = 0.3, 0.6
"""Visible share below which masks may be lost, and the chance of who is wholly hidden."""
CROWDED, SWAP = 0.3, 0.03
"""IoU of boxes from which a mask may jump to the other one step back, and its chance."""


class Silhouettes(NamedTuple):
    """Who is truly where in one frame.

    Attributes:
        owner: h×w cells over the whole frame, the id of who is seen, 0 for nobody.
        ids: int64 N.
        xyxy: float64 N×4, their boxes in cells, as if nothing hid them.
        visibility: float64 N, what share of each is not hidden.
    """

    owner: NDArray[np.uint16]
    ids: Index
    xyxy: Array
    visibility: Array


class MaskModel:
    """A seeded segmenter of known silhouettes; calls are frames in order of time.

    Args:
        seed: Same seed, same calls, same masks.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng([seed, 0x3A5C])
        self._leaks: dict[int, tuple[int, float]] = {}

    def __call__(self, before: Silhouettes, now: Silhouettes, xyxy: Array) -> tuple[Masks, Masks]:
        """Return the masks at t and one step back of M boxes at t, bool M×h×w each.

        Args:
            before: The frame at t−1.
            now: The frame at t.
            xyxy: M×4, boxes in cells.
        """
        target = self._meant(now, xyxy)
        self._leak(now, target)
        current = self._seen(now, target, xyxy)
        previous = self._seen(before, self._swapped(before, target), xyxy)
        nobody = _middles(xyxy, now.owner) & (target == 0)[:, None, None]
        return self._wavering(current | nobody), self._wavering(previous | nobody)

    def _meant(self, now: Silhouettes, xyxy: Array) -> Index:
        """Return the id of whom each box means, M; 0 for nobody and for who is lost."""
        if not len(now.ids):
            return np.zeros(len(xyxy), np.int64)
        fit = iou(xyxy, now.xyxy) * now.visibility**HIDDEN
        best = fit.argmax(1)
        return np.where(fit.max(1) >= LEAST_FIT, now.ids[best], 0)

    def _leak(self, now: Silhouettes, target: Index) -> None:
        """Let masks begin and cease to leak: onto whom, and where the band begins."""
        close = _overlapping(now, TOUCHING)
        for who in np.unique(target[target > 0]).tolist():
            neighbours = close.get(who, [])
            draw, place, choice = self._random.random(3)
            if self._leaks.get(who, (0, 0.0))[0] in neighbours:
                if draw >= LEAK_STAYS:
                    del self._leaks[who]
            elif neighbours and draw < LEAK:
                self._leaks[who] = neighbours[int(choice * len(neighbours))], place * (1 - BAND)

    def _swapped(self, before: Silhouettes, target: Index) -> Index:
        """Return the targets one step back: some masks jump to a neighbour."""
        close = _overlapping(before, CROWDED)
        swapped = target.copy()
        for row, who in enumerate(target.tolist()):
            draw, choice = self._random.random(2)
            if draw < SWAP and (neighbours := close.get(who)):
                swapped[row] = neighbours[int(choice * len(neighbours))]
        return swapped

    def _seen(self, view: Silhouettes, target: Index, xyxy: Array) -> Masks:
        """Return the silhouettes of the targets with what leaks into them; none of the lost."""
        known = dict(zip(view.ids.tolist(), view.visibility.tolist(), strict=True))
        masks = np.zeros((len(target), *view.owner.shape), np.bool_)
        rows = np.arange(view.owner.shape[0])[:, None] + 0.5
        draws = self._random.random(len(target))
        for mask, who, box, draw in zip(masks, target.tolist(), xyxy, draws, strict=True):
            hidden = 1 - known.get(who, 0.0) / FADING
            if who == 0 or draw < LOST * hidden:
                continue
            mask |= view.owner == who
            neighbour, place = self._leaks.get(who, (0, 0.0))
            if neighbour:
                start, tall = box[1] + place * (box[3] - box[1]), BAND * (box[3] - box[1])
                mask |= (view.owner == neighbour) & (rows >= start) & (rows < start + tall)
        return masks

    def _wavering(self, masks: Masks) -> Masks:
        """Return the masks with edges that waver.

        A cell belongs to a mask if the mean of itself, 0 or 1, and of the 3×3 cells around it
        exceeds a half, plus noise. Where all of them are alike there is no doubt.
        """
        share = _means(masks.astype(np.float32))
        edge = (share > 0) & (share < 1)
        belongs = (share[edge] + masks[edge]) / 2
        noise = self._random.standard_normal(len(belongs), np.float32)
        wavering = masks.copy()
        wavering[edge] = belongs + EDGE * noise > 0.5
        return wavering


def _overlapping(view: Silhouettes, threshold: float) -> dict[int, list[int]]:
    """Return of each id those whose boxes overlap its box by more than an IoU."""
    close = iou(view.xyxy, view.xyxy) > threshold
    np.fill_diagonal(close, False)
    return {
        int(who): view.ids[row].tolist()
        for who, row in zip(view.ids, close, strict=True)
        if row.any()
    }


def _middles(xyxy: Array, owner: NDArray[np.uint16]) -> Masks:
    """Return the ellipses within boxes, as far as nobody is there, M×h×w."""
    y, x = (np.arange(size) + 0.5 for size in owner.shape)
    centre, half = (xyxy[:, :2] + xyxy[:, 2:]) / 2, (xyxy[:, 2:] - xyxy[:, :2]) / 2
    with np.errstate(divide='ignore', invalid='ignore'):
        across = ((x - centre[:, :1]) / half[:, :1]) ** 2
        down = ((y - centre[:, 1:]) / half[:, 1:]) ** 2
        return np.asarray((down[:, :, None] + across[:, None, :] < 1) & (owner == 0))


def _means(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over the 3×3 cells around each cell, M×h×w; there is nothing outside."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    across = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return np.asarray((across[:, :-2] + across[:, 1:-1] + across[:, 2:]) / 9)
