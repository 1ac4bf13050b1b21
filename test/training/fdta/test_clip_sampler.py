"""Which clips there are: what holds for any sequences, and what follows from what."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_footage import MadeFootage

from mot_perception.errors import UserError
from mot_perception.training.fdta.sampler import fitting, plans

MASKS = st.lists(st.lists(st.booleans(), min_size=2, max_size=25), min_size=1, max_size=4)


def footages_of(masks):
    return [MadeFootage(f'seq{number}', legal=mask) for number, mask in enumerate(masks)]


def plan(footages, length=5, longest=4, seed=0, epoch=0, **more):
    return plans(footages, length=length, longest_interval=longest, seed=seed, epoch=epoch, **more)


def starts(mask, length):
    return {s for s in range(len(mask) - length + 1) if all(mask[s : s + length])}


@given(MASKS, st.integers(1, 6), st.integers(1, 4), st.integers(0, 3), st.sampled_from([0, 0.3]))
@settings(max_examples=80, deadline=None)
def test_what_holds_of_all_clips(masks, length, longest, epoch, drops):
    footages = footages_of(masks)
    made = plan(footages, length, longest, epoch=epoch, drops=drops)
    for footage, frames in made:
        gaps = set(np.diff(frames).tolist())
        assert len(frames) == length
        assert all(footages[footage].legal()[number] for number in frames)
        assert all(gap > 0 for gap in gaps)
        if not drops:
            assert gaps <= set(range(1, longest + 1))
            assert len(gaps) <= 1
    # One for each frame that a clip can start in.
    expected = [(k, s) for k, mask in enumerate(masks) for s in starts(mask, length)]
    assert sorted((footage, frames[0]) for footage, frames in made) == sorted(expected)


def test_all_intervals_that_fit_are_as_likely():
    footages = [MadeFootage('one', 13)]
    first = [
        next(it.frames for it in plan(footages, 4, 4, epoch=epoch) if it.frames[0] == 0)
        for epoch in range(400)
    ]
    last = [
        next(it.frames for it in plan(footages, 4, 4, epoch=epoch) if it.frames[0] == 6)
        for epoch in range(100)
    ]
    counts = np.bincount([frames[1] for frames in first], minlength=5)
    assert counts[0] == 0
    assert counts[1:].min() > 60  # 100 each on average
    assert {frames[1] - 6 for frames in last} == {1, 2}  # with 3, frame 15 would be needed


def test_illegal_frames_between_do_not_matter_to_longer_intervals():
    legal = np.ones(12, np.bool_)
    legal[[5, 7]] = False
    made = plan([MadeFootage('one', legal=legal)], 4, 2)
    for _, frames in made:
        assert legal[list(frames)].all()
    assert {frames[0] for _, frames in made} == {0, 1, 8}


def test_the_listing_says_nothing_about_the_order():
    names = ['b', 'c', 'a']
    lengths = {'a': 8, 'b': 11, 'c': 9}
    orders = [names, names[::-1], sorted(names)]
    made = []
    for order in orders:
        footages = [MadeFootage(name, lengths[name]) for name in order]
        made.append([(order[it.footage], it.frames) for it in plan(footages, drops=0.2)])
    assert made[0] == made[1] == made[2]


def test_seed_and_epoch_say_all():
    footages = [MadeFootage('a', 30), MadeFootage('b', 20)]
    same = [plan(footages, seed=3, epoch=2, drops=0.2) for _ in range(2)]
    assert same[0] == same[1]
    assert plan(footages, seed=3, epoch=1) != plan(footages, seed=3, epoch=2)
    assert plan(footages, seed=4, epoch=2) != plan(footages, seed=3, epoch=2)


def test_an_epoch_can_be_cut_short():
    footages = [MadeFootage('a', 30), MadeFootage('b', 20)]
    everything, few = plan(footages), plan(footages, most=7)
    assert len(everything) == 26 + 16
    assert [it[:1] + it.frames[:1] for it in few] == [
        it[:1] + it.frames[:1] for it in everything[:7]
    ]
    assert len({it.footage for it in plan(footages, most=12)}) == 2


def test_frames_are_lost_on_the_way():
    made = plan([MadeFootage('a', 400)], 20, 2, drops=0.25)
    gaps = np.concatenate([np.diff(it.frames) / np.diff(it.frames).min() for it in made])
    assert (gaps == np.rint(gaps)).all()  # multiples of the clip's interval
    uneven = np.mean([len(set(np.diff(it.frames))) > 1 for it in made])
    assert uneven > 0.8  # but those near the end
    assert 0.15 < (gaps > 1).mean() < 0.3


def test_a_still_is_repeated():
    made = plan([MadeFootage('still', 1), MadeFootage('a', 6)], 5)
    assert (0, (0, 0, 0, 0, 0)) in made
    assert len(made) == 3


def test_a_clip_may_be_one_frame():
    assert sorted(it.frames for it in plan([MadeFootage('a', 4)], 1)) == [(0,), (1,), (2,), (3,)]


def test_names_must_differ():
    with pytest.raises(UserError, match='one: two sequences have this name'):
        plan([MadeFootage('one'), MadeFootage('one')])


def test_short_sequences_are_left_out_with_a_note():
    gaps = [True, False] * 10
    footages = [
        MadeFootage('long', 9), MadeFootage('short', 4), MadeFootage('gaps', legal=gaps),
        MadeFootage('still', 1), MadeFootage('empty still', legal=[False]),
    ]  # fmt: skip
    kept, notes = fitting(footages, 5)
    assert [footage.name for footage in kept] == ['long', 'still']
    assert notes == [
        'short: 4 frames, fewer than a clip of 5; left out',
        'gaps: nowhere 5 frames in a row that can be learned from; left out',
        'empty still: 1 frames, fewer than a clip of 5; left out',
    ]


def test_clips_longer_than_all_sequences_are_refused():
    with pytest.raises(UserError, match='short: 4 frames, fewer than a clip of 5; give longer'):
        fitting([MadeFootage('short', 4)], 5)
    with pytest.raises(UserError, match='no sequences'):
        fitting([], 5)
