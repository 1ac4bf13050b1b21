"""Augmentation: colour, depth and boxes stay in register; and how clips become batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_footage import MadeFootage

from mot_perception.fdta.settings import FdtaSettings
from mot_perception.training.fdta import transforms
from mot_perception.training.fdta.clip import View
from mot_perception.training.fdta.colour_jitter import random_light
from mot_perception.training.fdta.framing import Framing, framed
from mot_perception.training.fdta.transforms import (
    augmented,
    collate,
    plain,
    read_clip,
    to_clip,
)

NETWORK = FdtaSettings(shorter=120, longer=240, frame_period=0.05)
FAR, NEAR = 20.0, 200.0


def marked(*boxes, size=(180, 320), ids=None):
    """Return a dark, far image with bright, near rectangles."""
    image = np.full((*size, 3), 40, np.uint8)
    depth = np.full(size, FAR, np.float32)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = 230
        depth[top:bottom, left:right] = NEAR
    count = len(boxes)
    return View(
        image,
        np.array(boxes, float).reshape(-1, 4),
        np.arange(count) if ids is None else np.array(ids),
        np.zeros(count, np.int64),
        depth,
    )


def extent(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def walking(count=4, still=False):
    if still:
        return [marked([120, 50, 200, 140])] * count
    return [marked([100 + 9 * k, 50, 160 + 9 * k, 140]) for k in range(count)]


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_marker_stays_in_its_place(seed, still):
    views = augmented(walking(still=still), NETWORK, np.random.default_rng(seed))
    assert len({view.image.shape for view in views}) == 1
    for view in views:
        assert view.depth.shape == view.image.shape[:2]
        assert view.ids.tolist() == [0]  # a frame's only object is never lost
        grey = view.image.mean(2)
        bright = grey > (grey.min() + grey.max()) / 2
        near = view.depth > (FAR + NEAR) / 2
        assert extent(bright) == pytest.approx(extent(near), abs=1.01)
        assert view.xyxy[0] == pytest.approx(np.array(extent(near), float), abs=1.01)
        left, top, right, bottom = np.rint(view.xyxy[0]).astype(int)
        assert np.median(view.depth[top:bottom, left:right]) == NEAR


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=50, deadline=None)
def test_sizes_are_those_of_the_settings(seed, still):
    view = augmented(walking(still=still), NETWORK, np.random.default_rng(seed))[0]
    sides = sorted(view.image.shape[:2])
    wanted = {round(120 * size / 800) for size in range(480, 801, 32)}
    assert sides[0] in wanted or sides[1] == 240
    assert sides[0] <= 120
    assert sides[1] <= 240


def test_the_published_sizes():
    assert [800 * size for size in transforms.SIZES] == list(range(480, 801, 32))
    assert [800 * size for size in transforms.SIZES_BEFORE] == [400, 500, 600]


def test_whole_clips_are_seen_alike():
    """Everything of a clip moves together: what stands still in it, stands still."""
    view = marked([120, 50, 200, 140])
    views = [view, marked([120, 50, 200, 140]), walking(1)[0]]
    for seed in range(30):
        one, two, _ = augmented(views, NETWORK, np.random.default_rng(seed))
        assert (one.image == two.image).all()
        assert (one.xyxy == two.xyxy).all()


def test_all_kinds_of_looks_come_out():
    shapes, mirrored = set(), 0
    for seed in range(60):
        views = [marked([20, 20, 60, 60], [250, 100, 300, 170]), *walking(2)]
        view = augmented(views, NETWORK, np.random.default_rng(seed))[0]
        shapes.add(view.image.shape[:2])
        mirrored += len(view.ids) == 2 and view.xyxy[0, 0] > view.xyxy[1, 0]
    assert len(shapes) > 20
    assert 10 < mirrored < 40


def test_the_same_chance_gives_the_same_bytes():
    one, two = (augmented(walking(), NETWORK, np.random.default_rng(9)) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        assert (first.image == second.image).all()
        assert (first.depth == second.depth).all()


def test_light_changes_no_depth(monkeypatch):
    lit = augmented(walking(), NETWORK, np.random.default_rng(2))
    monkeypatch.setattr(transforms, 'random_light', lambda _: lambda image: image)
    unlit = augmented(walking(), NETWORK, np.random.default_rng(2))
    for one, two in zip(lit, unlit, strict=True):
        assert one.depth.tobytes() == two.depth.tobytes()
        assert (one.xyxy == two.xyxy).all()
        assert (one.image != two.image).any()


def test_light_stays_within_its_limits():
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = [int(random_light(np.random.default_rng(k))(grey)[0, 0, 0]) for k in range(300)]
    assert 55 <= min(values) < 70
    assert 130 < max(values) <= 145
    colour = np.full((8, 8, 3), (30, 60, 200), np.uint8)
    assert len({random_light(np.random.default_rng(k))(colour).tobytes() for k in range(20)}) > 15


def test_a_still_moves_like_a_camera():
    view = marked([120, 50, 200, 140])
    places = []
    for seed in range(40):
        views = augmented([view] * 6, NETWORK, np.random.default_rng(seed))
        boxes = np.stack([it.xyxy[0] for it in views]) / views[0].image.shape[1]
        places.append(boxes)
        assert np.abs(np.diff(boxes, axis=0)).max() < 0.1
    sizes = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in places]
    moved = [np.ptp(boxes, 0).max() for boxes in places]
    assert np.median(moved) > 0.01
    grown = np.mean([size[-1] > size[0] for size in sizes])
    assert 0.2 < grown < 0.8  # half of them run backwards


def test_a_recording_is_no_still():
    windows = []
    views = [marked([120, 50, 200, 140]) for _ in range(3)]  # equal, but not the same frame
    for seed in range(10):
        seen = augmented(views, NETWORK, np.random.default_rng(seed))
        windows.append(np.ptp(np.stack([it.xyxy[0] for it in seen]), 0).max())
    assert max(windows) == 0


def test_frames_without_objects_are_let_be():
    views = [marked(), *walking(2)]
    for seed in range(20):
        seen = augmented(views, NETWORK, np.random.default_rng(seed))
        assert [len(view.ids) for view in seen] == [0, 1, 1]


def test_objects_outside_of_a_cut_are_dropped_and_others_clipped():
    view = marked([10, 20, 60, 80], [50, 30, 150, 90], [200, 20, 240, 60], ids=[5, 3, 8])
    seen = framed(view, Framing((40, 0, 140, 100), 50, 50))
    assert seen.ids.tolist() == [5, 3]
    assert seen.xyxy.tolist() == [[0, 10, 10, 40], [5, 15, 50, 45]]
    mirrored = framed(view, Framing((40, 0, 140, 100), 50, 50, mirrored=True))
    assert mirrored.xyxy.tolist() == [[40, 10, 50, 40], [0, 15, 45, 45]]
    assert (mirrored.image == seen.image[:, ::-1]).all()
    assert (mirrored.depth == seen.depth[:, ::-1]).all()


def test_unknown_depth_does_not_spread():
    view = marked([40, 40, 120, 120])
    view.depth[60:100, 60:100] = np.nan
    view.depth[0, 0] = np.nan
    seen = framed(view, Framing((0, 0, 320, 180), 90, 160))
    assert set(np.unique(seen.depth[~np.isnan(seen.depth)])) <= {FAR, NEAR, 110.0, 155.0, 65.0}
    assert np.isnan(seen.depth[31:49, 31:49]).all()
    assert seen.depth[0, 0] == FAR  # three quarters of it are known
    assert seen.depth[22, 22] == NEAR


def test_validation_only_scales():
    views = plain(walking(), NETWORK)
    assert views[0].image.shape == (120, 213, 3)
    assert views[0].xyxy[0] == pytest.approx(
        np.array([100, 50, 160, 140]) * np.tile([213 / 320, 120 / 180], 2)
    )


def test_clips_number_their_identities():
    views = [
        marked([10, 10, 30, 50], [50, 20, 90, 90], ids=[41, 7]),
        marked([60, 20, 100, 90], ids=[7]),
        marked(),
    ]
    clip = to_clip(views, np.array([0.0, 2.0, 3.0]))
    assert [it.ids.tolist() for it in clip.objects] == [[1, 0], [0], []]
    assert clip.objects[0].boxes[0] == pytest.approx(
        np.array([20 / 320, 30 / 180, 20 / 320, 40 / 180]), abs=1e-6
    )
    assert clip.objects[2].boxes.shape == (0, 4)
    assert clip.images.dtype == torch.uint8
    assert clip.images.shape == (3, 3, 180, 320)
    assert clip.depth.shape == (3, 180, 320)
    assert clip.times.tolist() == [0, 2, 3]


def test_images_become_rgb():
    view = marked([1, 1, 20, 20])
    view.image[:] = (10, 20, 30)
    assert to_clip([view], np.zeros(1)).images[0, :, 0, 0].tolist() == [30, 20, 10]


def test_clips_without_depth_stay_without():
    views = [View(it.image, it.xyxy, it.ids, it.labels, None) for it in walking(2)]
    clip = to_clip(augmented(views, NETWORK, np.random.default_rng(0)), np.zeros(2))
    assert clip.depth is None
    both = collate([clip, clip])
    assert both.depth is None


def test_times_are_those_of_the_frames():
    footage = MadeFootage(frames=30)
    clip = read_clip(footage, (4, 6, 10), NETWORK)
    assert clip.times.tolist() == [0, 4, 12]  # 0.1 s a frame, counted in 0.05 s
    assert clip.images[:, 0, 0, 0].tolist() == [4, 6, 10]
    still = read_clip(footage, (4, 4, 4), NETWORK, np.random.default_rng(0))
    assert still.times.tolist() == [0, 2, 4]


def test_batches_are_padded_at_the_right_and_below():
    one = to_clip([marked([20, 20, 40, 60], size=(100, 80))] * 2, np.array([0.0, 1]))
    two = to_clip([marked([10, 30, 50, 40], size=(60, 160))] * 2, np.array([0.0, 3]))
    batch = collate([one, two])
    assert batch.images.shape == (2, 2, 3, 100, 160)
    assert (batch.images[0, :, :, :, :80] == one.images).all()
    assert (batch.images[1, :, :, :60] == two.images).all()
    assert not batch.images[0, ..., 80:].any()
    assert batch.padded[0].tolist() == [[False] * 80 + [True] * 80] * 100
    assert batch.padded[1, :, 0].tolist() == [False] * 60 + [True] * 40
    assert (batch.depth.isnan() == batch.padded[:, None]).all()
    pixels = torch.tensor([160.0, 100, 160, 100])
    assert batch.objects[0][1].boxes[0] * pixels == pytest.approx(torch.tensor([30, 40, 20, 40.0]))
    assert batch.objects[1][0].boxes[0] * pixels == pytest.approx(torch.tensor([30, 35, 40, 10.0]))
    assert batch.times.tolist() == [[0, 1], [0, 3]]
    assert batch.times.dtype == torch.float64


def test_equal_clips_need_no_padding():
    clip = to_clip(walking(2), np.zeros(2))
    batch = collate([clip, clip])
    assert batch.padded is None
    assert (batch.objects[1][0].boxes == clip.objects[0].boxes).all()


def test_depth_is_unknown_in_clips_without_labels():
    with_depth = to_clip(walking(1), np.zeros(1))
    batch = collate([with_depth, with_depth._replace(depth=None)])
    assert (batch.depth[0] == with_depth.depth).all()
    assert batch.depth[1].isnan().all()
