"""Where images come from, and that boxes follow their people through every view."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.boxes import iou
from mot_perception.errors import UserError
from mot_perception.perception.letterbox import letterbox
from mot_perception.training import detector_images, staging
from mot_perception.training.detector_augment import random_view, whole_view
from mot_perception.training.detector_images import FolderImages, Labelled, SceneImages
from mot_perception.training.staging import stage

HEIGHT, WIDTH = 64, 96


def white_boxes(*xyxy):
    """Return a black image with a white rectangle for each box."""
    image = np.zeros((180, 320, 3), np.uint8)
    for left, top, right, bottom in xyxy:
        image[top:bottom, left:right] = 255
    return Labelled(image, np.array(xyxy, float).reshape(-1, 4), np.zeros((0, 4)))


def test_the_whole_view_is_that_of_the_detector():
    seen = white_boxes([40, 20, 120, 160])
    view = whole_view(seen, HEIGHT, WIDTH)
    canvas, ratio = letterbox(seen.image, HEIGHT, WIDTH)
    assert (view.image == canvas).all()
    assert view.xyxy == pytest.approx(seen.xyxy * ratio)


@pytest.mark.parametrize('seed', range(40))
def test_a_box_stays_around_its_person(seed, monkeypatch):
    monkeypatch.setattr('mot_perception.training.detector_augment._relit', lambda image, _: image)
    random = np.random.default_rng(seed)
    view = random_view(white_boxes([100, 40, 180, 140]), HEIGHT, WIDTH, random)
    assert view.image.shape == (HEIGHT, WIDTH, 3)
    white = view.image[..., 0] > 128
    boxes = np.concatenate([view.xyxy, view.ignored])
    if not len(boxes):
        assert white.sum() < 0.35 * WIDTH * HEIGHT  # most of the person is beside the view
        return
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    around = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]
    assert boxes == pytest.approx(np.array(around, float), abs=0.8)


def test_views_follow_from_chance_alone():
    seen = white_boxes([100, 40, 180, 140], [10, 10, 60, 150])
    views = [random_view(seen, HEIGHT, WIDTH, np.random.default_rng(5)) for _ in range(2)]
    assert (views[0].image == views[1].image).all()
    assert (views[0].xyxy == views[1].xyxy).all()


def test_people_who_are_too_small_are_ignored():
    view = whole_view(white_boxes([10, 10, 14, 30], [100, 40, 180, 140]), HEIGHT, WIDTH)
    assert len(view.xyxy) == len(view.ignored) == 1


def test_training_and_held_out_scenes_are_others_than_those_of_demos_and_tests():
    first, last = staging.TRAINING_SCENES, staging.HELD_OUT_SCENES
    assert first > 1000
    assert first + staging.SCENES <= last


def test_an_image_follows_from_step_and_chance(monkeypatch):
    staged = []

    def watched(seed):
        staged.append(seed)
        return stage(seed)

    monkeypatch.setattr(detector_images, 'AT_ONCE', 2)
    monkeypatch.setattr(detector_images, 'stage', watched)
    drawn = []
    for _ in range(2):
        images = SceneImages(per_scene=8, batch=4, seed=1)
        drawn.append([images.draw(np.random.default_rng([1, step]), step) for step in (0, 4)])
    for one, other in zip(*drawn, strict=True):
        assert (one.image == other.image).all()
        assert (one.xyxy == other.xyxy).all()
        assert len(one.xyxy)
    assert staged[0] in {10_000, 10_001}
    assert staged[1] in {10_002, 10_003}  # four steps of four images use up two scenes of eight
    SceneImages(per_scene=8, batch=4, seed=0).draw(np.random.default_rng(0), 0)
    assert staged[-1] in {19_500, 19_501}


def test_hidden_people_are_ignored():
    scene = stage(10_003)
    frames = [scene[number] for number in range(0, 240, 60)]
    for number, frame in zip(range(0, 240, 60), frames, strict=True):
        given = detector_images.labelled(scene, number)
        assert len(given.xyxy) + len(given.ignored) == len(frame.boxes)
        hidden = frame.boxes[frame.visibility < staging.LEAST_VISIBLE]
        assert (given.ignored == hidden).all()


@pytest.fixture
def recording(tmp_path):
    """A sequence of 20 images with a pedestrian, and a distractor that is not counted."""
    cv2 = pytest.importorskip('cv2')
    (tmp_path / 'img1').mkdir()
    (tmp_path / 'gt').mkdir()
    rows = []
    for frame in range(1, 21):
        cv2.imwrite(str(tmp_path / f'img1/{frame:06}.png'), np.full((60, 80, 3), frame, np.uint8))
        rows += [f'{frame},1,10,10,20,40,1,1,1', f'{frame},2,40,10,20,40,0,8,1']
    (tmp_path / 'gt/gt.txt').write_text('\n'.join(rows))
    return tmp_path


def test_recordings_are_learned_from_but_for_their_end(recording):
    images = FolderImages([recording])
    drawn = {int(images.draw(np.random.default_rng(k), 0).image[0, 0, 0]) for k in range(200)}
    assert drawn == set(range(1, 19))
    held_out = images.held_out(10)
    assert [int(seen.image[0, 0, 0]) for seen in held_out] == [19, 20]
    assert iou(held_out[0].xyxy, np.array([[10.0, 10, 30, 50]])) == pytest.approx(1)
    assert held_out[0].ignored.tolist() == [[40, 10, 60, 50]]


def test_recordings_without_images_are_refused(recording):
    for file in sorted(recording.glob('img1/*'))[10:]:
        file.unlink()
    with pytest.raises(UserError, match='10 images, but boxes up to frame 20'):
        FolderImages([recording])
