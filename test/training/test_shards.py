"""Stores hold what was put in, say what it was made of, and are never believed blindly."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip('torch')

from made_stores import made_shard, made_store

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest
from mot_perception.training.pairs import Pairs
from mot_perception.training.shard import FORMS, PackedMaps, read_shard, write_shard
from mot_perception.training.split import split
from mot_perception.training.store import MANIFEST, ShardFile, begin_store, open_store

CROPPED = FORMS['cropped']


def same(one, other):
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, PackedMaps):
            same(a, b)
        else:
            np.testing.assert_array_equal(a, b, field.name)
            assert a.dtype == b.dtype, field.name


@pytest.mark.parametrize('form', FORMS)
def test_packing_loses_nothing_but_half_of_the_digits(form):
    shape = FORMS[form]
    random = np.random.default_rng(0)
    maps = np.full((5, shape.channels, shape.side, shape.side), shape.background, np.float32)
    maps[1, 0, 3:9, 4:5] = random.normal(size=(6, 1))
    maps[2, -1, -1, -1] = 7
    maps[3] = random.normal(size=maps.shape[1:])
    maps[4, 0, 0, 0] = 1e9  # more than a float16 can hold
    place, seen = np.zeros((5, shape.places), np.float32), np.ones(5, np.bool_)
    packed = PackedMaps.of(maps, place, seen, shape)
    wanted = maps.clip(-65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(packed.maps(np.arange(5), shape), wanted)
    np.testing.assert_array_equal(packed.maps(np.array([3, 0]), shape), wanted[[3, 0]])
    assert len(packed.values) == shape.channels * (6 + 1 + shape.side**2 + 1)
    pieces = [PackedMaps.of(maps[k:][:2], place[k:][:2], seen[k:][:2], shape) for k in (0, 2, 4)]
    same(PackedMaps.joined(pieces, shape), packed)


def test_shard_comes_back(tmp_path):
    shard = made_shard()
    write_shard(tmp_path / 'a.safetensors', shard)
    same(read_shard(tmp_path / 'a.safetensors', CROPPED), shard)


def test_store_comes_back(tmp_path):
    made_store(tmp_path / 'store', 2)
    store = open_store(tmp_path / 'store')
    assert [it.name for it in store.sequences] == ['s0', 's1']
    assert (store.sequences[0].frames, store.sequences[0].objects) == (6, 24)
    same(store.read(store.sequences[1])[0], made_shard(1))


def test_dropped_frames_are_counted_within_and_between_shards(tmp_path):
    store = made_store(tmp_path, 0)
    parts = [
        replace(made_shard(k), index=np.array(index))
        for k, index in enumerate([[5, 6, 7, 9, 10, 11], [14, 15, 16, 17, 18, 20]])
    ]
    assert store.add('long', 'made', parts).dropped == 1 + 2 + 1
    assert store.sequences[0].frames == 12


def test_replaced_sequence_leaves_nothing_behind(tmp_path):
    store = made_store(tmp_path, 2)
    before = store.sha256
    store.add('s0', 'changed', [made_shard(9)])
    same(open_store(tmp_path).read(store.sequences[0])[0], made_shard(9))
    assert len(list(tmp_path.iterdir())) == 3
    assert store.sha256 != before
    assert store.has('s0', 'changed')
    assert not store.has('s0', 'made')


def test_other_settings_are_refused(tmp_path):
    made_store(tmp_path)
    recipe = {'form': 'cropped', 'models': {}}
    chosen = {'boxes': 'truth', 'limit': None}
    assert len(begin_store(tmp_path, recipe, chosen).sequences) == 4
    with pytest.raises(UserError, match="was made with form 'cropped', not 'full_frame'"):
        begin_store(tmp_path, {**recipe, 'form': 'full_frame'}, chosen)
    with pytest.raises(UserError, match=r"models \{\}, not \{'depth': 'x \(sha256 1\)'\}"):
        begin_store(tmp_path, {**recipe, 'models': {'depth': 'x (sha256 1)'}}, chosen)
    with pytest.raises(UserError, match='limit None, not 7; extract with the same'):
        begin_store(tmp_path, recipe, {**chosen, 'limit': 7})


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    with pytest.raises(UserError, match='is no store'):
        begin_store(tmp_path, {'form': 'cropped'}, {})
    with pytest.raises(UserError, match=r'manifest\.json: cannot be read'):
        open_store(tmp_path)


def test_stores_of_different_recipes_are_not_mixed(tmp_path):
    one, other = made_store(tmp_path / 'a'), made_store(tmp_path / 'b')
    other.recipe['models'] = {'masks': 'sam2 (sha256 2)'}
    with pytest.raises(UserError, match=r'b: made with another models than .*a; extract both'):
        split([one, other], [], 'identity', 0)


def test_sequences_are_either_learned_from_or_held_out(tmp_path):
    store = made_store(tmp_path / 'a', 6)
    data = split([store], [], 'identity', 0)
    assert len(data.held_out_names) == 2
    assert len(data.learned.neighbours()) == 4 * 5
    assert split([store], [], 'identity', 0).held_out_names == data.held_out_names
    other = made_store(tmp_path / 'b', 1, noise=0.2)
    assert split([store], [other], 'identity', 0).held_out_names == ('s0',)
    with pytest.raises(UserError, match='s0: both learned from and held out'):
        split([store], [made_store(tmp_path / 'c', 1)], 'identity', 0)
    with pytest.raises(UserError, match='1 sequence is not enough to hold one out'):
        split([other], [], 'identity', 0)


def test_nothing_to_pair_is_said(tmp_path):
    store = made_store(tmp_path, 0)
    for name in 'ab':
        shard = made_shard()
        nobody = np.full_like(shard.identity, -1)
        store.add(name, 'made', [replace(shard, identity=nobody)])
    with pytest.raises(UserError, match='take --pairs overlap where there are no identities'):
        split([store], [], 'identity', 0)
    assert len(split([store], [], 'overlap', 0).learned.neighbours()) == 5


def rewritten(folder, shard_bytes):
    """Replace the bytes of the only shard, and believe in them."""
    store = open_store(folder)
    (sequence,) = store.sequences
    file = folder / sequence.shards[0].file
    file.write_bytes(shard_bytes)
    return store, replace(sequence, shards=(ShardFile(file.name, digest(file)),))


def test_changed_shard_is_refused(tmp_path):
    store = made_store(tmp_path, 1)
    (file,) = tmp_path.glob('*.safetensors')
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r'not what manifest\.json says; extract the store again'):
        store.read(store.sequences[0])
    file.unlink()
    with pytest.raises(UserError, match='missing, or not'):
        store.read(store.sequences[0])


WRONG = {
    'index': lambda a: a[::-1],
    'follows': lambda a: a[:-1],
    'frame': lambda a: a + 1,
    'identity': lambda a: a.astype(np.float32),
    'xyxy': lambda a: a[:, :3],
    'reliable': lambda a: a.astype(np.uint8),
    'overlap_rows': lambda a: a + 1000,
    'overlap': lambda a: a[1:],
}


@pytest.mark.parametrize('name', WRONG)
def test_shard_with_an_impossible_array_is_refused(tmp_path, name):
    shard = made_shard()
    write_shard(tmp_path / 'a', replace(shard, **{name: WRONG[name](getattr(shard, name))}))
    with pytest.raises(UserError, match=r'no shard of this store .*; extract it again'):
        read_shard(tmp_path / 'a', CROPPED)


WRONG_MAPS = {
    'place': lambda a: a * np.nan,
    'seen': lambda a: a[1:],
    'rectangle': lambda a: a + 16,
    'start': lambda a: a[::-1],
    'values': lambda a: np.append(a, a[:1]),
}


@pytest.mark.parametrize('name', WRONG_MAPS)
def test_shard_with_impossible_maps_is_refused(tmp_path, name):
    shard = made_shard()
    maps = replace(shard.now, **{name: WRONG_MAPS[name](getattr(shard.now, name))})
    write_shard(tmp_path / 'a', replace(shard, now=maps))
    with pytest.raises(UserError, match='no shard of this store'):
        read_shard(tmp_path / 'a', CROPPED)


def test_shard_of_the_other_form_is_refused(tmp_path):
    write_shard(tmp_path / 'a', made_shard())
    with pytest.raises(UserError, match='no shard of this store'):
        read_shard(tmp_path / 'a', FORMS['full_frame'])


def test_damaged_bytes_are_refused_or_harmless(tmp_path):
    made_store(tmp_path, 1, frames=3, objects=2)
    (file,) = tmp_path.glob('*.safetensors')
    good = file.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    cuts = [good[:length] for length in (0, 7, 8, 100, len(good) - 1)]
    flipped = []
    for _ in range(60):
        content = bytearray(good)
        content[int(random.integers(0, 3500))] = int(random.integers(256))  # header and indices
        flipped.append(bytes(content))
    for content in cuts + flipped:
        store, sequence = rewritten(tmp_path, content)
        try:
            shards = store.read(sequence)
        except UserError as error:
            refused += 1
            assert '\n' not in str(error)
        else:
            pairs = Pairs(shards, CROPPED, 'overlap')
            pairs.read(pairs.neighbours())
    assert refused >= len(cuts)


@pytest.mark.parametrize(
    'change',
    [
        lambda it: [],
        lambda it: {},
        lambda it: {**it, 'version': 2},
        lambda it: {**it, 'recipe': {**it['recipe'], 'form': 'full_frame'}},
        lambda it: {**it, 'recipe': {**it['recipe'], 'form': []}},
        lambda it: {**it, 'sequences': 3},
        lambda it: {**it, 'sequences': [{**it['sequences'][0], 'frames': '9'}]},
        lambda it: {**it, 'sequences': [{**it['sequences'][0], 'more': 1}]},
        lambda it: {
            **it,
            'sequences': [
                {**it['sequences'][0], 'shards': [{'file': '../../etc/passwd', 'sha256': ''}]}
            ],
        },
    ],
)
def test_foreign_manifest_is_refused(tmp_path, change):
    made_store(tmp_path, 1)
    file = tmp_path / MANIFEST
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(UserError, match=r'manifest\.json: (damaged|of another version); extract'):
        open_store(tmp_path)
