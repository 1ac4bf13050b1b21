"""Who is paired with whom, against loops over objects."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

pytest.importorskip('torch')

import torch
from made_stores import made_shard

from mot_perception.training.pairs import FramePair, Pairs, chains
from mot_perception.training.processes import Processes
from mot_perception.training.shard import FORMS

CROPPED = FORMS['cropped']


def spoiled(seed=0):
    """A shard with all that keeps objects out: unseen, unreliable, unknown, none before."""
    random = np.random.default_rng(seed)
    shard = made_shard(seed, frames=8, objects=5, follows=[False, True, True, False] + [True] * 4)
    coin = lambda: random.random(len(shard)) < 0.7  # noqa: E731
    return replace(
        shard,
        identity=np.where(coin(), shard.identity, -1),
        reliable=coin(),
        now=replace(shard.now, seen=coin()),
        before=replace(shard.before, seen=coin()),
    )


def by_loops(shard, first, second):
    """Rows of the objects that two frames share."""
    return {
        (i, j)
        for i in range(len(shard))
        for j in range(len(shard))
        if shard.frame[i] == first
        and shard.frame[j] == second
        and shard.identity[i] == shard.identity[j] >= 0
        and shard.now.seen[i]
        and shard.before.seen[j]
        and shard.reliable[i]
        and shard.reliable[j]
    }


def test_pairs_are_those_of_a_loop():
    shards = [spoiled(0), spoiled(1)]
    wanted = [
        FramePair(number, frame, frame + 1)
        for number, shard in enumerate(shards)
        for frame in range(7)
        if shard.follows[frame + 1] and by_loops(shard, frame, frame + 1)
    ]
    assert Pairs(shards, CROPPED, 'identity').neighbours() == wanted
    assert {pair.shard for pair in wanted} == {0, 1}
    assert not any(pair.second == 3 for pair in wanted)


def test_batch_holds_the_maps_of_its_pairs():
    shards = [spoiled(0), spoiled(1)]
    pairs = Pairs(shards, CROPPED, 'identity')
    chosen = pairs.neighbours()[::3]
    batch = pairs.read(chosen)
    found = set()
    for k in range(len(batch.pair)):
        pair = chosen[batch.pair[k]]
        shard = shards[pair.shard]
        for i, j in by_loops(shard, pair.first, pair.second):
            now, before = (
                torch.from_numpy(maps.maps(np.array([row]), CROPPED)[0])
                for maps, row in ((shard.now, i), (shard.before, j))
            )
            if torch.equal(batch.maps[batch.one[k]], now):
                torch.testing.assert_close(batch.maps[batch.other[k]], before)
                np.testing.assert_array_equal(batch.place[batch.one[k]], shard.now.place[i])
                np.testing.assert_array_equal(batch.place[batch.other[k]], shard.before.place[j])
                found.add((pair, i, j))
    assert len(found) == len(batch.pair)
    assert len(found) == sum(len(by_loops(shards[p.shard], p.first, p.second)) for p in chosen)
    shown = [
        [shards[p.shard].now.seen[shards[p.shard].frame == p.first].sum() for p in chosen],
        [shards[p.shard].before.seen[shards[p.shard].frame == p.second].sum() for p in chosen],
    ]
    assert len(batch.maps) == np.sum(shown)
    assert pairs.largest(chosen) == np.max(shown)


def test_no_pairs_make_an_empty_batch():
    pairs = Pairs([made_shard()], CROPPED, 'identity')
    batch = pairs.read([])
    assert batch.maps.shape == (0, 2, 32, 32)
    assert batch.place.shape == (0, 7)
    assert len(batch.one) == len(batch.other) == len(batch.pair) == 0
    assert pairs.largest([]) == 0


def test_epochs_are_shuffled_complete_and_the_same_again():
    pairs = Pairs([made_shard(0), made_shard(1)], CROPPED, 'identity')
    one, again, next_one, other = (
        pairs.epoch(seed, epoch, 4) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert one == again
    assert one != next_one
    assert one != other
    for epoch in (one, next_one, other):
        assert [len(batch) for batch in epoch] == [4, 4, 2]
        assert sorted(chain(*epoch)) == sorted(pairs.neighbours())


def test_processes_share_each_batch():
    pairs = Pairs([made_shard(0), made_shard(1)], CROPPED, 'identity')
    shares = [Processes(torch.device('cpu'), rank, 3) for rank in range(3)]
    for batch in pairs.epoch(0, 0, 4):
        split = [list(it.share(batch)) for it in shares]
        assert sorted(chain(*split)) == sorted(batch)
        assert max(map(len, split)) - min(map(len, split)) <= 1


def test_longer_gaps_reach_as_far_as_they_may():
    shard = made_shard(frames=12, follows=[False] + [True] * 6 + [False] + [True] * 4)
    pairs = Pairs([shard], CROPPED, 'identity')
    gaps = set()
    for epoch in range(20):
        for batch in pairs.epoch(0, epoch, 5, longest=3):
            gaps |= {pair.second - pair.first for pair in batch}
            assert all(shard.follows[pair.second] for pair in batch)
            assert all(pair.second < 12 for pair in batch)
    assert gaps == {1, 2, 3}


def test_chains_follow_who_overlaps_most():
    shard = made_shard(frames=3, objects=3)
    rows = [(0, 3), (0, 4), (1, 4), (2, 5), (3, 7), (4, 6), (4, 7)]
    overlap = [0.9, 0.6, 0.7, 0.3, 0.55, 0.6, 0.8]
    who = chains(
        replace(shard, overlap_rows=np.array(rows), overlap=np.array(overlap, np.float32))
    )
    assert who[3] == who[0]  # most of both
    assert who[4] == who[1]
    assert who[5] != who[2]  # too little
    assert who[7] == who[4]  # 3 overlaps it less
    assert who[6] not in who[:6]  # 4 overlaps another more
    assert len(set(who[6:])) == 3


def test_overlap_finds_what_identities_say():
    shards = [made_shard(seed, frames=9) for seed in range(3)]
    batches = [Pairs(shards, CROPPED, by) for by in ('identity', 'overlap')]
    one, other = (
        {(*map(int, row),) for row in zip(batch.pair, batch.one, batch.other, strict=True)}
        for batch in (pairs.read(pairs.neighbours()) for pairs in batches)
    )
    assert one == other
    gaps = [pairs.epoch(0, 0, 100, longest=5) for pairs in batches]
    assert gaps[0] == gaps[1]
