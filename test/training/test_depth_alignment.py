"""Frames of a flickering network become frames of one scale, and nothing else happens to them."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.perception.grid import sample
from mot_perception.training.depth_alignment import PLACES, Alignment

HEIGHT, WIDTH = 54, 96
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
ROOM = 1 + 3 * ROWS / HEIGHT + 0.5 * np.sin(COLUMNS / 7)
NOISE = 0.02


def view(number, random, *, walkers=3, camera=0):
    """A room with people who walk through it and come nearer, as disparity."""
    room = np.roll(ROOM, camera * number, 1)
    for walker in range(walkers):
        x = int(10 + walker * 25 + number * (0.6 + 0.3 * walker)) % WIDTH
        room[15:45, x : x + 8] = 4.5 + 0.01 * number
    return room + NOISE * random.standard_normal(room.shape)


def flicker(count, every, random, *, shift=True):
    """Scale and shift that jump at every so manieth frame."""
    jumps = -(-count // every)
    scale = np.exp(random.normal(0, 0.2, jumps)).repeat(every)[:count]
    moved = random.normal(0, 0.5, jumps).repeat(every)[:count] if shift else np.zeros(count)
    return scale, moved


def aligned(frames, *, metric=False):
    alignment = Alignment(metric=metric)
    for frame in frames:
        alignment.add(sample(frame.astype(np.float32), PLACES))
    moves = alignment.moves()
    return np.stack(
        [f * a + b for f, a, b in zip(frames, moves.scale, moves.shift, strict=True)]
    ), moves


def wall(frames):
    """Standard deviation over time where nobody walks, the mean over these places."""
    return np.stack(frames)[:, :10].std(0).mean()


@pytest.mark.parametrize('every', [1, 22], ids=['each frame', 'windows'])
@pytest.mark.parametrize('metric', [False, True])
def test_flicker_goes(every, metric):
    random = np.random.default_rng(1)
    scale, shift = flicker(120, every, random, shift=not metric)
    frames = [view(t, random) * scale[t] + shift[t] for t in range(120)]
    assert wall(frames) > 8 * NOISE
    assert wall(aligned(frames, metric=metric)[0]) < 1.3 * NOISE * scale.mean()


def test_a_steady_network_is_left_as_it_is():
    """People who come nearer, and cover a third of the image, are not taken for a change of it."""
    random = np.random.default_rng(2)
    frames = [view(t, random, walkers=4) for t in range(150)]
    _, moves = aligned(frames)
    assert abs(moves.scale - 1).max() < 0.01
    assert abs(moves.shift).max() < 0.03
    walkers = np.stack(frames)[:, 30, 40].max()
    assert walkers > 5  # they did come nearer


def test_own_scale_is_kept_on_the_mean():
    random = np.random.default_rng(3)
    scale, shift = flicker(120, 1, random)
    _, moves = aligned([view(t, random) * scale[t] + shift[t] for t in range(120)])
    assert abs(np.log(moves.scale).mean()) < 0.01


def test_a_camera_that_pans():
    random = np.random.default_rng(4)
    scale, shift = flicker(90, 1, random)
    frames = [view(t, random, walkers=0, camera=1) * scale[t] + shift[t] for t in range(90)]
    steady, _ = aligned(frames)
    before, after = (np.stack(it).mean((1, 2)).std() for it in (frames, steady))
    assert after < 0.15 * before


def test_scenes_on_either_side_of_a_cut_have_nothing_to_do_with_each_other():
    random = np.random.default_rng(5)
    other = random.permutation(ROOM.ravel()).reshape(ROOM.shape)
    first = [view(t, random) for t in range(30)]
    second = [7 * other + NOISE * random.standard_normal(other.shape) for _ in range(30)]
    steady, moves = aligned(first + second)
    np.testing.assert_allclose(moves.scale, 1, atol=0.01)
    np.testing.assert_allclose(steady[40], second[10], atol=0.1)


def test_metres_keep_their_zero():
    random = np.random.default_rng(6)
    scale, _ = flicker(40, 1, random)
    _, moves = aligned([view(t, random) * scale[t] for t in range(40)], metric=True)
    assert (moves.shift == 0).all()
    np.testing.assert_allclose(moves.scale * scale / (moves.scale * scale)[0], 1, atol=0.01)


@pytest.mark.parametrize('frame', [np.nan, 0.0, 3.0, np.inf])
@pytest.mark.parametrize('metric', [False, True])
def test_frames_that_say_nothing(frame, metric):
    frames = [np.full((HEIGHT, WIDTH), frame)] * 3
    _, moves = aligned(frames, metric=metric)
    np.testing.assert_array_equal(moves.scale, 1)
    np.testing.assert_array_equal(moves.shift, 0)


@pytest.mark.parametrize('count', [0, 1, 2])
def test_few_frames(count):
    _, moves = aligned([ROOM] * count) if count else (None, Alignment(metric=False).moves())
    assert moves.scale.tolist() == [1] * count


def test_frames_between_that_say_nothing():
    random = np.random.default_rng(7)
    scale, shift = flicker(20, 1, random)
    frames = [view(t, random) * scale[t] + shift[t] for t in range(20)]
    frames[9] = np.full_like(ROOM, np.nan)
    steady, moves = aligned(frames)
    assert np.isfinite(moves.scale).all()
    assert wall(np.delete(steady, 9, 0)) < 1.5 * NOISE * scale.mean()
