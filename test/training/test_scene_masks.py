"""The mask model sees the scene that is rendered, on the grid of the cue, one frame back too."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.perception.grid import GRID, sample
from mot_perception.scenes.scene import make_scene
from mot_perception.training.scene_masks import SceneMasks


@pytest.fixture(scope='module')
def shots():
    scene = make_scene(motion='sport', figures=5, frames=9, width=320, height=180, seed=3)
    return list(scene)


def seen(shots, seed=0):
    """Yield the masks of true boxes, frame by frame, with their frame and the one before."""
    masks = SceneMasks()
    masks.begin(seed)
    for before, now in zip([shots[0], *shots], shots, strict=False):
        masks.see(now)
        yield before, now, masks.step(before.frame, now.frame, now.boxes)


def overlap(mask, shot, who):
    true = sample((shot.masks == who).astype(np.float32)) > 0
    return (mask & true).sum() / max((mask | true).sum(), 1)


def test_masks_fit_the_silhouettes_of_their_own_frame(shots):
    fits = {'now': [], 'before': [], 'wrong': []}
    for before, now, found in seen(shots):
        assert found.current.shape == (len(now.ids), *GRID)
        for row in np.flatnonzero(now.visibility > 0.9):
            who = now.ids[row]
            fits['now'].append(overlap(found.current[row], now, who))
            fits['before'].append(overlap(found.previous[row], before, who))
            fits['wrong'].append(overlap(found.previous[row], now, who))
    assert np.mean(fits['now']) > 0.75
    assert np.mean(fits['before']) > 0.75
    assert np.mean(fits['before']) > np.mean(fits['wrong']) + 0.02


def test_the_same_seed_errs_alike(shots):
    for (_, _, one), (_, _, other) in zip(seen(shots, 4), seen(shots, 4), strict=True):
        np.testing.assert_array_equal(one.current, other.current)
        np.testing.assert_array_equal(one.previous, other.previous)


def test_reliable_is_who_has_a_mask_at_both_times(shots):
    for _, _, found in seen(shots):
        shown = found.current.any((1, 2)) & found.previous.any((1, 2))
        np.testing.assert_array_equal(found.reliable, shown)


def test_two_frames_are_remembered(shots):
    masks = SceneMasks()
    for shot in shots[:3]:
        masks.see(shot)
    with pytest.raises(KeyError):
        masks.outline(shots[0].frame, shots[0].boxes)
    assert masks.outline(shots[2].frame, shots[2].boxes).shape == (len(shots[2].ids), *GRID)
