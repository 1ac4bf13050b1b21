"""The shipped detector is the one that the manifest describes, and sees the demo's people."""

from __future__ import annotations

import json

import pytest

pytest.importorskip('torch')

from mot_perception.perception.checkpoint import digest
from mot_perception.perception.yolox_checkpoint import ready_yolox
from mot_perception.perception.yolox_detector import YoloxDetector
from mot_perception.resources import weights
from mot_perception.scenes.scene import make_scene
from mot_perception.training.detector_images import labelled
from mot_perception.training.detector_scores import score_detector

FILE = weights('people_nano')
LARGEST = 12_000_000


def test_the_manifest_describes_it():
    entry = json.loads((FILE.parent / 'MANIFEST.json').read_text('utf-8'))[FILE.name]
    assert entry['sha256'] == digest(FILE)
    assert entry['bytes'] == FILE.stat().st_size < LARGEST


def test_it_is_a_nano_of_one_class_that_expects_bgr():
    ready = ready_yolox(FILE)
    assert (ready.size, ready.class_names, ready.pixels) == ('nano', ('person',), 'bgr')


@pytest.mark.parametrize(('height', 'width'), [(0, 0), (256, 416)])
def test_it_sees_the_people_of_the_demo(height, width):
    scene = make_scene(motion='walk', figures=8, frames=450, seed=1)
    seen = [labelled(scene, number) for number in range(10, 450, 40)]
    detector = YoloxDetector(str(FILE), device='cpu', height=height, width=width)
    found = [detector.detect([it.image])[0] for it in seen]
    detector.close()
    scores = score_detector(found, seen)
    assert scores.precision > 0.9
    assert scores.recall > 0.85
    assert scores.birth_recall > 0.75
