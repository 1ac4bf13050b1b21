"""What encoders are shown: the depth inside the mask, whatever its scale, at a known place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip('torch')
representation = pytest.importorskip('mot_perception.depthseg.representation')
cropped, full_frame = representation.cropped, representation.full_frame

FORMS = pytest.mark.parametrize('form', [full_frame, cropped])
SEED = st.integers(0, 2**32 - 1)


def scene(seed=0, n=6, height=24, width=40, device='cpu'):
    """Depth with holes, and masks of all kinds: boxes, specks, single cells, nothing."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 20, (height, width)).astype(np.float32)
    holes = rng.random(depth.shape)
    depth[holes < 0.03], depth[holes > 0.97] = 0, np.nan
    masks = np.zeros((n, height, width), bool)
    for i in range(n):
        top, left = rng.integers(0, height), rng.integers(0, width)
        below, right = top + rng.integers(1, height), left + rng.integers(1, width // 2)
        masks[i, top:below, left:right] = rng.random((height, width))[top:below, left:right] < 0.8
    if n > 1:
        masks[1] = False
        masks[1, 5, 7] = True
    return torch.tensor(depth, device=device), torch.tensor(masks, device=device)


@FORMS
class TestBoth:
    def test_shapes(self, form, device):
        channels, side, scalars = (1, 128, 0) if form is full_frame else (2, 32, 7)
        for n in (0, 1, 6):
            shown = form(*scene(n=n, device=device))
            assert shown.maps.shape == (n, channels, side, side)
            assert shown.place.shape == (n, scalars)
            assert shown.seen.shape == (n,)
            assert shown.maps.dtype == shown.place.dtype == torch.float32
            assert shown.seen.dtype == torch.bool
            assert {it.device.type for it in shown} == {torch.device(device).type}

    @given(SEED)
    def test_order_of_objects(self, form, seed):
        depth, masks = scene(seed)
        order = torch.randperm(len(masks), generator=torch.Generator().manual_seed(seed))
        for of_permuted, permuted in zip(
            form(depth, masks[order]), form(depth, masks), strict=True
        ):
            torch.testing.assert_close(of_permuted, permuted[order], rtol=0, atol=1e-6)

    def test_inputs_stay(self, form):
        depth, masks = scene()
        before = depth.clone(), masks.clone()
        form(depth, masks)
        torch.testing.assert_close(depth, before[0], rtol=0, atol=0, equal_nan=True)
        assert (masks == before[1]).all()

    @pytest.mark.parametrize('unknown', [0.0, math.nan, math.inf, -math.inf, -3.0])
    def test_nothing_known(self, form, unknown):
        depth, masks = scene()
        shown = form(torch.full_like(depth, unknown), masks)
        assert not shown.seen.any()
        assert shown.maps.isfinite().all()
        assert not shown.place.any()

    def test_empty_masks(self, form):
        depth, masks = scene()
        shown = form(depth, torch.zeros_like(masks))
        assert not shown.seen.any()
        assert (shown.maps == (-1 if form is full_frame else 0)).all()
        assert not shown.place.any()

    @given(SEED, st.sampled_from([math.nan, math.inf, -math.inf, 0, 1e38, 1e-38, 1e-45, -1]))
    def test_any_depth_gives_numbers(self, form, seed, value):
        depth, masks = scene(seed)
        depth[torch.rand(depth.shape, generator=torch.Generator().manual_seed(seed)) < 0.3] = value
        shown = form(depth, masks)
        assert shown.maps.isfinite().all()
        assert shown.place.isfinite().all()

    def test_one_cell_alone(self, form):
        shown = form(torch.ones(1, 1), torch.ones(1, 1, 1, dtype=torch.bool))
        assert shown.seen.tolist() == [True]
        assert shown.maps.isfinite().all()

    @pytest.mark.parametrize(
        'shapes', [((3, 4), (2, 4, 3)), ((0, 4), (2, 0, 4)), ((3, 4), (3, 4))]
    )
    def test_grids_differ(self, form, shapes):
        with pytest.raises(ValueError, match='one grid'):
            form(torch.ones(shapes[0]), torch.ones(shapes[1], dtype=torch.bool))


class TestFullFrame:
    def test_numbers(self):
        """On its own grid nothing is resized: background −1, inside 2 d − 1."""
        depth, masks = scene(3, height=128, width=128)
        shown = full_frame(depth, masks)
        known = depth.isfinite() & (depth > 0)
        for i, mask in enumerate(masks):
            inside = mask & known
            assert (shown.maps[i, 0][~inside] == -1).all()
            torch.testing.assert_close(shown.maps[i, 0][inside], 2 * depth[inside] - 1)

    @pytest.mark.parametrize('grid', [(72, 128), (60, 80), (200, 300)])
    def test_resizing_keeps_the_sum_by_area(self, grid):
        masks = torch.zeros(1, *grid, dtype=torch.bool)
        masks[:, grid[0] // 4 : grid[0] // 2, grid[1] // 3 : grid[1] // 2] = True
        depth = torch.full(grid, 6.0)
        mean = (full_frame(depth, masks).maps / 2 + 0.5).mean()
        assert mean.item() == pytest.approx(6 * masks.float().mean().item(), rel=0.03)

    def test_far_from_the_mask_is_background(self):
        masks = torch.zeros(1, 72, 128, dtype=torch.bool)
        masks[:, 20:40, 30:40] = True
        shown = full_frame(torch.full((72, 128), 5.0), masks).maps[0, 0]
        assert (shown[:, 50:] == -1).all()
        assert shown[50, 35].item() == pytest.approx(9)


def area_means(image, left, top, right, bottom, side):
    """Return the means of an image over the cells of a side×side grid on a box; 0 outside."""
    fine = 30
    means = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            for i in range(fine):
                for j in range(fine):
                    y = top + (bottom - top) * (row + (i + 0.5) / fine) / side
                    x = left + (right - left) * (column + (j + 0.5) / fine) / side
                    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                        means[row, column] += image[int(y), int(x)] / fine**2
    return means


class TestCropped:
    def test_numbers(self, monkeypatch, device):
        monkeypatch.setattr(representation, 'CROP_SIZE', 7)
        depth, masks = scene(11, n=3, height=12, width=16, device=device)
        shown = cropped(depth, masks)
        depth, masks = depth.cpu().numpy(), masks.cpu().numpy()
        known = np.isfinite(depth) & (depth > 0)
        for i, mask in enumerate(masks):
            depths = np.sort(depth[mask & known])
            last = len(depths) - 1
            median = depths[last // 2]
            rows, columns = np.nonzero(mask)
            top, bottom = rows.min(), rows.max() + 1
            left, right = columns.min(), columns.max() + 1
            y, x = (bottom - top) * 2 / 3, (right - left) * 2 / 3  # 2 of 7 − 2·2 cells
            box = left - x, top - y, right + x, bottom + y
            ratio = np.where(known, np.nan_to_num(depth), 1) / median
            relief = np.log(ratio.clip(np.exp(-0.5), np.exp(0.5))) / 0.5 * (mask & known)
            for channel, image in enumerate([relief, mask]):
                np.testing.assert_allclose(
                    shown.maps[i, channel].cpu(), area_means(image, *box, 7), atol=0.06
                )
            area = (right - left) * (bottom - top)
            expected = [
                np.log(median / np.sort(depth[known])[(known.sum() - 1) // 2]),
                min(np.log(depths[last * 3 // 4] / depths[last // 4]), 1),
                (left + right) / 2 / 16,
                (top + bottom) / 2 / 12,
                (right - left) / 16,
                (bottom - top) / 12,
                mask.sum() / area,
            ]
            np.testing.assert_allclose(shown.place[i].cpu(), expected, rtol=1e-5, atol=1e-6)

    @given(SEED)
    def test_sum_by_area(self, seed):
        """The square holds the whole mask: its mean is the mask's share of the square."""
        depth, masks = scene(seed)
        shown = cropped(depth, masks)
        whole = (32 / 28) ** 2
        mean = shown.maps[:, 1].mean((1, 2)) * whole
        torch.testing.assert_close(mean[shown.seen], shown.place[shown.seen, 6], rtol=1e-5, atol=0)

    @given(SEED, st.integers(-60, 60))
    def test_scale_by_powers_of_two_changes_no_bit(self, seed, power):
        """They scale floats without rounding."""
        depth, masks = scene(seed)
        shown, scaled = cropped(depth, masks), cropped(depth * 2.0**power, masks)
        for one, other in zip(shown, scaled, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)

    @given(SEED, st.floats(1e-6, 1e6))
    def test_any_scale(self, seed, factor):
        depth, masks = scene(seed)
        shown, scaled = cropped(depth, masks), cropped(depth * factor, masks)
        for one, other in zip(shown, scaled, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=2e-6)

    def test_depth_of_others_is_none_of_its_own(self):
        depth, masks = scene(4)
        inside = masks[0]
        nearer = torch.where(inside, depth, depth * 0.5)
        shown, other = cropped(depth, masks), cropped(nearer, masks)
        torch.testing.assert_close(shown.maps[0], other.maps[0], rtol=0, atol=0)
        assert shown.place[0, 0] != other.place[0, 0]

    def test_place_tells_depths_apart(self):
        masks = torch.zeros(2, 72, 128, dtype=torch.bool)
        masks[:, 10:30, 40:50] = True
        depth = torch.full((72, 128), 10.0)
        near = torch.where(masks[0], 5.0, depth)
        far = torch.where(masks[0], 5.5, depth)
        a, b = cropped(near, masks).place[0], cropped(far, masks).place[0]
        assert (b[0] - a[0]).item() == pytest.approx(math.log(1.1), abs=1e-6)
        assert torch.equal(a[1:], b[1:])

    def test_moved_object_keeps_its_map(self):
        depth = torch.full((72, 128), 8.0)
        masks = torch.zeros(2, 72, 128, dtype=torch.bool)
        outline = torch.rand(20, 10, generator=torch.Generator().manual_seed(1)) < 0.7
        masks[0, 5:25, 7:17] = outline
        masks[1, 50:70, 100:110] = outline
        shown = cropped(depth, masks)
        torch.testing.assert_close(shown.maps[0], shown.maps[1], rtol=0, atol=1e-5)
        torch.testing.assert_close(shown.place[0, 4:], shown.place[1, 4:], rtol=0, atol=0)

    def test_one_by_one(self):
        depth, masks = scene(2)
        shown = cropped(depth, masks)
        for i in range(len(masks)):
            for alone, together in zip(cropped(depth, masks[i : i + 1]), shown, strict=True):
                torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-6)

    def test_five_hundred_objects(self):
        depth, masks = scene(5, n=500, height=72, width=128)
        shown = cropped(depth, masks)
        assert shown.seen.sum() > 400
        assert shown.maps.isfinite().all()
