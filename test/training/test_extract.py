"""What is stored is what the running tracker shows its encoder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch')

import cv2
import tiny_networks
import torch
from made_stores import CONFIG, rendered
from safetensors.torch import load_file, save_file

from mot_perception.bags.source import open_source
from mot_perception.config import parse_config
from mot_perception.depthseg.representation import cropped, full_frame
from mot_perception.errors import UserError
from mot_perception.models import Models
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.pipeline import Pipeline
from mot_perception.training import extract as extraction
from mot_perception.training.extract import extract, models_for, store_for
from mot_perception.training.pairs import Pairs
from mot_perception.training.store import open_store
from mot_perception.types import Detections


def stored(folder, sequences, *, config=CONFIG, form='cropped', boxes='truth', limit=None):
    """Extract, and return the store and the first sequence's shards."""
    models = models_for(config, detect=False)
    store = store_for(folder, config, models, form, boxes, limit)
    extract(sequences, store, config, models)
    store = open_store(folder)
    return store, store.read(store.sequences[0])


class Listening:
    """An encoder that keeps what it is shown on-line."""

    name = 'listening'

    def __init__(self, represent):
        self.represent, self.calls = represent, []

    def embed(self, depth, masks):
        self.calls.append(self.represent(torch.tensor(depth), torch.tensor(masks)))
        return np.zeros((len(masks), 3), np.float32), np.zeros(len(masks), np.bool_)


@pytest.mark.parametrize('previous_depth', ['own', 'current'])
@pytest.mark.parametrize(('form', 'represent'), [('cropped', cropped), ('full_frame', full_frame)])
def test_stored_maps_are_those_of_the_tracker(tmp_path, form, represent, previous_depth):
    config = parse_config(
        {
            **CONFIG.model_dump(include={'depth', 'masks'}),
            'depthseg': {'previous_depth': previous_depth},
        },
        'test',
    )
    sequence = rendered(drop_rate=0.3, frames=9)
    store, (shard,) = stored(tmp_path, [sequence], config=config, form=form)
    encoder = Listening(represent)
    pipeline = Pipeline(config, Models(masks=DepthConsistentMasks(), depthseg=encoder))
    indices = []
    for number, item in enumerate(sequence):
        indices.append(item.frame.index)
        pipeline.step(item.frame, Detections.of(item.ground_truth.xyxy))
        rows = np.flatnonzero(shard.frame == number)
        np.testing.assert_array_equal(shard.identity[rows], item.ground_truth.ids)
        np.testing.assert_array_equal(shard.xyxy[rows], item.ground_truth.xyxy.astype(np.float32))
        before, now = encoder.calls[-2:]
        for shown, kept in ((now, shard.now), (before, shard.before)):
            maps = torch.from_numpy(kept.maps(rows, store.form))
            assert torch.equal(maps, shown.maps.half())
            np.testing.assert_array_equal(kept.place[rows], shown.place)
            np.testing.assert_array_equal(kept.seen[rows], shown.seen)
    assert shard.now.seen.any()
    assert shard.index.tolist() == indices
    assert store.sequences[0].dropped == indices[-1] + 1 - len(indices) - indices[0] > 0
    assert shard.follows.tolist() == [False] + [True] * (len(indices) - 1)


def test_larger_images_take_no_more_of_the_disk(tmp_path):
    """Masks of full resolution would take 16 times as much."""
    sizes = []
    for width in (160, 640):
        stored(tmp_path / str(width), [rendered(width=width, frames=2)])
        sizes.append(sum(file.stat().st_size for file in (tmp_path / str(width)).iterdir()))
    assert sizes[1] < 1.3 * sizes[0]


def test_overlap_pairs_agree_with_identities(tmp_path):
    store, shards = stored(tmp_path, [rendered(figures=4, frames=10)])
    known, found = (Pairs(shards, store.form, by) for by in ('identity', 'overlap'))
    assert known.neighbours() == found.neighbours()
    for pair in known.neighbours():
        one, other = known.read([pair]), found.read([pair])
        said = set(zip(one.one.tolist(), one.other.tolist(), strict=True))
        assert set(zip(other.one.tolist(), other.other.tolist(), strict=True)) == said


def test_boxes_of_a_detector_have_no_identities(tmp_path):
    change = lambda item: replace(  # noqa: E731
        item, detections=Detections.of(item.ground_truth.xyxy), ground_truth=None
    )
    store, (shard,) = stored(tmp_path, [rendered(change=change)], boxes='detections')
    assert (shard.identity == -1).all()
    assert Pairs([shard], store.form, 'overlap').neighbours()
    assert not Pairs([shard], store.form, 'identity').neighbours()


def test_frames_without_truth_or_depth_are_stepped_over(tmp_path):
    def change(item):
        if item.frame.index == 2:
            nobody = replace(item.ground_truth, ids=np.empty(0, np.int64), xyxy=np.empty((0, 4)))
            return replace(item, ground_truth=nobody)
        if item.frame.index == 5:
            return replace(item, frame=replace(item.frame, depth=None))
        return item

    store, (shard,) = stored(tmp_path, [rendered(change=change)])
    assert shard.index.tolist() == list(range(8))
    assert not set(shard.frame) & {2, 5}
    assert np.flatnonzero(~shard.follows).tolist() == [0, 5, 6]  # nothing before 6 to follow to
    pairs = Pairs([shard], store.form, 'identity').neighbours()
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (3, 4), (6, 7)]


def test_extraction_goes_on_where_it_was_stopped(tmp_path):
    seen = []

    def follow(items, name, length):
        for item in items:
            seen.append(name)
            if len(seen) == 12:
                raise KeyboardInterrupt
            yield item

    sequences = [rendered('a'), rendered('b', 1)]
    models = models_for(CONFIG, detect=False)
    store = store_for(tmp_path / 'one', CONFIG, models, 'cropped', 'truth', None)
    with pytest.raises(KeyboardInterrupt):
        extract(sequences, store, CONFIG, models, follow)
    assert [it.name for it in open_store(tmp_path / 'one').sequences] == ['a']
    seen = [''] * 100
    again = store_for(tmp_path / 'one', CONFIG, models, 'cropped', 'truth', None)
    extract(sequences, again, CONFIG, models, follow)
    assert set(seen[100:]) == {'b'}
    whole, _ = stored(tmp_path / 'two', sequences)
    assert again.sha256 == whole.sha256


def test_changed_source_is_extracted_again(tmp_path):
    file = tmp_path / 'source'
    file.write_text('a')
    sequence = replace(rendered(frames=2), input_files=[file])
    before, _ = stored(tmp_path / 'store', [sequence])
    file.write_text('other')
    after, _ = stored(tmp_path / 'store', [sequence])
    assert before.sequences[0].source != after.sequences[0].source


def test_long_sequences_become_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, 'FRAMES_PER_SHARD', 3)
    store, shards = stored(tmp_path, [rendered()])
    assert [len(shard.index) for shard in shards] == [3, 3, 2]
    assert [shard.follows[0] for shard in shards] == [False] * 3
    assert store.sequences[0].frames == 8
    assert len(Pairs(shards, store.form, 'identity').neighbours()) == 5


def test_limit_counts_frames_of_each_sequence(tmp_path):
    store, _ = stored(tmp_path, [rendered('a'), rendered('b', 1)], limit=3)
    assert [it.frames for it in store.sequences] == [3, 3]


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match=r'depth\.backend and masks\.backend must be set'):
        models_for(parse_config({}, 'test'), detect=False)
    no_truth = rendered(change=lambda item: replace(item, ground_truth=None))
    with pytest.raises(UserError, match='scene: has no ground truth; add it, or take --boxes'):
        stored(tmp_path / 'a', [no_truth])
    with pytest.raises(UserError, match='scene: two sequences have this name'):
        stored(tmp_path / 'b', [rendered(), rendered()])


def test_other_depth_is_another_recipe(tmp_path):
    stored(tmp_path, [rendered(frames=2)])
    other = parse_config(
        {
            **CONFIG.model_dump(include={'depth', 'masks'}),
            'depthseg': {'previous_depth': 'current'},
        },
        'test',
    )
    with pytest.raises(UserError, match="was made with previous_depth 'own', not 'current'"):
        stored(tmp_path, [rendered(frames=2)], config=other)
    recipe = json.loads((tmp_path / 'manifest.json').read_text())['recipe']
    assert recipe['models'] == {'masks': 'depth'}


def mot_folder(folder):
    """Write a rendered scene as a MOTChallenge sequence with images."""
    (folder / 'img1').mkdir(parents=True)
    (folder / 'gt').mkdir()
    rows = []
    for number, item in enumerate(rendered(frames=3), 1):
        cv2.imwrite(str(folder / 'img1' / f'{number:06}.jpg'), item.frame.image)
        for identity, (x1, y1, x2, y2) in zip(*vars_of(item.ground_truth), strict=True):
            rows.append(f'{number},{identity},{x1},{y1},{x2 - x1},{y2 - y1},1,1,1')
    (folder / 'gt' / 'gt.txt').write_text('\n'.join(rows))
    (folder / 'seqinfo.ini').write_text('[Sequence]\nname=a\nframeRate=30\nseqLength=3\n')
    return folder


def vars_of(truth):
    return truth.ids.tolist(), truth.xyxy.tolist()


def test_depth_of_a_network_is_part_of_the_recipe(tmp_path):
    """A MOTChallenge folder with images; the same network with other weights is refused."""
    network = tiny_networks.depth_estimator(tmp_path / 'depth')
    config = parse_config(
        {
            'depth': {'backend': 'transformers', 'model': str(network)},
            'masks': {'backend': 'depth'},
            'models': {'device': 'cpu'},
        },
        'test',
    )
    sequences = open_source(mot_folder(tmp_path / 'sequence'))
    store, (shard,) = stored(tmp_path / 'store', sequences, config=config)
    assert store.recipe['models']['depth'].startswith('depth (sha256 ')
    assert len(shard) > 0
    (file,) = network.glob('*.safetensors')
    weights = {name: tensor + 0.01 for name, tensor in load_file(file).items()}
    save_file(weights, file, {'format': 'pt'})
    with pytest.raises(UserError, match=r'was made with models .*sha256 .*, not .*sha256'):
        stored(tmp_path / 'store', sequences, config=config)
