"""The shipped FDTA is the one that the manifest tells of, and does what it says."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

pytest.importorskip('torch')

from mot_perception.config import load_config
from mot_perception.fdta.checkpoint import open_network
from mot_perception.fdta.settings import improved, tiny
from mot_perception.resources import weights
from mot_perception.training.fdta.scene_footage import staged_footages
from mot_perception.training.fdta.scoring import score

FILE = weights('fdta_tiny')


def test_the_file_is_the_one_of_the_manifest():
    entry = json.loads((FILE.parent / 'MANIFEST.json').read_bytes())[FILE.name]
    assert entry['sha256'] == sha256(FILE.read_bytes()).hexdigest()
    assert entry['bytes'] == FILE.stat().st_size < 20e6
    parameters = sum(it.numel() for it in open_network(FILE).parameters())
    assert f'{parameters:,}' in entry['what']


def test_it_is_the_improved_network_in_small():
    assert open_network(FILE).settings == tiny(improved())


def test_it_tracks_people_that_it_has_not_learned_from():
    footages = staged_footages(
        range(100, 102), size=(228, 128), orientation='depth', held_out=True, frames=60
    )
    scores = score(open_network(FILE), footages, load_config('fdta').fdta)
    assert scores['DetA'] > 20
    assert scores['AssA'] > 10
    assert scores['IDF1'] > 20
