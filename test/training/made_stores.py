"""Stores to train on: rendered scenes, and objects that were never seen by anybody."""

from __future__ import annotations

import numpy as np

from mot_perception.bags.sequence import GroundTruth, Item, Sequence
from mot_perception.config import parse_config
from mot_perception.scenes.scene import make_scene
from mot_perception.training.shard import FORMS, PackedMaps, Shard
from mot_perception.training.store import Store

CONFIG = parse_config({'depth': {'backend': 'topic'}, 'masks': {'backend': 'depth'}}, 'test')


def rendered(
    name='scene', seed=0, *, figures=3, frames=8, width=160, change=lambda item: item, **options
):
    """A sequence of people who walk, with depth and ground truth; `change` spoils its items."""
    scene = make_scene(
        figures=figures, frames=frames, width=width, height=width * 9 // 16, seed=seed, **options
    )

    def items():
        for shot in scene:
            seen = shot.visibility >= 0.1
            yield change(Item(shot.frame, None, GroundTruth(shot.ids[seen], shot.boxes[seen])))

    return Sequence(name, 30.0, width, width * 9 // 16, len(scene), True, False, [], items)


def made_shard(seed=0, *, frames=6, objects=4, form='cropped', noise=0.1, follows=None):
    """Similar objects, each of constant look and place, in all frames, in shuffled order."""
    random = np.random.default_rng(seed)
    shape = FORMS[form]
    everybodys = np.random.default_rng(0).uniform(-1, 1, (shape.channels, shape.side, shape.side))
    looks = everybodys + random.uniform(-0.3, 0.3, (objects, *everybodys.shape))
    places = random.uniform(0.2, 0.25, (objects, shape.places))
    order = np.concatenate([random.permutation(objects) for _ in range(frames)])

    def seen_again():
        maps = looks[order] + random.normal(0, noise, (len(order), *looks.shape[1:]))
        maps[:, :, : shape.side // 4] = shape.background
        place = places[order] + random.normal(0, noise / 10, (len(order), shape.places))
        seen = np.ones(len(order), np.bool_)
        return PackedMaps.of(maps.astype(np.float32), place.astype(np.float32), seen, shape)

    frame = np.repeat(np.arange(frames), objects)
    same = (frame[:, None] + 1 == frame) & (order[:, None] == order)
    return Shard(
        index=np.arange(frames),
        stamp_ns=np.arange(frames) * 33_000_000,
        follows=np.arange(frames) > 0 if follows is None else np.array(follows),
        frame=frame,
        identity=order,
        xyxy=np.zeros((len(order), 4), np.float32),
        reliable=np.ones(len(order), np.bool_),
        now=seen_again(),
        before=seen_again(),
        overlap_rows=np.argwhere(same),
        overlap=np.full(same.sum(), 0.9, np.float32),
    )


def made_store(folder, sequences=4, *, form='cropped', **options):
    store = Store(folder, {'form': form, 'models': {}}, {'boxes': 'truth', 'limit': None})
    for number in range(sequences):
        store.add(f's{number}', 'made', [made_shard(number, form=form, **options)])
    return store
