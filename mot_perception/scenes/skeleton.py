"""A person as joints and rounded limbs: where each is for a given step, turn and gesture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SKIN, HAIR, SHIRT, TROUSERS, SHOES = range(5)
"""Materials: columns of a figure's colour table."""

(PELVIS, CHEST, NECK, HEAD, CROWN, L_SHOULDER, R_SHOULDER, L_ELBOW, R_ELBOW, L_HAND, R_HAND,
 L_HIP, R_HIP, L_KNEE, R_KNEE, L_ANKLE, R_ANKLE, L_TOE, R_TOE, L_SLEEVE, R_SLEEVE,
 L_RIB, R_RIB, L_WAIST, R_WAIST) = range(25)  # fmt: skip
_JOINTS = 25


class Limb(NamedTuple):
    """A rounded cone between two joints; radii are relative to the body height.

    `round` is how much of its roundness is seen in the shading: a torso is flatter than the two
    cones that make it.
    """

    start: int
    end: int
    start_radius: float
    end_radius: float
    material: int
    round: float = 1.0


LIMBS = (
    Limb(NECK, HEAD, 0.032, 0.034, SKIN),
    Limb(HEAD, HEAD, 0.062, 0.062, SKIN),
    Limb(CROWN, CROWN, 0.064, 0.064, HAIR),
    Limb(L_RIB, L_WAIST, 0.070, 0.062, SHIRT, 0.55),
    Limb(R_RIB, R_WAIST, 0.070, 0.062, SHIRT, 0.55),
    Limb(L_SHOULDER, R_SHOULDER, 0.044, 0.044, SHIRT, 0.55),
    Limb(L_SHOULDER, L_SLEEVE, 0.041, 0.036, SHIRT, 0.8),
    Limb(R_SHOULDER, R_SLEEVE, 0.041, 0.036, SHIRT, 0.8),
    Limb(L_SLEEVE, L_ELBOW, 0.029, 0.026, SKIN),
    Limb(R_SLEEVE, R_ELBOW, 0.029, 0.026, SKIN),
    Limb(L_ELBOW, L_HAND, 0.026, 0.022, SKIN),
    Limb(R_ELBOW, R_HAND, 0.026, 0.022, SKIN),
    Limb(L_HIP, R_HIP, 0.062, 0.062, TROUSERS, 0.7),
    Limb(L_HIP, L_KNEE, 0.058, 0.042, TROUSERS, 0.9),
    Limb(R_HIP, R_KNEE, 0.058, 0.042, TROUSERS, 0.9),
    Limb(L_KNEE, L_ANKLE, 0.040, 0.030, TROUSERS, 0.9),
    Limb(R_KNEE, R_ANKLE, 0.040, 0.030, TROUSERS, 0.9),
    Limb(L_ANKLE, L_TOE, 0.030, 0.022, SHOES),
    Limb(R_ANKLE, R_TOE, 0.030, 0.022, SHOES),
)
STARTS = np.array([limb.start for limb in LIMBS])
ENDS = np.array([limb.end for limb in LIMBS])
RADII = np.array([(limb.start_radius, limb.end_radius) for limb in LIMBS])
MATERIALS = np.array([limb.material for limb in LIMBS])
ROUNDNESS = np.array([limb.round for limb in LIMBS])

_SOLE = 0.030


@dataclass(frozen=True, slots=True)
class Gesture:
    """What N bodies do, one number each; angles in radians.

    Attributes:
        phase: Of the gait; 2π is two steps.
        stride: Swing of the thighs to each side.
        raised: Both arms away from the body, sideways: 0 hanging, π/2 level, π up.
        bent: How far knees and elbows are bent beyond what the gait needs.
    """

    phase: Array
    stride: Array
    raised: Array
    bent: Array


def joints(gesture: Gesture) -> Array:
    """Return N×25×3 joints of bodies of height 1 that stand on the ground.

    Axes: right of the body, down, forward of the body; origin on the ground below the pelvis.
    """
    count = len(gesture.phase)
    out = np.zeros((count, _JOINTS, 3))
    lean = 0.25 * gesture.stride
    for name, up in ((PELVIS, 0.53), (CHEST, 0.76), (NECK, 0.85), (HEAD, 0.925)):
        out[:, name, 1] = -up
        out[:, name, 2] = (up - 0.53) * np.sin(lean)
    out[:, CROWN] = out[:, HEAD] + (0, -0.016, -0.012)
    for side, hip, knee, ankle, toe in (
        (-1, L_HIP, L_KNEE, L_ANKLE, L_TOE),
        (1, R_HIP, R_KNEE, R_ANKLE, R_TOE),
    ):
        _leg(out, gesture, side, (hip, knee, ankle, toe))
    for side, shoulder, rib, waist, sleeve, elbow, hand in (
        (-1, L_SHOULDER, L_RIB, L_WAIST, L_SLEEVE, L_ELBOW, L_HAND),
        (1, R_SHOULDER, R_RIB, R_WAIST, R_SLEEVE, R_ELBOW, R_HAND),
    ):
        out[:, rib] = out[:, CHEST] + (side * 0.046, 0.0, 0.0)
        out[:, waist] = out[:, PELVIS] + (side * 0.036, -0.05, 0.0)
        _arm(out, gesture, side, (shoulder, sleeve, elbow, hand))
    out[..., 1] -= out[..., 1].max(1, keepdims=True) + _SOLE
    return out


def _leg(out: Array, gesture: Gesture, side: int, names: tuple[int, int, int, int]) -> None:
    """Swing one leg: the knee bends while the leg comes forward."""
    hip, knee, ankle, toe = names
    phase = gesture.phase + (np.pi if side > 0 else 0)
    thigh = gesture.stride * np.sin(phase) + gesture.bent
    flex = gesture.stride * (0.25 + 1.1 * np.maximum(np.cos(phase), 0)) + 2 * gesture.bent
    out[:, hip] = out[:, PELVIS] + (side * 0.052, 0.0, 0.0)
    out[:, knee] = out[:, hip] + _swung(0.245, thigh)
    out[:, ankle] = out[:, knee] + _swung(0.25, thigh - flex)
    foot = np.clip(thigh - flex, -0.6, 0.3)
    out[:, toe] = out[:, ankle] + 0.085 * np.stack(
        [np.full_like(foot, 0.15 * side), 0.1 - np.sin(foot), np.cos(foot)], axis=1
    )


def _arm(out: Array, gesture: Gesture, side: int, names: tuple[int, int, int, int]) -> None:
    """Swing one arm against the leg of its side, and raise it sideways."""
    shoulder, sleeve, elbow, hand = names
    phase = gesture.phase + (0 if side > 0 else np.pi)
    swing = 0.9 * gesture.stride * np.sin(phase) * np.cos(gesture.raised / 2)
    flex = 0.15 + 0.9 * gesture.stride + gesture.bent
    away = 0.12 + gesture.raised
    out[:, shoulder] = out[:, CHEST] + np.stack(
        [np.full_like(away, side * 0.105), -0.045 - 0.03 * np.sin(away / 2), 0 * away], axis=1
    )
    upper = _raised(_swung(1.0, swing), side * away)
    lower = _raised(_swung(1.0, swing + flex), side * away)
    out[:, sleeve] = out[:, shoulder] + 0.10 * upper
    out[:, elbow] = out[:, shoulder] + 0.17 * upper
    out[:, hand] = out[:, elbow] + 0.17 * lower


def _swung(length: float, angle: Array) -> Array:
    """Return a hanging limb swung forward by an angle, N×3."""
    return length * np.stack([np.zeros_like(angle), np.cos(angle), np.sin(angle)], axis=1)


def _raised(limb: Array, angle: Array) -> Array:
    """Turn limbs sideways, about the forward axis."""
    c, s = np.cos(angle), np.sin(angle)
    x, down = limb[:, 0], limb[:, 1]
    return np.stack([x * c + down * s, down * c - x * s, limb[:, 2]], axis=1)


def turned(points: Array, heading: Array) -> Array:
    """Turn N×J×3 body points into world axes; heading 0 walks away from the camera, π/2 right."""
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    right, down, forward = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([right * c + forward * s, down, forward * c - right * s], axis=-1)
