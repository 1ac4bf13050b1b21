"""Rendered scenes as footage."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mot_perception.errors import UserError
from mot_perception.training.fdta import scene_footage
from mot_perception.training.fdta.metric_depth import depth_range
from mot_perception.training.fdta.scene_footage import refilled_footages, staged_footages

SIZE = 160, 90


def staged(*numbers, orientation='depth', **more):
    return staged_footages(numbers, size=SIZE, orientation=orientation, frames=30, **more)


def test_a_view_says_who_is_where():
    for footage in staged(0, 1, 2):
        view = footage.view(12)
        assert view.image.shape == (90, 160, 3)
        assert view.depth.shape == (90, 160)
        assert len(view.ids) == len(set(view.ids)) == len(view.xyxy) == len(view.labels) > 0
        assert (view.xyxy[:, :2] < view.xyxy[:, 2:]).all()
        assert (view.xyxy >= 0).all()
        assert (view.xyxy <= [160, 90, 160, 90]).all()
        assert len(footage) == len(footage.legal()) == 30


def test_a_footage_is_the_same_in_another_process():
    (footage,) = staged(4)
    first = footage.view(3)
    scene_footage._opened.cache_clear()
    again = pickle.loads(pickle.dumps(footage)).view(3)
    for one, other in zip(
        (first.image, first.xyxy, first.ids, first.depth),
        (again.image, again.xyxy, again.ids, again.depth),
        strict=True,
    ):
        assert (one == other).all()


def test_scenes_differ_and_the_held_out_are_others():
    learned, held_out = staged(0, 1), staged(0, 1, held_out=True)
    assert len({footage.name for footage in [*learned, *held_out]}) == 4
    images = [footage.view(0).image.tobytes() for footage in [*learned, *held_out]]
    assert len(set(images)) == 4


def test_scenes_begin_anew_at_last():
    assert staged(0)[0].recipe == staged(10_000)[0].recipe


def test_few_scenes_are_open():
    for footage in staged(*range(6)):
        footage.view(0)
    assert scene_footage._opened.cache_info().currsize <= scene_footage.OPEN_AT_ONCE


def test_depth_and_disparity_are_each_others_inverse():
    views = [staged(5, orientation=way)[0].view(0) for way in ('depth', 'disparity')]
    depth, disparity = (view.depth.astype(float) for view in views)
    for values in (depth, disparity):
        assert values.min() > 0
        assert values.max() <= 255
    inside = (depth < 255) & (disparity < 255)
    assert inside.mean() > 0.9
    product = (depth * disparity)[inside]
    assert product == pytest.approx(np.full(len(product), product[0]), rel=1e-4)


def test_the_range_of_measured_depth():
    metres = np.array([[0, 2, 4], [8, np.nan, 1]], np.float32)
    assert depth_range([metres]) == (1, 8)
    assert depth_range([0 * metres]) == (1, 1)


@pytest.fixture
def truth(tmp_path):
    """A sequence without images: two people, in frame 3 nobody, and a car that does not count."""
    (tmp_path / 'gt').mkdir()
    rows = [f'{frame},{k},{100 * k + 8 * frame},60,60,200,1,1,1'
            for frame in (1, 2, 4, 5) for k in (3, 8)]  # fmt: skip
    (tmp_path / 'gt/gt.txt').write_text('\n'.join([*rows, '3,20,10,10,20,20,0,3,1']))
    (tmp_path / 'seqinfo.ini').write_text(
        '[Sequence]\nframeRate=20\nseqLength=6\nimWidth=1280\nimHeight=720\n'
    )
    return tmp_path


def test_people_move_as_in_a_ground_truth(truth):
    (footage,) = refilled_footages([truth], height=180, orientation='disparity')
    assert footage.period == 1 / 20
    assert footage.legal().tolist() == [True, True, False, True, True, False]
    view = footage.view(1)
    assert view.image.shape == (180, 320, 3)
    assert view.ids.tolist() == [1, 2]
    expected = np.array([[316, 60, 376, 260], [816, 60, 876, 260]]) / 4
    assert view.xyxy == pytest.approx(expected, abs=1.5)
    assert len(footage.view(2).ids) == 0


def test_the_same_motion_in_other_clothes(truth):
    one, two = (
        refilled_footages([truth], height=180, orientation='depth', seed=seed)[0]
        for seed in (0, 1)
    )
    assert one.name != two.name
    assert (one.view(0).image != two.view(0).image).any()
    assert one.view(0).xyxy == pytest.approx(two.view(0).xyxy, abs=1.5)


def test_a_ground_truth_without_image_size_is_refused(truth):
    (truth / 'seqinfo.ini').write_text('[Sequence]\nframeRate=20\n')
    with pytest.raises(UserError, match=r'the image size in seqinfo\.ini'):
        refilled_footages([truth], height=180, orientation='depth')
