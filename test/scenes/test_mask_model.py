"""The mask model errs as it says, as often as it says, and the same again for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.scenes import mask_model
from mot_perception.scenes.mask_model import MaskModel, Silhouettes

GRID = 70, 104
CHANCES = 'EDGE', 'LEAK', 'LOST', 'SWAP'


@pytest.fixture
def faultless(monkeypatch):
    """No errors but what a box means."""
    for name in CHANCES:
        monkeypatch.setattr(mask_model, name, 0.0)


def view(*people, visibility=None):
    """People as full boxes of cells, the later in front of the earlier."""
    owner = np.zeros(GRID, np.uint16)
    for who, (left, top, right, bottom) in enumerate(people, 1):
        owner[top:bottom, left:right] = who
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in people]
    shown = [(owner == who).sum() / area for who, area in enumerate(areas, 1)]
    return Silhouettes(
        owner,
        np.arange(1, len(people) + 1),
        np.array(people, float).reshape(-1, 4),
        np.array(visibility or shown),
    )


BEHIND, FRONT, ASIDE = (20, 10, 40, 60), (34, 12, 54, 66), (80, 10, 100, 60)


def masks(now, before=None, boxes=None, seed=0):
    return MaskModel(seed)(before or now, now, now.xyxy if boxes is None else boxes)


def test_without_errors_masks_are_silhouettes(faultless):
    now, before = view(BEHIND, FRONT), view((18, 10, 38, 60), (36, 12, 56, 66))
    current, previous = masks(now, before)
    for who in (1, 2):
        np.testing.assert_array_equal(current[who - 1], now.owner == who)
        np.testing.assert_array_equal(previous[who - 1], before.owner == who)


def test_the_box_of_who_is_hidden_is_answered_by_who_hides_him(faultless):
    now = view((30, 12, 50, 66), (34, 12, 54, 66), visibility=[0.01, 1.0])
    current, _ = masks(now)
    np.testing.assert_array_equal(current[0], now.owner == 2)


def test_a_box_of_nobody_is_the_ground_in_its_middle(faultless):
    now = view(BEHIND)
    current, previous = masks(now, boxes=np.array([[60.0, 10, 100, 50], [30.0, 10, 100, 70]]))
    np.testing.assert_array_equal(current, previous)
    assert current[0].sum() == pytest.approx(np.pi / 4 * 40 * 40, rel=0.03)
    assert not (current[1] & (now.owner > 0)).any()


def test_no_boxes_and_nobody_there():
    empty = view()
    current, previous = masks(empty)
    assert current.shape == previous.shape == (0, *GRID)
    current, _ = masks(empty, boxes=np.array([[np.nan] * 4, [0.0, 0, 0, 0]]))
    assert not current.any()


def test_the_same_again():
    now = view(BEHIND, FRONT, ASIDE)
    for one, other in zip(masks(now, seed=3), masks(now, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (masks(now, seed=3)[0] != masks(now, seed=4)[0]).any()


def test_edges_waver_by_one_cell(faultless, monkeypatch):
    monkeypatch.setattr(mask_model, 'EDGE', 0.2)
    now = view(ASIDE)
    (current,), _ = masks(now)
    left, top, right, bottom = ASIDE
    assert current[top + 1 : bottom - 1, left + 1 : right - 1].all()
    outside = current.copy()
    outside[top - 1 : bottom + 1, left - 1 : right + 1] = False
    assert not outside.any()
    assert 0 < (current != (now.owner == 1)).sum() < 140


def shares(what, frames=600):
    """Run many frames of two who overlap; return how often something holds of the one behind."""
    now, model = view(BEHIND, FRONT), MaskModel(1)
    return np.mean(
        [what(*(it[0] for it in model(now, now, now.xyxy)), now) for _ in range(frames)]
    )


def test_a_mask_jumps_to_the_neighbour_as_often_as_said(faultless, monkeypatch):
    monkeypatch.setattr(mask_model, 'CROWDED', 0.1)
    monkeypatch.setattr(mask_model, 'SWAP', 0.2)
    jumped = shares(lambda _, past, now: np.array_equal(past, now.owner == 2))
    assert jumped == pytest.approx(0.2, abs=0.05)


def test_a_leak_begins_and_lasts_as_said(faultless, monkeypatch):
    monkeypatch.setattr(mask_model, 'LEAK', 0.05)
    leaks = shares(lambda current, _, now: bool((current & (now.owner == 2)).any()))
    begins, ends = 0.05, 1 - mask_model.LEAK_STAYS
    assert leaks == pytest.approx(begins / (begins + ends), abs=0.1)


def test_nobody_leaks_who_stands_alone(faultless, monkeypatch):
    monkeypatch.setattr(mask_model, 'LEAK', 1.0)
    now = view(ASIDE)
    (current,), _ = masks(now)
    np.testing.assert_array_equal(current, now.owner == 1)


@pytest.mark.parametrize(('visibility', 'chance'), [(0.5, 0.0), (0.15, 0.3), (0.0, 0.6)])
def test_who_is_nearly_hidden_is_lost_as_often_as_said(faultless, monkeypatch, visibility, chance):
    monkeypatch.setattr(mask_model, 'LOST', 0.6)
    monkeypatch.setattr(mask_model, 'HIDDEN', 0.0)  # the box means him, however little is seen
    now, model = view(ASIDE, visibility=[visibility]), MaskModel(2)
    lost = [not model(now, now, now.xyxy)[0].any() for _ in range(300)]
    assert np.mean(lost) == pytest.approx(chance, abs=0.08)
