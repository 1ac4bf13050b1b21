"""Whole scenes: repeatable, true about themselves, with the events they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.boxes import clip
from mot_perception.errors import UserError
from mot_perception.scenes.camera import Pose, project
from mot_perception.scenes.figures import draw, wardrobe
from mot_perception.scenes.scene import START_NS, make_scene, scene_from_boxes
from mot_perception.scenes.sensor import NOISE_AT_ZERO, NOISE_PER_SQUARE
from mot_perception.scenes.skeleton import Gesture, joints
from mot_perception.types import CameraModel

MOTIONS = ('walk', 'dance', 'sport')
SMALL = {'width': 320, 'height': 180}


def equal(one, two) -> bool:
    pairs = [(getattr(one, n), getattr(two, n)) for n in vars(one) if n != 'frame']
    pairs += [(one.frame.image, two.frame.image), (one.frame.depth, two.frame.depth)]
    return one.frame.stamp_ns == two.frame.stamp_ns and all(
        a.tobytes() == b.tobytes() for a, b in pairs
    )


@pytest.mark.parametrize('motion', MOTIONS)
@pytest.mark.parametrize('moving', [False, True])
def test_same_seed_same_bytes_in_any_order(motion, moving):
    make = lambda seed: make_scene(  # noqa: E731
        motion=motion, figures=4, frames=12, seed=seed, camera_motion=moving, **SMALL
    )
    scene = make(3)
    frames = list(scene)
    assert len(frames) == len(scene) == 12
    again = make(3)
    assert all(equal(again[k], frames[k]) for k in (11, 0, 5))
    assert not equal(make(4)[5], frames[5])


@pytest.mark.parametrize('motion', MOTIONS)
def test_frames_have_the_promised_shapes(motion):
    one = make_scene(motion=motion, figures=5, frames=2, **SMALL)[1]
    assert one.frame.image.shape == (180, 320, 3)
    assert one.frame.image.dtype == np.uint8
    assert one.frame.depth.shape == one.masks.shape == (180, 320)
    assert (one.frame.depth.dtype, one.masks.dtype) == (np.float32, np.uint16)
    assert one.ids.dtype == np.int64
    count = len(one.ids)
    assert one.boxes.shape == (count, 4)
    assert one.positions.shape == (count, 3)
    assert one.frame.camera.width == one.frame.width == 320
    assert ((one.visibility >= 0) & (one.visibility <= 1)).all()
    assert set(np.unique(one.masks)) <= {0, *one.ids}


@pytest.mark.parametrize('motion', MOTIONS)
def test_boxes_are_tight_around_the_figure_when_alone(motion):
    for seed in range(3):
        one = make_scene(motion=motion, figures=1, frames=40, seed=seed)[30]
        rows, columns = np.nonzero(one.masks)
        inside = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert one.boxes[0].tolist() == list(inside)
        assert one.visibility.tolist() == [1]


@pytest.mark.parametrize('motion', MOTIONS)
def test_masks_lie_in_boxes_and_hidden_figures_keep_their_box(motion):
    for one in itertools.islice(make_scene(motion=motion, figures=10, frames=60), 0, 60, 6):
        for who, box, seen in zip(one.ids, one.boxes.astype(int), one.visibility, strict=True):
            mask = one.masks == who
            left, top, right, bottom = box
            assert mask.sum() == mask[top:bottom, left:right].sum()
            assert (seen == 0) == (not mask.any())
            if seen > 0.999:
                assert mask[top].any()
                assert mask[:, right - 1].any()


def drawn_alone_and_together(seed: int):
    """Draw two people who overlap: each alone, and both."""
    random = np.random.default_rng(seed)
    still = np.zeros(2)
    body = joints(Gesture(random.random(2) * 6, still + 0.4, random.random(2) * 2, still))
    place = np.array([[0, 0, 3.0], [random.uniform(-0.3, 0.3), 0, random.uniform(3.1, 6)]])
    camera = CameraModel(320, 180, 288.0, 288.0, 159.5, 89.5)
    seen = project(1.7 * body + place[:, None], Pose.at(1.2), camera)
    scale = 1.7 * camera.fx / seen[..., 2]
    out = []
    for who in ([0], [1], [0, 1], [1, 0]):
        depth = np.full((180, 320), 20, np.float32)
        image = np.zeros((180, 320, 3), np.uint8)
        ids = np.array(who) + 5
        out.append(
            (
                draw(
                    image, depth, seen[who], scale[who], np.full((2, 5, 3), 200.0)[who], ids, 288.0
                ),
                depth,
            )
        )
    return out


@pytest.mark.parametrize('seed', range(5))
def test_nearer_figures_hide_farther_ones(seed):
    (one, z_one), (two, z_two), (both, z_both), (turned, z_turned) = drawn_alone_and_together(seed)
    nearest = np.where(z_one <= z_two, one.masks, two.masks)
    assert np.array_equal(both.masks, nearest)
    assert np.array_equal(z_both, np.minimum(z_one, z_two))
    assert np.array_equal(turned.masks, nearest)  # whoever is named first
    assert np.array_equal(z_turned, z_both)
    assert (both.masks == 5).sum() == both.visible[0]
    assert both.covered.tolist() == [(one.masks > 0).sum(), (two.masks > 0).sum()]
    assert np.array_equal(both.boxes, np.concatenate([one.boxes, two.boxes]))
    assert both.visible[1] < both.covered[1]


@pytest.mark.parametrize('motion', MOTIONS)
@pytest.mark.parametrize('noisy', [False, True])
def test_depth_of_a_figure_is_its_distance(motion, noisy):
    for number in (0, 15, 29):
        one = make_scene(motion=motion, figures=6, frames=30, depth_noise=noisy)[number]
        for who, place, seen in zip(one.ids, one.positions, one.visibility, strict=True):
            pixels = one.frame.depth[one.masks == who]
            pixels = pixels[pixels > 0]
            if seen > 0.5 and len(pixels) > 100:
                sigma = NOISE_AT_ZERO + NOISE_PER_SQUARE * place[2] ** 2 if noisy else 0
                assert np.median(pixels) == pytest.approx(place[2], abs=0.3 + sigma / 3)


def test_positions_project_into_the_boxes_while_the_camera_moves():
    for one in itertools.islice(make_scene(frames=60, camera_motion=True), 0, 60, 7):
        camera = one.frame.camera
        u = camera.fx * one.positions[:, 0] / one.positions[:, 2] + camera.cx
        whole = (one.boxes[:, 0] > 2) & (one.boxes[:, 2] < camera.width - 2)
        assert whole.any()
        assert (u[whole] > one.boxes[whole, 0]).all()
        assert (u[whole] < one.boxes[whole, 2]).all()


def test_camera_motion_moves_background_as_it_says():
    scene = make_scene(figures=0, frames=40, camera_motion=True, depth_noise=False)
    before, after = scene[20], scene[30]
    total = np.eye(3)
    for number in range(21, 31):
        step = np.vstack([scene[number].camera_motion, [0, 0, 1]])
        total = step @ total
    v, u = np.mgrid[60:300:8, 150:490:8].reshape(2, -1)
    x, y, _ = np.rint(total @ [u, v, np.ones_like(u)]).astype(int)
    moved = np.abs(before.frame.image[v, u].astype(int) - after.frame.image[y, x]).mean()
    stayed = np.abs(before.frame.image[v, u].astype(int) - after.frame.image[v, u]).mean()
    assert np.abs(x - u).mean() > 3
    assert moved < 0.6 * stayed
    assert np.array_equal(make_scene(figures=0, frames=3)[2].camera_motion, np.eye(2, 3))


def test_dropped_frames_leave_gaps_and_change_nothing_else():
    whole = make_scene(figures=3, frames=60, seed=2, fps=25, **SMALL)
    gappy = make_scene(figures=3, frames=60, seed=2, fps=25, drop_rate=0.4, **SMALL)
    frames = list(gappy)
    index = [one.frame.index for one in frames]
    assert index[0] == 0
    assert len(index) == len(gappy) < 50
    assert max(np.diff(index)) > 1
    assert min(np.diff(index)) == 1
    assert [one.frame.stamp_ns for one in frames] == [START_NS + k * 40_000_000 for k in index]
    for number in (1, 7, 20):
        assert equal(frames[number], whole[index[number]])


def test_walkers_cross_in_front_of_each_other():
    scene = make_scene(motion='walk', figures=10, frames=300, **SMALL)
    middle = np.full((len(scene), 11), np.nan)
    depth = np.full_like(middle, np.nan)
    least = np.ones(11)
    for number, one in enumerate(scene):
        middle[number, one.ids] = one.boxes[:, [0, 2]].mean(1)
        depth[number, one.ids] = one.positions[:, 2]
        least[one.ids] = np.minimum(least[one.ids], one.visibility)
    crossings = 0
    for a, b in itertools.combinations(range(1, 11), 2):
        side = np.sign(middle[:, a] - middle[:, b])
        change = np.flatnonzero(side[1:] * side[:-1] < 0)
        crossings += int((np.abs(depth[change, a] - depth[change, b]) > 0.4).sum())
    assert crossings >= 20
    assert (least[1:] < 0.1).sum() >= 3  # some vanish behind others


def test_dancers_turn_round_and_players_burst():
    def speeds(motion):
        track = np.stack(
            [
                one.positions[:1, [0, 2]]
                for one in make_scene(motion=motion, figures=1, frames=400, seed=5, **SMALL)
                if len(one.ids)
            ]
        )[:, 0]
        return np.diff(track, axis=0) * 30

    dance, sport = speeds('dance'), speeds('sport')
    assert (np.diff(np.sign(dance[:, 0])) != 0).sum() > 10
    fast = np.hypot(*sport.T)
    assert np.quantile(fast, 0.95) > 3
    assert np.quantile(fast, 0.1) < 1
    assert fast.max() < 12


def test_clothing():
    alike, different = (wardrobe(np.random.default_rng(1), 8, same) for same in (True, False))
    assert alike.shape == different.shape == (8, 5, 3)
    assert np.ptp(alike, axis=0).max() < 30
    shirts = different[:, 2]
    apart = np.abs(shirts[:, None] - shirts).max(-1) + 1000 * np.eye(8)
    assert apart.min() > 20


@pytest.mark.parametrize('motion', MOTIONS)
@pytest.mark.parametrize(('figures', 'frames'), [(0, 1), (0, 5), (1, 1), (2, 2), (60, 3)])
def test_small_and_large_numbers(motion, figures, frames):
    scene = make_scene(motion=motion, figures=figures, frames=frames, **SMALL)
    for one in scene:
        assert len(one.ids) <= figures
    assert len(scene) == frames
    with pytest.raises(IndexError):
        scene[frames]


@pytest.mark.parametrize(
    'wrong',
    [
        {'motion': 'fly'}, {'figures': -1}, {'figures': 70_000}, {'frames': 0}, {'width': 3},
        {'height': 100_000}, {'fps': 0}, {'fps': float('nan')}, {'drop_rate': 1.0},
        {'drop_rate': -0.1},
    ],
)  # fmt: skip
def test_bad_numbers_are_named(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))) as caught:
        make_scene(**{'frames': 3, **wrong})
    assert '\n' not in str(caught.value)


sizes = st.tuples(st.floats(0, 0.8), st.floats(0, 0.7), st.floats(30, 90), st.floats(0.2, 1.2))


@given(st.lists(sizes, min_size=1, max_size=6), st.sampled_from([1.0, 0.5]))
@settings(max_examples=25, deadline=None)
def test_scene_from_boxes_fills_the_boxes(shapes, scale):
    tall = np.array([s[2] for s in shapes]) / scale
    wide = tall * [s[3] for s in shapes]
    size = np.array([320, 180]) / scale
    left = [s[0] for s in shapes] * (size[0] - wide)
    top = [s[1] for s in shapes] * (size[1] - tall)
    boxes = np.column_stack([left, top, left + wide, top + tall])
    number = np.arange(len(boxes))
    scene = scene_from_boxes(
        np.ones(len(boxes)), number, boxes, width=size[0], height=size[1], fps=20, scale=scale
    )
    one = scene[0]
    assert one.ids.tolist() == (number + 1).tolist()
    assert np.abs(one.boxes - boxes * scale).max() <= 1


def crossing_boxes(frames: int = 30):
    rows = []
    for k in range(frames):
        rows.append((k + 1, 7, 100 + 6 * k, 100, 160 + 6 * k, 260))
        rows.append((k + 1, 3, 280 - 6 * k, 90, 330 - 6 * k, 220))
        if k < 10:
            rows.append((k + 1, 11, 500, 80, 530, 160))
    return np.array(rows, float)


def test_scene_from_boxes_keeps_identities_and_order():
    rows = crossing_boxes()
    shuffled = rows[np.random.default_rng(0).permutation(len(rows))]
    scene = scene_from_boxes(
        shuffled[:, 0], shuffled[:, 1], shuffled[:, 2:], width=640, height=360, fps=20, frames=33
    )
    assert len(scene) == 33
    assert len(scene[32].ids) == 0
    assert sorted(scene[0].ids) == [1, 2, 3]  # 3, 7, 11 in order
    hidden = []
    for number in range(30):
        one = scene[number]
        now = rows[rows[:, 0] == number + 1]
        for who, real in ((1, 3), (2, 7)):
            box = one.boxes[one.ids == who][0]
            assert np.abs(box - now[now[:, 1] == real, 2:][0]).max() <= 1
        depth = one.positions[:, 2]
        assert depth[one.ids == 2] < depth[one.ids == 1]  # lower feet are nearer
        assert one.visibility[one.ids == 2] > 0.99  # limbs may cross
        hidden.append(float(one.visibility[one.ids == 1][0]))
    assert min(hidden) < 0.4
    assert hidden[0] == 1


def test_scene_from_boxes_cuts_at_the_border():
    box = np.array([[-60.0, 50, 60, 250], [600, 100, 700, 400]])
    one = scene_from_boxes([1, 1], [0, 1], box, width=640, height=360, fps=20)[0]
    assert (one.boxes == clip(one.boxes, 640, 360)).all()
    assert one.boxes[0, 0] == 0
    assert one.boxes[1, 2] == 640


def test_scene_from_boxes_depth_is_that_of_the_floor():
    rows = crossing_boxes()
    one = scene_from_boxes(
        rows[:, 0], rows[:, 1], rows[:, 2:], width=640, height=360, fps=20, depth_noise=False
    )[0]
    for box, place in zip(one.boxes.astype(int), one.positions, strict=True):
        beside = one.frame.depth[box[3] - 1, box[0] - 8]
        assert place[2] == pytest.approx(beside, rel=0.02)


@pytest.mark.parametrize(
    ('frame', 'ids', 'boxes', 'match'),
    [
        ([1], [1], [[0, 0, np.nan, 5]], 'finite'),
        ([1], [1], [[9, 0, 3, 5]], 'upright'),
        ([0], [1], [[0, 0, 3, 5]], 'frames from 1'),
        ([1, 2], [1], [[0, 0, 3, 5]], 'as many'),
    ],
)
def test_bad_boxes_are_named(frame, ids, boxes, match):
    with pytest.raises(UserError, match=match):
        scene_from_boxes(frame, ids, boxes, width=64, height=36, fps=20)


def test_scene_from_no_boxes():
    scene = scene_from_boxes([], [], np.empty((0, 4)), width=64, height=36, fps=20, frames=2)
    assert [len(one.ids) for one in scene] == [0, 0]
