"""Run lengths of enlarged masks, against pictures that are really enlarged."""

from __future__ import annotations

import tracemalloc
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.messages import mask_rle
from mot_perception.messages.mask_rle import (
    cells_of_pixels,
    decode_runs,
    run_lengths,
    track_runs,
)
from mot_perception.types import Frame, TrackedFrame, Tracks


def enlarged(mask, width, height):
    """Each pixel is that of the cell which its centre lies in."""
    rows, columns = mask.shape
    picture = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            # (x + 1/2) / width of the way, in whole numbers
            picture[y, x] = mask[(2 * y + 1) * rows // (2 * height)][
                (2 * x + 1) * columns // (2 * width)
            ]
    return picture


def counted(picture):
    """COCO's run lengths; none of a mask without a pixel."""
    runs = [(colour, len(list(same))) for colour, same in groupby(picture.T.ravel().tolist())]
    if not picture.any():
        return []
    return [0] * runs[0][0] + [length for _, length in runs]


@st.composite
def grids(draw):
    shape = draw(st.integers(0, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    share = draw(st.sampled_from([0, 0.1, 0.5, 0.9, 1]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) < share


sizes = st.integers(1, 20)


@settings(max_examples=300)
@given(grids(), sizes, sizes)
def test_are_those_of_the_enlarged_picture(masks, width, height):
    found = run_lengths(masks, width, height)
    assert [runs.tolist() for runs in found] == [
        counted(enlarged(mask, width, height)) for mask in masks
    ]
    assert all(runs.dtype == np.uint32 for runs in found)


@pytest.mark.filterwarnings('ignore:__array__ implementation')  # of pycocotools
@settings(max_examples=100)
@given(grids(), sizes, sizes)
def test_come_back_here_and_at_coco(masks, width, height):
    coco = pytest.importorskip('pycocotools.mask')
    for mask, runs in zip(masks, run_lengths(masks, width, height), strict=True):
        picture = enlarged(mask, width, height)
        back = decode_runs(runs, width, height)
        assert back.dtype == np.bool_
        np.testing.assert_array_equal(back, picture)
        if len(runs):
            counts = {'size': [height, width], 'counts': runs.tolist()}
            theirs = coco.decode(coco.frPyObjects(counts, height, width))
            np.testing.assert_array_equal(theirs, picture)


def test_extremes():
    whole, nothing = np.ones((1, 3, 3), np.bool_), np.zeros((2, 3, 3), np.bool_)
    assert run_lengths(whole, 5, 4)[0].tolist() == [0, 20]
    assert [len(runs) for runs in run_lengths(nothing, 5, 4)] == [0, 0]
    assert run_lengths(whole[:0], 5, 4) == []
    assert [len(runs) for runs in run_lengths(whole, 0, 0)] == [0]  # of unknown size
    assert [len(runs) for runs in run_lengths(np.ones((2, 0, 3), np.bool_), 5, 4)] == [0, 0]


@given(st.integers(1, 3000), st.integers(1, 300))
def test_a_pixel_belongs_to_the_cell_of_its_centre(pixels, cells):
    found = cells_of_pixels(pixels, cells)
    centre = (np.arange(pixels) + 0.5) * cells / pixels
    assert ((found <= centre + 1e-9) & (centre < found + 1 + 1e-9)).all()
    assert found.min() >= 0
    assert found.max() < cells


@given(grids(), st.integers(0, 200))
def test_the_most_ragged_are_left_out_where_there_are_too_many(masks, most):
    every = run_lengths(masks, 9, 11)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_rle, 'MOST_RUNS', most)
        few = run_lengths(masks, 9, 11)
    kept = [len(runs) for runs in few if len(runs)]
    left_out = [len(full) for full, runs in zip(every, few, strict=True) if len(full) > len(runs)]
    assert sum(kept) - len(kept) <= most
    assert max(kept, default=0) <= min(left_out, default=999)
    for full, runs in zip(every, few, strict=True):
        assert len(runs) in {0, len(full)}
        assert runs.tolist() == full.tolist()[: len(runs)]
    if sum(map(len, every)) <= most:
        assert not left_out


def test_no_picture_is_made():
    """20 masks of 4K are 166 MB."""
    masks = np.zeros((20, 64, 64), np.bool_)
    masks[:, 10:50, 20:40] = True
    run_lengths(masks, 64, 64)
    tracemalloc.start()
    try:
        run_lengths(masks, 3840, 2160)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


class TestHostile:
    @pytest.mark.parametrize(
        'counts',
        [
            [2**32 - 1],
            [2**32 - 1] * 1000,
            [0, 2**32 - 1, 1],
            [1],
            [11],
            [13, 2**32 - 1],
            [0, 0, 0],
        ],
        ids=str,
    )
    def test_counts_of_another_image_take_no_memory(self, counts):
        tracemalloc.start()
        try:
            with pytest.raises(UserError, match=r'here: run lengths of .* in an image of 4×3'):
                decode_runs(np.array(counts, np.uint32), 4, 3, 'here')
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize('size', [(0, 0), (-1, -12), (2**32 - 1, 2**32 - 1), (2**31, 1)])
    def test_sizes(self, size):
        for counts in ([], [2**31], [2**32 - 1] * 4):
            with pytest.raises(UserError, match='here: image of'):
                decode_runs(np.array(counts, np.uint32), *size, 'here')

    def test_empty_runs_are_no_fault(self):
        counts = np.array([0, 0, 2, 0, 0, 4], np.uint32)
        assert decode_runs(counts, 3, 2).tolist() == [[False, True, True]] * 2


def tracked_with(detection, masks, size=(8, 6)):
    n = len(detection)
    columns = {'detection': np.array(detection, np.int64), 'id': np.arange(1, n + 1)}
    return TrackedFrame(Frame(0, 0, *size), Tracks(**columns), masks=masks)


def test_a_track_has_the_mask_of_its_detection():
    masks = np.zeros((3, 2, 2), np.bool_)
    masks[0, 0], masks[2, :, 0] = True, True
    found = track_runs(tracked_with([2, -1, 1, 0], masks))
    first, _, third = run_lengths(masks, 8, 6)
    assert [runs.tolist() for runs in found] == [third.tolist(), [], [], first.tolist()]


def test_without_masks_there_are_none():
    assert [len(runs) for runs in track_runs(tracked_with([0, -1], None))] == [0, 0]
    none = np.zeros((0, 2, 2), np.bool_)
    assert [len(runs) for runs in track_runs(tracked_with([-1, -1], none))] == [0, 0]
