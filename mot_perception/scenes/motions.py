"""Where people go and what they do there: walking, dancing, sport."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from mot_perception.scenes.skeleton import Gesture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Motion = Literal['walk', 'dance', 'sport']


@dataclass(frozen=True, slots=True)
class Choreography:
    """What N people do at T moments; every array is T×N.

    Attributes:
        x: World position, metres to the right.
        z: World position, metres ahead.
        heading: Radians; 0 looks away from the camera, π/2 to the right.
        phase: Of the gait.
        stride: Swing of the legs, radians.
        raised: Arms sideways, radians.
        bent: Bend of knees and elbows, radians.
    """

    x: Array
    z: Array
    heading: Array
    phase: Array
    stride: Array
    raised: Array
    bent: Array

    def select(self, moments: NDArray[np.int64]) -> Choreography:
        """Return the rows of some moments."""
        return Choreography(*(getattr(self, column.name)[moments] for column in fields(self)))

    def gesture(self, frame: int) -> Gesture:
        """Return what all do at one moment."""
        return Gesture(self.phase[frame], self.stride[frame], self.raised[frame], self.bent[frame])


def walk(random: np.random.Generator, time: Array, people: int, half_view: float) -> Choreography:
    """People walk to and fro in lanes of different depth and cross in front of each other.

    Args:
        random: Source of all chance.
        time: T >= 2, seconds.
        people: N.
        half_view: Half the view's width at a depth of one metre, metres.
    """
    lane = random.permutation(np.linspace(4.0, 8.2, people)) + random.normal(0, 0.1, people)
    reach = np.minimum(0.92 * half_view * lane, 3.4)
    speed = random.uniform(0.9, 1.5, people)
    # A triangle wave with round corners: straight walks, quick turns.
    turn = speed / (4 * reach) * time[:, None] + random.random(people)
    x = reach * (2 / np.pi) * np.arcsin(0.985 * np.sin(2 * np.pi * turn))
    weave = random.uniform(0.05, 0.12, people) * time[:, None] + random.random(people)
    z = lane + 0.35 * np.sin(2 * np.pi * weave)
    return _on_foot(time, x, z, random.random(people))


def dance(random: np.random.Generator, time: Array, people: int, half_view: float) -> Choreography:
    """A group dances alike: it swaps places every few beats, turns, bends, raises its arms."""
    slots = _formation(people, half_view)
    bar = 1.6
    bars = int(time[-1] / bar) + 3
    places = np.empty((bars, people), np.intp)
    places[0] = random.permutation(people)
    for k in range(1, bars):
        places[k] = _swapped(random, places[k - 1], slots)
    beat = time / bar
    now = beat.astype(np.intp)
    eased = _ease(np.clip((beat - now) / 0.7, 0, 1))[:, None, None]
    before, after = slots[places[now]], slots[places[now + 1]]
    away = after - before
    around = np.sin(np.pi * eased) * 0.3 * np.stack([-away[..., 1], away[..., 0]], axis=-1)
    place = before + eased * away + around
    late = random.normal(0, 0.04, people)
    pulse = 2 * np.pi * (beat[:, None] + late)
    x = place[..., 0] + 0.14 * np.sin(2 * pulse)
    z = place[..., 1] + 0.08 * np.cos(pulse)
    spins = random.random(bars) < 0.35
    spin = 2 * np.pi * spins[now] * _ease(np.clip((beat - now) / 0.6, 0, 1))
    moves = PchipInterpolator(
        np.arange(2 * bars), random.uniform([0.1, 0.05], [2.6, 0.7], (2 * bars, 2))
    )
    arms = moves(np.clip(2 * (beat[:, None] + late), 0, 2 * bars - 1))
    moving = np.hypot(np.gradient(x, time, axis=0), np.gradient(z, time, axis=0))
    return Choreography(
        x=x,
        z=z,
        heading=np.pi + spin[:, None] + 0.5 * np.sin(pulse),
        phase=2 * pulse + 0 * x,
        stride=np.clip(0.12 + 0.25 * moving, 0, 0.6),
        raised=arms[..., 0],
        bent=arms[..., 1] * (0.6 + 0.4 * np.sin(2 * pulse)),
    )


def sport(random: np.random.Generator, time: Array, people: int, half_view: float) -> Choreography:
    """Players chase what happens on a court: bursts, stops, changes of direction, crowding."""
    middle, deep = 11.5, 4.5
    court = np.array([[-0.85 * half_view * middle, middle - deep], [0, middle + deep]])
    court[1, 0] = -court[0, 0]
    knots = int(time[-1] / 0.5) + 4
    wander = np.cumsum(random.normal(0, 0.9, (knots, 2)), axis=0)
    # Where the action is at every second, from one end of the court to the other.
    action = court.mean(0) + np.sin(wander) * (court[1] - court[0]) / 2
    x, z = np.empty((2, len(time), people))
    for n in range(people):
        length = random.uniform(0.5, 1.4, knots)
        moment = np.cumsum(length) - length[0] - length[1] * random.random()
        home = random.uniform(*court)
        eager = random.beta(0.8, 1.4, (knots, 1))
        at = np.clip(moment, 0, knots - 1).astype(np.intp)
        goal = eager * action[at] + (1 - eager) * home + random.normal(0, 1.2, (knots, 2))
        goal = _reachable(np.clip(goal, *court), 5.0 * length)
        x[:, n], z[:, n] = PchipInterpolator(moment, goal)(time).T
    return _on_foot(time, x, z, random.random(people))


def _reachable(goals: Array, furthest: Array) -> Array:
    """Bring each goal within reach of the one before."""
    out = goals.copy()
    for k in range(1, len(out)):
        step = out[k] - out[k - 1]
        out[k] = out[k - 1] + step * min(1, furthest[k] / max(np.hypot(*step), 1e-9))
    return out


def _on_foot(time: Array, x: Array, z: Array, start: Array) -> Choreography:
    """Return people who look where they go and step as fast as they move."""
    vx, vz = np.gradient(x, time, axis=0), np.gradient(z, time, axis=0)
    speed = np.hypot(vx, vz)
    steps = np.cumsum(speed / (0.75 + 0.25 * speed) * np.gradient(time)[:, None], axis=0)
    running = np.clip((speed - 2) / 3, 0, 1)
    return Choreography(
        x=x,
        z=z,
        heading=np.arctan2(vx, vz),
        phase=np.pi * steps + 2 * np.pi * start,
        stride=np.clip(0.35 * speed, 0.02, 0.5) + 0.35 * running,
        raised=0.25 * running,
        bent=0.05 + 0.35 * running,
    )


def _formation(people: int, half_view: float) -> Array:
    """Return N×2 places (x, z) in staggered rows that fit the view."""
    rows = max(int(np.ceil(np.sqrt(people / 3))), 1)
    out = []
    for row, names in enumerate(np.array_split(np.arange(people), rows)):
        z = 4.6 + min(1.3, 3.6 / rows) * row
        apart = min(1.45 * half_view * z / max(len(names), 1), 1.3)
        at = apart * (np.arange(len(names)) - (len(names) - 1) / 2)
        out.append(np.stack([at + 0.3 * (row % 2), np.full(len(names), z)], axis=-1))
    return np.concatenate(out)


def _swapped(
    random: np.random.Generator, places: NDArray[np.intp], slots: Array
) -> NDArray[np.intp]:
    """Exchange the slots of some pairs that stand near each other."""
    out = places.copy()
    for _ in range(len(places) // 2):
        one = random.integers(len(places))
        far = np.hypot(*(slots[out] - slots[out[one]]).T)
        other = np.argsort(far)[random.integers(min(4, len(places)))]
        out[[one, other]] = out[[other, one]]
    return out


def _ease(share: Array) -> Array:
    return share * share * (3 - 2 * share)


MOTIONS = {'walk': walk, 'dance': dance, 'sport': sport}
