"""Masks, depth and the raw-map cue: from a depth image to vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.depthseg.fusion import POOL, fuse, raw_map_cue
from mot_perception.perception.depth import MAD_TO_STDDEV, object_depth
from mot_perception.perception.grid import GRID, inside, sample
from mot_perception.perception.masks import TOLERANCE, DepthConsistentMasks
from mot_perception.types import Frame

WIDTH, HEIGHT = 256, 144
MASKS = DepthConsistentMasks()


def frame(*things: tuple[tuple[int, int, int, int], float], background: float = 10.0) -> Frame:
    """A depth image of flat boxes, the later in front of the earlier."""
    depth = np.full((HEIGHT, WIDTH), background, np.float32)
    for (left, top, right, bottom), metres in things:
        depth[top:bottom, left:right] = metres
    return Frame(stamp_ns=0, index=0, width=WIDTH, height=HEIGHT, depth=depth)


def box(*xyxy: float) -> np.ndarray:
    return np.array(xyxy, np.float64).reshape(-1, 4)


class TestGrid:
    def test_sample_takes_the_pixel_under_each_centre(self):
        image = np.arange(50 * 70, dtype=np.float32).reshape(50, 70)
        for row in range(GRID[0]):
            for column in range(GRID[1]):
                y, x = (row + 0.5) * 50 / GRID[0], (column + 0.5) * 70 / GRID[1]
                assert sample(image)[row, column] == image[int(y), int(x)]

    def test_inside_equals_a_naive_loop(self):
        xyxy = box(10, 20, 100, 90, -50, -50, 8, 300, 30, 30, 20, 20)
        expected = np.zeros((3, *GRID), bool)
        for n, (left, top, right, bottom) in enumerate(xyxy):
            for row in range(GRID[0]):
                for column in range(GRID[1]):
                    y, x = (row + 0.5) * HEIGHT / GRID[0], (column + 0.5) * WIDTH / GRID[1]
                    expected[n, row, column] = left <= x < right and top <= y < bottom
        np.testing.assert_array_equal(inside(xyxy, WIDTH, HEIGHT), expected)

    def test_nan_box_is_nowhere(self):
        assert not inside(box(np.nan, 0, 10, 10), WIDTH, HEIGHT).any()


class TestMasks:
    def test_mask_is_the_object_without_its_background(self):
        now = frame(((40, 30, 80, 120), 4.0))
        masks = MASKS.step(now, now, box(30, 20, 90, 130))
        np.testing.assert_array_equal(
            masks.current[0], inside(box(40, 30, 80, 120), WIDTH, HEIGHT)[0]
        )

    def test_one_step_back_it_sits_at_the_old_place(self):
        before, now = frame(((40, 30, 80, 120), 4.0)), frame(((42, 30, 82, 120), 4.0))
        masks = MASKS.step(before, now, box(42, 30, 82, 120))
        for mask, place in (
            (masks.current, box(42, 30, 82, 120)),
            (masks.previous, box(40, 30, 80, 120)),
        ):
            np.testing.assert_array_equal(mask, inside(place, WIDTH, HEIGHT))

    def test_first_frame_is_its_own_past(self):
        now = frame(((40, 30, 80, 120), 4.0))
        masks = MASKS.step(now, now, box(40, 30, 80, 120))
        np.testing.assert_array_equal(masks.current, masks.previous)

    def test_the_one_in_front_is_not_part_of_the_one_behind(self):
        now = frame(((40, 30, 100, 120), 5.0), ((85, 30, 140, 120), 3.0))
        masks = MASKS.step(now, now, box(40, 30, 100, 120, 85, 30, 140, 120)).current
        assert not (masks[0] & masks[1]).any()
        assert masks[0].sum() == inside(box(40, 30, 85, 120), WIDTH, HEIGHT).sum()

    def test_the_one_behind_keeps_its_own_depth(self):
        """Most of the middle of its box is covered; what is left is still its own."""
        now = frame(((40, 30, 100, 112), 6.0), ((60, 20, 116, 142), 4.0))
        masks = MASKS.step(now, now, box(40, 30, 100, 112, 60, 20, 116, 142))
        median, _ = object_depth(sample(now.depth), masks.current)
        np.testing.assert_array_equal(median, [6.0, 4.0])
        assert masks.reliable.tolist() == [False, True]

    def test_a_wall_does_not_outvote_the_object(self):
        now = frame(((58, 30, 62, 120), 4.0))
        masks = MASKS.step(now, now, box(50, 30, 70, 120)).current
        median, _ = object_depth(sample(now.depth), masks)
        assert median[0] == 4.0

    def test_same_depth_and_overlapping_boxes_share_no_cell(self):
        """Two side by side with arms in each other's boxes: each keeps what is nearer to him."""
        now = frame(((40, 30, 100, 120), 5.0))
        masks = MASKS.step(now, now, box(40, 30, 76, 120, 64, 30, 100, 120)).current
        assert not (masks[0] & masks[1]).any()
        left, right = (
            inside(box(*b), WIDTH, HEIGHT)[0] for b in ((40, 30, 70, 120), (70, 30, 100, 120))
        )
        np.testing.assert_array_equal(masks, [left, right])

    @pytest.mark.parametrize('scale', [0.001, 0.37, 3.0, 1000.0])
    def test_unit_of_depth_does_not_matter(self, scale):
        rng = np.random.default_rng(3)
        now = frame(((40, 30, 80, 120), 4.0))
        noisy = (now.depth * rng.normal(1, 0.02, now.depth.shape)).astype(np.float32)
        xyxy = box(35, 25, 85, 125)
        one, other = (
            MASKS.step(f, f, xyxy).current
            for f in (
                Frame(0, 0, WIDTH, HEIGHT, depth=noisy),
                Frame(0, 0, WIDTH, HEIGHT, depth=noisy * np.float32(scale)),
            )
        )
        assert (one != other).mean() < 1e-3
        assert one.any()

    def test_removing_a_box_leaves_the_others(self):
        now = frame(((40, 30, 80, 120), 4.0), ((120, 30, 160, 120), 3.0))
        xyxy = box(40, 30, 80, 120, 120, 30, 160, 120)
        both = MASKS.step(now, now, xyxy)
        alone = MASKS.step(now, now, xyxy[1:])
        np.testing.assert_array_equal(both.current[1:], alone.current)
        np.testing.assert_array_equal(both.previous[1:], alone.previous)

    @pytest.mark.parametrize(
        'depth',
        [np.zeros, lambda s, d: np.full(s, np.nan, d), lambda s, d: np.full(s, -np.inf, d)],
    )
    def test_unknown_depth_gives_empty_masks(self, depth):
        now = Frame(0, 0, WIDTH, HEIGHT, depth=depth((HEIGHT, WIDTH), np.float32))
        masks = MASKS.step(now, now, box(40, 30, 80, 120))
        assert not masks.current.any()
        assert not masks.previous.any()

    @pytest.mark.parametrize(
        'xyxy', [(10, 10, 11, 11), (900, 900, 950, 950), (60, 60, 20, 20), (np.nan,) * 4]
    )
    def test_boxes_that_cover_nothing(self, xyxy):
        now = frame()
        masks = MASKS.step(now, now, box(*xyxy))
        assert masks.current.sum() <= 1
        assert masks.reliable.shape == (1,)

    def test_no_boxes(self):
        assert MASKS.step(frame(), frame(), box()).current.shape == (0, *GRID)

    def test_depth_of_another_size_than_the_image(self):
        small = Frame(0, 0, WIDTH, HEIGHT, depth=frame(((40, 30, 80, 120), 4.0)).depth[::2, ::2])
        masks = MASKS.step(small, small, box(40, 30, 80, 120))
        assert masks.current.sum() == inside(box(40, 30, 80, 120), WIDTH, HEIGHT).sum()

    def test_no_depth_is_an_error_of_the_caller(self):
        blind = Frame(0, 0, WIDTH, HEIGHT)
        with pytest.raises(ValueError, match='depth'):
            MASKS.step(blind, blind, box(0, 0, 1, 1))

    def test_who_is_near_is_deep(self):
        """As far from the middle as the other one; only who fills the image may be so deep."""
        for (left, top, right, bottom), deep in (
            ((40, 8, 100, 140), True),
            ((40, 60, 70, 110), False),
        ):
            far = 4.0 * np.exp(1.5 * TOLERANCE)
            now = frame(((left, top, right, bottom), 4.0), ((right - 12, top, right, bottom), far))
            mask = MASKS.step(now, now, box(left, top, right, bottom)).current[0]
            reach = right if deep else right - 12
            expected = inside(box(left, top, reach, bottom), WIDTH, HEIGHT)[0]
            np.testing.assert_array_equal(mask, expected)

    def test_floor_beside_the_feet_is_not_the_object(self):
        """A strip as deep as he is, all across the image at the height of his feet."""
        now = frame(((0, 108, WIDTH, 120), 4.0), ((46, 30, 74, 108), 4.0))
        mask = MASKS.step(now, now, box(40, 30, 80, 120)).current[0]
        np.testing.assert_array_equal(mask, inside(box(46, 30, 74, 108), WIDTH, HEIGHT)[0])

    def test_one_step_back_it_is_followed_as_far_as_it_may_step(self):
        moved = 4  # pixels are half a cell: two cells
        for right, down in ((moved, 0), (-moved, 0), (0, moved), (-moved, -moved)):
            before = frame(((40, 30, 80, 112), 4.0))
            xyxy = box(40 + right, 30 + down, 80 + right, 112 + down)
            now = frame(((40 + right, 30 + down, 80 + right, 112 + down), 4.0))
            (past,) = MASKS.step(before, now, xyxy).previous
            np.testing.assert_array_equal(past, inside(box(40, 30, 80, 112), WIDTH, HEIGHT)[0])

    def test_of_two_at_nearly_the_same_depth_cells_go_to_the_nearer_depth(self):
        """The left one's arm, in the middle of the right one's box."""
        near = 4.0 * np.exp(-0.06)
        now = frame(
            ((40, 30, 80, 120), 4.0),
            ((74, 34, 110, 124), near),
            ((74, 60, 96, 66), 4.0),
        )
        masks = MASKS.step(now, now, box(40, 30, 98, 120, 74, 34, 110, 124)).current
        arm = inside(box(76, 60, 90, 66), WIDTH, HEIGHT)[0]
        assert masks[0][arm].all()
        assert not masks[1][arm].any()

    def test_tolerance_is_relative(self):
        near = 4.0 * np.exp(TOLERANCE * 0.4)
        far = 4.0 * np.exp(TOLERANCE * 2)
        now = frame(((40, 30, 80, 120), 4.0), ((40, 30, 50, 120), near), ((70, 30, 80, 120), far))
        mask = MASKS.step(now, now, box(40, 30, 80, 120)).current[0]
        np.testing.assert_array_equal(mask, inside(box(40, 30, 70, 120), WIDTH, HEIGHT)[0])


class TestObjectDepth:
    @given(st.integers(0, 2**32 - 1), st.integers(0, 6))
    def test_equals_a_naive_loop(self, seed, n):
        rng = np.random.default_rng(seed)
        depth = rng.uniform(0.5, 9, (6, 8)).astype(np.float32)
        depth[rng.random(depth.shape) < 0.3] = rng.choice([0, np.nan])
        masks = rng.random((n, 6, 8)) < 0.2
        median, stddev = object_depth(depth, masks)
        for k in range(n):
            values = depth[masks[k] & (depth > 0)].astype(float)
            if len(values) == 0:
                assert np.isnan(median[k])
                assert np.isnan(stddev[k])
                continue
            assert median[k] == pytest.approx(np.median(values))
            mad = np.median(abs(values - np.median(values)))
            assert stddev[k] == pytest.approx(MAD_TO_STDDEV * mad)

    def test_normal_noise_has_its_stddev(self):
        depth = np.random.default_rng(0).normal(5, 0.1, (100, 100)).astype(np.float32)
        median, stddev = object_depth(depth, np.ones((1, 100, 100), bool))
        assert median[0] == pytest.approx(5, abs=0.01)
        assert stddev[0] == pytest.approx(0.1, rel=0.05)


class TestFusion:
    RNG = np.random.default_rng(11)
    DEPTH = RNG.uniform(1, 8, GRID).astype(np.float32)
    BOOL = RNG.random((3, *GRID)) < 0.3

    def test_depth_inside_zero_outside(self):
        maps = fuse(self.DEPTH, self.BOOL)
        for n in range(3):
            np.testing.assert_array_equal(maps[n][self.BOOL[n]], self.DEPTH[self.BOOL[n]])
            assert not maps[n][~self.BOOL[n]].any()

    def test_unknown_depth_is_background(self):
        depth = self.DEPTH.copy()
        depth[0] = np.nan
        assert not fuse(depth, np.ones((1, *GRID), bool))[0, 0].any()

    def test_pooling_equals_a_naive_loop(self):
        maps = fuse(self.DEPTH, self.BOOL)
        vectors, valid = raw_map_cue(maps)
        expected = np.array(
            [
                [
                    m[r : r + POOL, c : c + POOL].mean()
                    for r in range(0, GRID[0], POOL)
                    for c in range(0, GRID[1], POOL)
                ]
                for m in maps
            ]
        )
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
        assert valid.all()

    def test_permutation_equivariant(self):
        order = [2, 0, 1]
        vectors, _ = raw_map_cue(fuse(self.DEPTH, self.BOOL))
        permuted, _ = raw_map_cue(fuse(self.DEPTH, self.BOOL[order]))
        np.testing.assert_array_equal(vectors[order], permuted)

    @pytest.mark.parametrize('scale', [1e-3, 0.5, 40.0])
    def test_scale_of_depth_drops_out(self, scale):
        vectors, _ = raw_map_cue(fuse(self.DEPTH, self.BOOL))
        scaled, _ = raw_map_cue(fuse(self.DEPTH * np.float32(scale), self.BOOL))
        np.testing.assert_allclose(vectors, scaled, atol=1e-6)

    def test_empty_mask_is_no_evidence(self):
        masks = self.BOOL.copy()
        masks[1] = False
        vectors, valid = raw_map_cue(fuse(self.DEPTH, masks))
        assert valid.tolist() == [True, False, True]
        assert not vectors[1].any()

    def test_no_objects(self):
        vectors, valid = raw_map_cue(fuse(self.DEPTH, self.BOOL[:0]))
        assert vectors.shape == (0, GRID[0] * GRID[1] // POOL**2)
        assert valid.shape == (0,)

    def test_two_who_cross_alike_differ_by_depth(self):
        """Nearly the same box, different depth: the cue tells them apart, the boxes do not."""
        before = frame(((30, 30, 80, 112), 6.0), ((62, 20, 122, 142), 4.0))
        now = frame(((32, 30, 82, 112), 6.0), ((60, 20, 120, 142), 4.0))
        tracks = MASKS.step(before, before, box(30, 30, 80, 112, 62, 20, 122, 142)).current
        past = MASKS.step(before, now, box(32, 30, 82, 112, 60, 20, 120, 142)).previous
        kept, _ = raw_map_cue(fuse(sample(before.depth), tracks))
        seen, _ = raw_map_cue(fuse(sample(before.depth), past))
        similarity = seen @ kept.T
        assert similarity.diagonal().min() > 0.95
        assert similarity[[0, 1], [1, 0]].max() < 0.05
