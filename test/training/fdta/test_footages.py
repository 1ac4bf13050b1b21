"""Data on disk as footage: MOTChallenge sequences and sets, stills, bags; and what is refused."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.sequence import GroundTruth, Item
from mot_perception.errors import UserError
from mot_perception.fdta.settings import FdtaSettings
from mot_perception.training.fdta.open_footages import open_footages
from mot_perception.training.fdta.transforms import read_clip
from mot_perception.types import Frame

SIZE = 96, 64
NETWORK = FdtaSettings(shorter=32, longer=64)


def write_sequence(folder, frames=5, *, digits=8, rows=None, info=True, depth=True, first=1):
    """Write a sequence; the grey value of an image is its number, depth ten times that."""
    (folder / 'img1').mkdir(parents=True)
    (folder / 'gt').mkdir()
    for number in range(first, first + frames):
        image = np.full((SIZE[1], SIZE[0], 3), number, np.uint8)
        cv2.imwrite(str(folder / f'img1/{number:0{digits}}.jpg'), image)
        if depth:
            (folder / 'depth').mkdir(exist_ok=True)
            label = np.full((SIZE[1], SIZE[0]), 10 * number % 250, np.uint8)
            cv2.imwrite(str(folder / f'depth/{number:0{digits}}.png'), label)
    if rows is None:
        rows = [f'{k},{i},{10 * i},8,20,30,1,1,1' for k in range(1, frames + 1) for i in (1, 2)]
    (folder / 'gt/gt.txt').write_text('\n'.join(rows))
    if info:
        (folder / 'seqinfo.ini').write_text(
            f'[Sequence]\nframeRate=20\nseqLength={frames}\nimWidth=96\nimHeight=64\n'
        )
    return folder


def open_one(path, orientation=None, **more):
    (footage,) = open_footages([path], orientation, **more)
    return footage


def test_a_sequence_is_read(tmp_path):
    footage = open_one(write_sequence(tmp_path / 'train/one'), 'disparity')
    assert footage.name == 'train/one'
    assert footage.period == 1 / 20
    assert len(footage) == 5
    assert footage.legal().all()
    view = footage.view(2)
    assert view.image.mean() == 3
    assert (view.depth == 30).all()
    assert view.xyxy.tolist() == [[10, 8, 30, 38], [20, 8, 40, 38]]
    assert view.ids.tolist() == [1, 2]
    assert view.labels.tolist() == [0, 0]
    assert pickle.loads(pickle.dumps(footage)).view(2).xyxy.tolist() == view.xyxy.tolist()
    assert open_one(tmp_path / 'train/one', 'depth').view(2).depth.mean() == 255 - 30
    assert open_one(tmp_path / 'train/one').view(2).depth is None


@pytest.mark.parametrize('digits', [6, 8])
@pytest.mark.parametrize('fields', ['1,1,1', '1,1,1,-1', '1,1,1.0,0.5'])
def test_all_data_sets_are_read(tmp_path, digits, fields):
    """DanceTrack has 8 digits, SportsMOT and BFT have 6; some files have 10 fields."""
    rows = [f'{k},7,10,8,20,30,{fields}' for k in (1, 2, 4)]
    footage = open_one(write_sequence(tmp_path / 'seq', digits=digits, rows=rows), 'disparity')
    assert footage.legal().tolist() == [True, True, False, True, False]
    assert (footage.view(3).depth == 40).all()
    assert len(footage.view(4).ids) == 0


def test_without_seqinfo_files_say_all(tmp_path):
    footage = open_one(write_sequence(tmp_path / 'bird', info=False, digits=6))
    assert (len(footage), footage.period) == (5, 1 / 25)


def test_pedestrians_that_are_considered_count(tmp_path):
    rows = ['1,1,10,8,20,30,1,1,1', '1,2,10,8,20,30,0,1,1', '1,3,10,8,20,30,1,7,1',
            '2,1,10,8,20,30,0,1,1']  # fmt: skip
    footage = open_one(write_sequence(tmp_path / 'mot17', rows=rows))
    assert footage.view(0).ids.tolist() == [1]
    assert footage.legal().tolist() == [True, False, False, False, False]


def test_sets_of_other_objects_count_whole(tmp_path):
    rows = ['1,1,10,8,20,30,1,15,1', '1,2,10,8,20,30,0,15,1']
    assert open_one(write_sequence(tmp_path / 'birds', rows=rows)).view(0).ids.tolist() == [1]


def test_boxes_are_cut_to_the_image(tmp_path):
    rows = ['1,1,-10,-4,20,30,1,1,1', '1,2,90,50,40,40,1,1,1', '1,3,200,10,20,20,1,1,1',
            '2,3,200,10,20,20,1,1,1']  # fmt: skip
    footage = open_one(write_sequence(tmp_path / 'seq', rows=rows))
    assert footage.view(0).xyxy.tolist() == [[0, 0, 10, 26], [90, 50, 96, 64]]
    assert footage.view(0).ids.tolist() == [1, 2]
    assert footage.legal().tolist() == [True, False, False, False, False]


def test_crowded_frames_are_not_learned_from(tmp_path):
    footage = open_one(write_sequence(tmp_path / 'seq'), most=1)
    assert not footage.legal().any()
    assert open_one(tmp_path / 'seq', most=2).legal().all()


def test_a_set_is_its_sequences_in_the_order_of_names(tmp_path, monkeypatch):
    for name in ('c', 'a', 'b'):
        write_sequence(tmp_path / f'train/{name}', 2)
    listed = Path.iterdir
    expected = ['train/a', 'train/b', 'train/c']
    assert [it.name for it in open_footages([tmp_path / 'train'], None)] == expected
    monkeypatch.setattr(Path, 'iterdir', lambda path: sorted(listed(path), reverse=True))
    backwards = open_footages([tmp_path / 'train'], None)
    assert [it.name for it in backwards] == expected
    assert backwards[0].view(1).image.mean() == 2
    one_by_one = [tmp_path / f'train/{name}' for name in 'bca']
    assert [it.name for it in open_footages(one_by_one, None)] == expected


def test_a_seqmap_says_which_sequences_belong_to_a_split(tmp_path):
    for name in ('a', 'b', 'c'):
        write_sequence(tmp_path / f'train/{name}', 2)
    (tmp_path / 'train_seqmap.txt').write_text('name\nc\na\n')
    assert [it.name for it in open_footages([tmp_path / 'train'], None)] == ['train/a', 'train/c']
    (tmp_path / 'train_seqmap.txt').write_text('name\nc\nd\n')
    with pytest.raises(UserError, match=r'train/d: train_seqmap\.txt names it'):
        open_footages([tmp_path / 'train'], None)
    (tmp_path / 'train_seqmap.txt').write_text('name\n')
    with pytest.raises(UserError, match='names no sequences'):
        open_footages([tmp_path / 'train'], None)


def remove_truth(folder):
    (folder / 'gt/gt.txt').unlink()


def repeat_id(folder):
    with (folder / 'gt/gt.txt').open('a') as file:
        file.write('\n3,2,10,8,20,30,1,1,1')


def remove_image(folder):
    (folder / 'img1/00000003.jpg').unlink()


def add_image(folder):
    (folder / 'img1/00000006.jpg').write_bytes((folder / 'img1/00000005.jpg').read_bytes())


def remove_images(folder):
    for file in (folder / 'img1').iterdir():
        file.unlink()


def add_row(folder):
    with (folder / 'gt/gt.txt').open('a') as file:
        file.write('\n6,2,10,8,20,30,1,1,1')


def invert_box(folder):
    with (folder / 'gt/gt.txt').open('a') as file:
        file.write('\n3,5,10,8,-20,30,1,1,1')


@pytest.mark.parametrize(
    ('harm', 'message'),
    [
        (remove_truth, r'gt\.txt: no ground truth'),
        (repeat_id, r'gt\.txt:11: this frame has a box of this id already'),
        (remove_image, r'after 00000002\.jpg comes 00000004\.jpg'),
        (add_image, 'says 5 frames, but there are 6 images'),
        (remove_images, 'img1: no images'),
        (add_row, 'up to frame 6, but the sequence has 5'),
        (invert_box, r'gt\.txt:11: width and height must be more than 0'),
    ],
)
def test_a_harmed_sequence_is_refused(tmp_path, harm, message):
    harm(write_sequence(tmp_path / 'seq'))
    with pytest.raises(UserError, match=message):
        open_one(tmp_path / 'seq', 'disparity')


def test_missing_labels_of_depth_are_named(tmp_path):
    folder = write_sequence(tmp_path / 'seq')
    (folder / 'depth/00000003.png').rename(folder / 'depth/000003.png')
    footage = open_one(folder, 'disparity')
    with pytest.raises(UserError, match=r'expected depth/00000003\.png, found depth/000003\.png'):
        footage.view(2)
    (folder / 'depth/000003.png').unlink()
    with pytest.raises(UserError, match=r'depth/00000003\.png: no such label of depth'):
        footage.view(2)
    coloured = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    cv2.imwrite(str(folder / 'depth/00000003.png'), coloured)
    with pytest.raises(UserError, match=r'00000003\.png: 3 channels'):
        footage.view(2)
    cv2.imwrite(str(folder / 'depth/00000003.png'), coloured[:32, :, 0])
    with pytest.raises(UserError, match='label of 96×32 pixels, but the image has 96×64'):
        footage.view(2)


def test_no_labels_of_depth_at_all_are_said_at_once(tmp_path):
    folder = write_sequence(tmp_path / 'seq', depth=False)
    assert open_one(folder).view(0).depth is None
    with pytest.raises(UserError, match='seq/depth: no labels of depth'):
        open_one(folder, 'disparity')


def test_a_damaged_image_is_named(tmp_path):
    folder = write_sequence(tmp_path / 'seq')
    (folder / 'img1/00000002.jpg').write_bytes(b'\xff\xd8nothing')
    footage = open_one(folder)
    with pytest.raises(UserError, match=r'00000002\.jpg'):
        read_clip(footage, (0, 1, 2), NETWORK)


def test_a_size_that_changes_in_a_clip_is_refused(tmp_path):
    folder = write_sequence(tmp_path / 'seq')
    cv2.imwrite(str(folder / 'img1/00000004.jpg'), np.zeros((48, 96, 3), np.uint8))
    footage = open_one(folder)
    with pytest.raises(UserError, match='seq: frame 2 has 96×64 pixels, frame 4 96×48'):
        read_clip(footage, (1, 3), NETWORK)


def test_unknown_data_is_refused(tmp_path):
    write_sequence(tmp_path / 'set/train/one', 2)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes.txt').write_text('x')
    for path, message in [
        ('nowhere', 'nowhere: does not exist; give a MOTChallenge'),
        ('set', 'set: not data that can be learned from; give one of its folders: train'),
        ('empty', 'empty: not data that can be learned from; give a MOTChallenge'),
        ('notes.txt', r'notes\.txt: not data that can be learned from'),
    ]:
        with pytest.raises(UserError, match=message):
            open_footages([tmp_path / path], None)


@pytest.fixture
def crowd(tmp_path):
    """Two stills, as CrowdHuman's."""
    (tmp_path / 'images').mkdir()
    (tmp_path / 'gts').mkdir()
    for number, name in enumerate(['273271,c9db', '273278,ab']):
        image = np.full((SIZE[1], SIZE[0], 3), 60 + number, np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{name}.jpg'), image)
        rows = '0 0 10 8 20 30\n0 1 -5.5 8 20 30\n' if number == 0 else ''
        (tmp_path / f'gts/{name}.txt').write_text(rows)
    return tmp_path


def test_stills_are_sequences_of_one_frame(crowd):
    one, two = open_footages([crowd], 'depth')
    assert one.name == f'{crowd.name}/273271,c9db'
    assert (len(one), one.legal().tolist(), two.legal().tolist()) == (1, [True], [False])
    assert one.view(0).xyxy.tolist() == [[10, 8, 30, 38], [0, 8, 14.5, 38]]
    clip = read_clip(one, (0, 0, 0), NETWORK, np.random.default_rng(0))
    assert clip.depth is None
    assert clip.times.tolist() == [0, 1, 2]
    assert len({it.boxes.numpy().tobytes() for it in clip.objects}) == 3  # the camera moves
    clip = read_clip(one, (0, 0, 0), NETWORK)
    assert [it.ids.tolist() for it in clip.objects] == [[0, 1]] * 3


def test_stills_may_have_depth(crowd):
    (crowd / 'depth').mkdir()
    label = np.full((SIZE[1], SIZE[0]), 77, np.uint8)
    cv2.imwrite(str(crowd / 'depth/273271,c9db.png'), label)
    one, two = open_footages([crowd], 'disparity')
    assert (one.view(0).depth == 77).all()
    with pytest.raises(UserError, match=r'273278,ab\.png: no such label'):
        two.view(0)


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('0 0 0.1 0.2 0.3 0.4', 'write pixels, not shares'),
        ('0 0 10 8 20 30\n0 0 30 8 20 30', r'txt:2: this image has a box of this id already'),
        ('0 0 10 8 0 30', 'txt:1: width and height'),
        ('0 0 10 8', 'txt:1: 4 columns'),
        ('0 0 10 nan 4 4', 'txt:1: the box must be finite'),
        ('0 -1 10 8 4 4', 'txt:1: the id must be'),
    ],
)
def test_harmed_stills_are_refused(crowd, row, message):
    (crowd / 'gts/273271,c9db.txt').write_text(row)
    with pytest.raises(UserError, match=message):
        open_footages([crowd], None)


def test_a_still_without_boxes_file_is_refused(crowd):
    (crowd / 'gts/273278,ab.txt').unlink()
    with pytest.raises(UserError, match=r'273278,ab\.txt: cannot be read'):
        open_footages([crowd], None)


def write_bag(path, *, depth_size=SIZE, truth=True):
    with SceneBagWriter(path) as writer:
        for k in range(5):
            image = np.full((SIZE[1], SIZE[0], 3), k, np.uint8)
            depth = np.full((depth_size[1], depth_size[0]), 2 + k, np.float32)
            depth[:10] = 0
            frame = Frame(10**9 + k * 10**8, k, *SIZE, image, depth)
            ids = np.arange(k, dtype=np.int64) + 5
            boxes = np.array([[-4.0, 10, 20, 40]] * k).reshape(-1, 4)
            writer.write(Item(frame, None, GroundTruth(ids, boxes) if truth else None))
    return path


def test_recordings_bring_their_depth(tmp_path):
    footage = open_one(write_bag(tmp_path / 'bag'), 'depth')
    assert (footage.name, len(footage)) == ('bag', 5)
    assert footage.period == pytest.approx(0.1)
    assert footage.legal().tolist() == [False, True, True, True, True]
    view = pickle.loads(pickle.dumps(footage)).view(2)
    assert view.image.mean() == 2
    assert view.ids.tolist() == [5, 6]
    assert view.xyxy.tolist() == [[0, 10, 20, 40]] * 2
    assert np.isnan(view.depth[:10]).all()
    assert view.depth[10:] == pytest.approx(np.full((54, 96), 255 * 4 / 6), rel=1e-3)
    near = open_one(tmp_path / 'bag', 'disparity').view(2).depth
    assert near[10:] == pytest.approx(np.full((54, 96), 255 * 2 / 4), rel=1e-3)
    assert open_one(tmp_path / 'bag').view(2).depth is None
    assert open_one(tmp_path / 'bag', most=2).legal().tolist() == [False, True, True, False, False]


def test_recordings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match='no topic named …/ground_truth'):
        open_one(write_bag(tmp_path / 'no-truth', truth=False))
    other = open_one(write_bag(tmp_path / 'other', depth_size=(48, 32)), 'depth')
    with pytest.raises(UserError, match='depth of frame 1 has 48×32 pixels, its image 96×64'):
        other.view(1)


def test_pictures_are_read_without_rosbags(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rosbags', None)
    monkeypatch.delitem(sys.modules, 'mot_perception.training.fdta.bag_footage', raising=False)
    assert open_one(write_sequence(tmp_path / 'seq')).name.endswith('/seq')


def test_real_sequences_are_footage(shared_data):
    tracks, other = open_footages([shared_data / 'frames'], None)
    assert (tracks.name, other.name) == ('frames/KITTI-17', 'frames/TUD-Stadtmitte')
    assert (len(tracks), len(other)) == (145, 179)
    assert other.legal().all()
    clip = read_clip(other, (0, 4, 8), FdtaSettings(shorter=120, longer=160))
    assert clip.images.shape == (3, 3, 120, 160)
    assert clip.objects[0].boxes.shape[1] == 4
