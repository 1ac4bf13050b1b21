"""Rounded limbs into image, depth and instance map: z-buffered, shaded, smooth at the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Towards the light, in the optical frame: from the upper left, behind the camera.
_LIGHT = (-0.42, -0.66, -0.62)
_AMBIENT = 0.52
# Pixels; a limb never vanishes.
_THINNEST = 0.3


@nb.njit(cache=True, error_model='numpy')
def draw_limbs(
    limbs: NDArray[np.float64],
    colours: NDArray[np.float64],
    roundness: NDArray[np.float64],
    owner: NDArray[np.int64],
    focal: float,
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    masks: NDArray[np.uint16],
    drawn: NDArray[np.int32],
    tally: NDArray[np.int64],
) -> None:
    """Draw M limbs, the farthest figure first, the limbs of a figure together.

    Args:
        limbs: M×8: u, v, depth (metres), radius (pixels) of one end, the same of the other.
        colours: M×3, BGR.
        roundness: M, how much of a limb's roundness the shading shows, in [0, 1].
        owner: M, instance of each limb, from 1.
        focal: Pixels; gives limbs their roundness in depth.
        image: uint8 H×W×3, drawn over.
        depth: float32 H×W metres, the z-buffer, drawn over.
        masks: uint16 H×W, drawn over with `owner`.
        drawn: int32 H×W zeros; scratch: the last figure that covered a pixel, hidden or not.
        tally: (N+1)×5, per owner: pixels covered, and left, top, right, bottom (the last pixel
            inside); start with zeros and limits the wrong way round.
    """
    height, width = depth.shape
    for m in range(len(limbs)):
        u0, v0, z0, r0, u1, v1, z1, r1 = limbs[m]
        who, shape = owner[m], roundness[m]
        du, dv, dr, dz = u1 - u0, v1 - v0, r1 - r0, z1 - z0
        length = du * du + dv * dv
        per_length = 1 / length if length > 1e-9 else 0.0
        widest = max(r0, r1, _THINNEST) + 0.5
        top = max(int(np.ceil(min(v0, v1) - widest)), 0)
        bottom = min(int(np.floor(max(v0, v1) + widest)) + 1, height)
        for y in range(top, bottom):
            left, right = _span(y, u0, v0, du, dv, widest)
            for x in range(max(left, 0), min(right, width)):
                t = min(max(((x - u0) * du + (y - v0) * dv) * per_length, 0.0), 1.0)
                radius = max(r0 + t * dr, _THINNEST)
                off_u, off_v = x - u0 - t * du, y - v0 - t * dv
                square = off_u * off_u + off_v * off_v
                if square >= (radius + 0.5) ** 2:
                    continue
                inside = square <= radius * radius
                if inside and drawn[y, x] != who:
                    drawn[y, x] = who
                    tally[who, 0] += 1
                    tally[who, 1] = min(tally[who, 1], x)
                    tally[who, 2] = min(tally[who, 2], y)
                    tally[who, 3] = max(tally[who, 3], x)
                    tally[who, 4] = max(tally[who, 4], y)
                front = np.sqrt(max(radius * radius - square, 0.0))
                axis = z0 + t * dz
                z = axis - front * axis / focal
                if z >= depth[y, x]:
                    continue
                if inside:
                    masks[y, x] = who
                    depth[y, x] = z
                cover = 1.0
                if square > max(radius - 0.5, 0.0) ** 2:
                    cover = max(radius - np.sqrt(square) + 0.5, 0.0)
                _blend(image[y, x], colours[m], _shade(off_u, off_v, shape / radius), cover)


@nb.njit(cache=True, error_model='numpy', inline='always')
def _span(y: int, u0: float, v0: float, du: float, dv: float, widest: float) -> tuple[int, int]:
    """Return the pixels of a row that a limb may cover: those near its axis near this row."""
    first, last = u0, u0 + du
    if abs(dv) > 1e-9:
        enter, leave = (y - widest - v0) / dv, (y + widest - v0) / dv
        first = u0 + min(max(enter, 0.0), 1.0) * du
        last = u0 + min(max(leave, 0.0), 1.0) * du
    return int(np.ceil(min(first, last) - widest)), int(np.floor(max(first, last) + widest)) + 1


@nb.njit(cache=True, error_model='numpy', inline='always')
def _shade(off_u: float, off_v: float, per_radius: float) -> float:
    """Return the brightness of a surface whose normal leans by the offset from the axis."""
    u, v = off_u * per_radius, off_v * per_radius
    front = np.sqrt(max(1 - u * u - v * v, 0.0))
    light = max(u * _LIGHT[0] + v * _LIGHT[1] - front * _LIGHT[2], 0.0)
    return float(_AMBIENT + (1 - _AMBIENT) * light)


@nb.njit(cache=True, error_model='numpy', inline='always')
def _blend(
    pixel: NDArray[np.uint8], colour: NDArray[np.float64], bright: float, cover: float
) -> None:
    for c in range(3):
        new = min(colour[c] * bright, 255.0)
        pixel[c] = np.uint8(new + (1 - cover) * (pixel[c] - new) + 0.5)


@nb.njit(cache=True, error_model='numpy')
def name_pixels(
    masks: NDArray[np.uint16], names: NDArray[np.int64], seen: NDArray[np.int64]
) -> None:
    """Replace owners by their names, and count the pixels of each owner."""
    height, width = masks.shape
    for y in range(height):
        for x in range(width):
            who = masks[y, x]
            if who:
                seen[who] += 1
                masks[y, x] = names[who]


@nb.njit(cache=True, error_model='numpy')
def draw_shadows(spots: NDArray[np.float64], strength: float, image: NDArray[np.uint8]) -> None:
    """Darken the floor softly under each figure.

    Args:
        spots: N×4: u, v of the spot and its half axes, pixels.
        strength: Share of light that is lost in the middle.
        image: uint8 H×W×3, drawn over.
    """
    height, width = image.shape[:2]
    for u, v, across, along in spots:
        for y in range(max(int(v - along), 0), min(int(v + along) + 2, height)):
            for x in range(max(int(u - across), 0), min(int(u + across) + 2, width)):
                far = ((x - u) / across) ** 2 + ((y - v) / along) ** 2
                if far < 1:
                    light = 1 - strength * (1 - far) ** 2
                    for c in range(3):
                        image[y, x, c] = np.uint8(image[y, x, c] * light)
