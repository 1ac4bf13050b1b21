"""Camera, room and limbs against numbers worked out by hand and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.scenes.camera import Pose, image_motion, plane_to_pixel, project, room_depth
from mot_perception.scenes.raster import draw_limbs, name_pixels
from mot_perception.scenes.room import HALL, Backdrop
from mot_perception.scenes.skeleton import ENDS, RADII, STARTS, Gesture, joints, turned
from mot_perception.types import CameraModel

CAMERA = CameraModel(640, 360, 576.0, 576.0, 319.5, 179.5)
SMALL = CameraModel(160, 90, 144.0, 144.0, 79.5, 44.5)


@pytest.mark.parametrize(
    ('pose', 'point', 'pixel'),
    [
        # On the floor, 4 m ahead and 1 m right of a level camera 1.5 m up:
        # u = 576·1/4 + 319.5, v = 576·1.5/4 + 179.5.
        (Pose.at(1.5), (1, 0, 4), (463.5, 395.5, 4)),
        # At the height of the camera: on the horizon.
        (Pose.at(1.5), (-2, -1.5, 8), (175.5, 179.5, 8)),
        # Looking down by 0.2, the axis meets the floor 1.5/tan 0.2 ahead, 1.5/sin 0.2 away.
        (Pose.at(1.5, pitch=0.2), (0, 0, 7.399732), (319.5, 179.5, 7.550178)),
        # Looking right by 0.3, the axis passes through (sin 0.3, cos 0.3).
        (Pose.at(1, yaw=0.3), (1.477601, -1, 4.776682), (319.5, 179.5, 5)),
        # A camera 0.5 m to the right sees a point straight ahead of it in the middle.
        (Pose.at(1, side=0.5), (0.5, -1, 3), (319.5, 179.5, 3)),
    ],
)
def test_projection_golden(pose, point, pixel):
    assert project(np.array(point, float), pose, CAMERA) == pytest.approx(pixel, abs=1e-3)


@given(
    st.floats(-0.2, 0.2),
    st.floats(0.05, 0.3),
    st.floats(-1, 1),
    st.floats(1, 4),
    st.floats(-3, 3),
    st.floats(3, 9),
)
def test_room_depth_is_the_depth_of_projected_points(yaw, pitch, side, height, x, z):
    pose, wall = Pose.at(height, pitch, yaw, side), 10.0
    floor, back = room_depth(pose, CAMERA, wall)
    for point, plane, inverse in (
        ((x, 0, z), (x, z, 1), floor),
        ((x, -z / 2, wall), (x, -z / 2, 1), back),
    ):
        u, v, depth = project(np.array(point, float), pose, CAMERA)
        mapped = plane_to_pixel(pose, CAMERA, None if inverse is floor else wall) @ plane
        assert mapped[:2] / mapped[2] == pytest.approx((u, v), abs=1e-6)
        if 0 <= u <= 638 and 0 <= v <= 358:
            c, r = int(u), int(v)
            corner = inverse[r : r + 2, c : c + 2]
            down, right = v - r, u - c
            linear = (corner * np.outer([1 - down, down], [1 - right, right])).sum()
            assert linear == pytest.approx(1 / depth, rel=1e-6)


def test_image_motion_moves_far_points_with_the_background():
    before, after = Pose.at(2, 0.15, 0.01), Pose.at(2, 0.15, 0.03)
    moved = image_motion(before, after, CAMERA, 12.0)
    points = np.array([(-2, -1, 12), (2, -2, 12), (0, 0, 8), (-1, 0, 9)], float)
    old, new = (project(points, p, CAMERA)[:, :2] for p in (before, after))
    shift = np.abs(old - new)[:, 0]
    assert shift.min() > 8
    assert np.abs(old @ moved[:, :2].T + moved[:, 2] - new).max() < 0.15 * shift.min()


def test_image_motion_of_a_camera_at_rest_is_the_identity():
    pose = Pose.at(2, 0.15)
    assert image_motion(pose, pose, CAMERA, 12.0) == pytest.approx(np.eye(2, 3), abs=1e-9)


def test_warped_backdrop_is_the_one_painted_from_there():
    rest, there = Pose.at(1.9, 0.17), Pose.at(1.9, 0.18, 0.05, 0.1)
    moving = Backdrop(HALL, CAMERA, rest, seed=0, moving=True).view(there)
    painted = Backdrop(HALL, CAMERA, there, seed=0, moving=False).view(there)
    still = Backdrop(HALL, CAMERA, rest, seed=0, moving=False).view(rest)
    assert np.abs(moving[1] - painted[1]).max() < 1e-5
    error = np.abs(moving[0].astype(int) - painted[0]).mean()
    assert error < 0.3 * np.abs(moving[0].astype(int) - still[0]).mean()


def test_views_belong_to_the_caller():
    backdrop = Backdrop(HALL, SMALL, Pose.at(1.9, 0.17), seed=0, moving=False)
    first = backdrop.view(Pose.at(1.9, 0.17))
    first[0][:], first[1][:] = 0, 0
    assert backdrop.view(Pose.at(1.9, 0.17))[0].any()
    assert backdrop.view(Pose.at(1.9, 0.17))[1].any()


def slow_limbs(limbs, owner, focal, depth):
    """Return depth and owner per pixel by looking at every limb at every pixel."""
    depth, masks = depth.copy(), np.zeros(depth.shape, int)
    for y, x in np.ndindex(depth.shape):
        for (u0, v0, z0, r0, u1, v1, z1, r1), who in zip(limbs, owner, strict=True):
            a, b, p = np.array([u0, v0]), np.array([u1, v1]), np.array([x, y])
            t = np.clip((p - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)
            radius, axis = r0 + t * (r1 - r0), z0 + t * (z1 - z0)
            far = np.hypot(*(p - a - t * (b - a)))
            if far <= radius:
                z = axis - np.sqrt(radius**2 - far**2) * axis / focal
                if z < depth[y, x]:
                    depth[y, x], masks[y, x] = z, who
    return depth, masks


@pytest.mark.parametrize('seed', range(4))
def test_limbs_against_a_loop_over_pixels(seed):
    random = np.random.default_rng(seed)
    limbs = random.uniform([-5, -5, 2, 0.5, -5, -5, 2, 0.5], [45, 35, 6, 8, 45, 35, 6, 8], (9, 8))
    limbs[3, 4:6] = limbs[3, :2]  # a ball
    limbs[4, 5] = limbs[4, 1]  # level
    limbs[5, 4] = limbs[5, 0]  # upright
    owner = np.repeat([1, 2, 3], 3)
    start = np.full((30, 40), 5.0, np.float32)
    depth, masks = start.copy(), np.zeros(start.shape, np.uint16)
    tally = np.zeros((4, 5), np.int64)
    tally[:, 1:3] = 1 << 30
    image = np.zeros((30, 40, 3), np.uint8)
    scratch = np.zeros(start.shape, np.int32)
    draw_limbs(
        limbs, np.full((9, 3), 200.0), np.ones(9), owner, 50.0, image, depth, masks, scratch, tally
    )
    wanted, owners = slow_limbs(limbs, owner, 50.0, start)
    assert np.abs(depth - wanted).max() < 1e-4
    assert (masks == owners).mean() > 0.995
    assert (image[owners > 0] > 0).all()
    for who in (1, 2, 3):
        alone = slow_limbs(limbs[owner == who], owner[owner == who], 50.0, start + 100)[1] > 0
        rows, columns = np.nonzero(alone)
        assert tally[who].tolist() == [
            alone.sum(), columns.min(), rows.min(), columns.max(), rows.max(),
        ]  # fmt: skip
    seen = np.zeros(4, np.int64)
    name_pixels(masks, np.array([0, 70, 80, 90]), seen)
    assert seen[1:].tolist() == [(masks == name).sum() for name in (70, 80, 90)]


def test_limbs_outside_the_image_are_not_drawn():
    limbs = np.array([[-50, -50, 3, 5, -40, -60, 3, 5], [1e7, 20, 3, 5, 1e7, 30, 3, 5.0]])
    depth, masks = np.full((30, 40), 9, np.float32), np.zeros((30, 40), np.uint16)
    image, tally = np.zeros((30, 40, 3), np.uint8), np.zeros((2, 5), np.int64)
    scratch = np.zeros((30, 40), np.int32)
    owner = np.ones(2, np.int64)
    draw_limbs(
        limbs, np.ones((2, 3)), np.ones(2), owner, 50.0, image, depth, masks, scratch, tally
    )
    assert not masks.any()
    assert tally[1, 0] == 0


numbers = st.lists(st.floats(-10, 10), min_size=3, max_size=3).map(np.array)
angles = st.lists(st.floats(0, 0.9), min_size=3, max_size=3).map(np.array)


@given(numbers, angles, angles, angles)
@settings(max_examples=50, deadline=None)
def test_bodies_stand_on_the_floor_and_keep_their_bones(phase, stride, raised, bent):
    body = joints(Gesture(phase, stride, raised * 3, bent))
    assert body[..., 1].max(1) == pytest.approx(-0.03, abs=1e-9)
    assert (body[:, 3, 1] < -0.4).all()  # the head is up
    right = joints(Gesture(phase + np.pi, stride, raised * 3, bent)) * (-1, 1, 1)
    # Half a gait later the mirror image: left and right have changed places.
    assert body[:, 15:17] == pytest.approx(right[:, [16, 15]], abs=1e-9)
    lengths = np.linalg.norm(body[:, STARTS] - body[:, ENDS], axis=-1)
    thigh = lengths[:, 13]
    assert thigh == pytest.approx(0.245, abs=1e-9)


@pytest.mark.parametrize(
    ('heading', 'forward'),
    [(0, (0, 0, 1)), (np.pi / 2, (1, 0, 0)), (np.pi, (0, 0, -1)), (-np.pi / 2, (-1, 0, 0))],
)
def test_heading_golden(heading, forward):
    nose = np.array([[[0.0, 0.0, 1.0]]])
    assert turned(nose, np.array([heading]))[0, 0] == pytest.approx(forward, abs=1e-12)


def test_limb_tables_agree():
    assert len(STARTS) == len(ENDS) == len(RADII)
    assert (RADII > 0).all()
