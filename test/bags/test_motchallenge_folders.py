from __future__ import annotations

import cv2
import numpy as np
import pytest

from mot_perception.bags import seqinfo
from mot_perception.bags.seqinfo import read_seqinfo
from mot_perception.bags.source import open_source
from mot_perception.errors import UserError

INI = '[Sequence]\nname=s\nimDir=img1\nframeRate=20\nseqLength=5\nimWidth=64\nimHeight=48'
DET = '1,-1,1,2,3,4,.5\n4,-1,1,2,3,4,.5\n4,-1,5,6,7,8,.25\n'
TRUTH = '1,1,1,2,3,4,1,1,1\n1,2,1,2,3,4,0,1,1\n1,3,1,2,3,4,1,7,1\n5,1,1,2,3,4,1,1,1\n'


def make(folder, *, ini=INI, det=DET, gt=None, images=0, size=(48, 64)):
    for name, text in (('seqinfo.ini', ini), ('det/det.txt', det), ('gt/gt.txt', gt)):
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    for k in range(1, images + 1):
        write_image(folder / 'img1' / f'{k:06d}.jpg', k, size)
    return folder


def write_image(file, grey, size=(48, 64)):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((*size, 3), grey, np.uint8))


def test_without_images(tmp_path):
    (sequence,) = open_source(make(tmp_path / 's', gt=TRUTH))
    assert (sequence.name, sequence.fps, sequence.length) == ('s', 20, 5)
    assert (sequence.width, sequence.height) == (64, 48)
    assert (sequence.has_images, sequence.has_detections) == (False, True)
    assert [file.name for file in sequence.input_files] == ['seqinfo.ini', 'det.txt', 'gt.txt']
    items = list(sequence)
    assert [item.frame.index for item in items] == [0, 1, 2, 3, 4]
    assert [item.frame.stamp_ns for item in items] == [k * 50_000_000 for k in range(5)]
    assert [len(item.detections) for item in items] == [1, 0, 0, 2, 0]
    assert items[3].detections.xyxy.tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert items[3].detections.score.tolist() == [0.5, 0.25]
    # neither what is to be ignored nor a distractor class is a person to be found
    assert [item.ground_truth.ids.tolist() for item in items] == [[1], [], [], [], [1]]
    assert len(sequence.ground_truth) == 4
    assert all((item.frame.width, item.frame.height) == (64, 48) for item in items)


@pytest.mark.parametrize(
    ('options', 'length'),
    [
        ({}, 5),  # seqLength
        ({'ini': '[Sequence]\nframeRate=20'}, 4),  # the last frame with a row
        ({'ini': '[Sequence]\nframeRate=20', 'images': 6}, 6),  # the images
        ({'ini': '[Sequence]\nframeRate=20', 'gt': TRUTH}, 5),  # the last of both files
        ({'det': '', 'ini': INI}, 5),  # nothing was detected
    ],
)
def test_length(tmp_path, options, length):
    (sequence,) = open_source(make(tmp_path / 's', **options))
    assert sequence.length == length
    assert len(list(sequence)) == length


def test_with_images(tmp_path):
    (sequence,) = open_source(make(tmp_path / 's', images=5))
    assert sequence.has_images
    for k, item in enumerate(sequence, 1):
        np.testing.assert_allclose(item.frame.image, k, atol=2)
    assert len(sequence.input_files) == 7


def test_what_is_missing_is_none(tmp_path):
    (sequence,) = open_source(make(tmp_path / 's', det=None, gt=TRUTH))
    assert not sequence.has_detections
    assert all(item.detections is None for item in sequence)
    (sequence,) = open_source(make(tmp_path / 't'))
    assert sequence.ground_truth is None
    assert all(item.ground_truth is None for item in sequence)


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ({'ini': None}, 's: the frame rate is unknown; give it with --fps'),
        ({'ini': '[Sequence]\nframeRate=x'}, "seqinfo.ini: frameRate='x' is wrong"),
        ({'ini': '[Sequence]\nframeRate=0'}, "frameRate='0' is wrong"),
        ({'ini': '[Sequence]\nframeRate=nan'}, "frameRate='nan' is wrong"),
        ({'ini': '[Sequence]\nframeRate=20\nseqLength=-3'}, "seqLength='-3' is wrong"),
        ({'ini': '[Sequence]\nframeRate=20\nseqLength=5.5'}, "seqLength='5.5' is wrong"),
        ({'ini': '[Sequence]\nframeRate=20\nimWidth=99999999'}, "imWidth='99999999' is wrong"),
        ({'ini': 'frameRate=20'}, 'not an INI file'),
        ({'ini': INI.replace('=5\n', '=3\n')}, 'up to frame 4, but the sequence has 3 frames'),
        ({'images': 4}, 'says 5 frames, but there are 4 images'),
        ({'ini': '[Sequence]\nframeRate=20', 'det': ''}, 'neither images nor'),
        ({'det': '1,-1,1,2,3,4,nan'}, 'det.txt:1: the score'),
    ],
)
def test_contradictions(tmp_path, options, says):
    with pytest.raises(UserError) as error:
        open_source(make(tmp_path / 's', **options))
    assert says in str(error.value)


def test_frame_rate_given_by_the_user(tmp_path):
    (sequence,) = open_source(make(tmp_path / 's'), fps=10)
    assert [item.frame.stamp_ns for item in sequence][1] == 100_000_000
    with pytest.raises(UserError, match='impossible'):
        open_source(make(tmp_path / 's'), fps=-1)


def test_image_that_is_damaged_or_of_another_size(tmp_path):
    (sequence,) = open_source(make(tmp_path / 's', images=5))
    write_image(tmp_path / 's/img1/000003.jpg', 0, (10, 20))
    with pytest.raises(UserError, match='s: frame 2 has 20×10 pixels, those before have 64×48'):
        list(sequence)
    (tmp_path / 's/img1/000002.jpg').write_bytes(b'\xff\xd8 no picture')
    with pytest.raises(UserError, match=r'000002\.jpg: '):
        list(sequence)
    (tmp_path / 's/img1/000001.jpg').unlink()
    with pytest.raises(UserError, match=r'000001\.jpg: cannot be read'):
        list(sequence)


def test_a_set_comes_in_the_order_of_names(tmp_path):
    for name in ('b', 'a', 'c'):
        make(tmp_path / name)
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'readme.txt').touch()
    assert [sequence.name for sequence in open_source(tmp_path)] == ['a', 'b', 'c']


def test_a_folder_of_images(tmp_path):
    for name in ('10.png', '9.png', '11.PNG'):
        write_image(tmp_path / 'pictures' / name, int(name.split('.')[0]))
    write_image(tmp_path / 'pictures' / '9_mask.png', 255)
    cv2.imwrite(str(tmp_path / 'pictures' / '9_depth.png'), np.full((48, 64), 1500, np.uint16))
    with pytest.raises(UserError, match='--fps'):
        open_source(tmp_path / 'pictures')
    (sequence,) = open_source(tmp_path / 'pictures', fps=4)
    items = list(sequence)
    assert [item.frame.image[0, 0, 0] for item in items] == [9, 10, 11]
    assert [item.frame.stamp_ns for item in items] == [0, 250_000_000, 500_000_000]
    assert items[0].frame.depth.max() == pytest.approx(1.5)
    assert items[1].frame.depth is None
    assert sequence.name == 'pictures'
    assert not sequence.has_detections


@pytest.mark.parametrize('name', ['none', 'a.txt', 'empty'])
def test_what_is_no_input(tmp_path, name):
    (tmp_path / 'a.txt').touch()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='give a rosbag2 bag'):
        open_source(tmp_path / name)


def test_seqinfo_defaults(tmp_path):
    info = read_seqinfo(tmp_path / 'none.ini')
    assert (info.image_folder, info.fps, info.length, info.width) == ('img1', None, None, 0)
    (tmp_path / 'a.ini').write_text('[Other]\nx=1\n')
    assert read_seqinfo(tmp_path / 'a.ini') == info
    (tmp_path / 'a.ini').write_text(f'[Sequence]\nframeRate={seqinfo.MAX_FPS}')
    assert read_seqinfo(tmp_path / 'a.ini').fps == seqinfo.MAX_FPS


# ------------------------------------------------------------------ real data


def test_real_sets(shared_data):
    dance = open_source(shared_data / 'dancetrack/val')
    assert len(dance) == 15
    assert sum(sequence.length for sequence in dance) == 14801
    first = dance[0]
    items = list(first)
    assert len(items) == 1203
    assert sum(len(item.detections) for item in items) == 4796
    sports = open_source(shared_data / 'sportsmot/val')
    assert len(sports) == 12
    assert not sports[0].has_detections
    assert sports[0].ground_truth is not None


def test_real_images(shared_data):
    (sequence,) = open_source(shared_data / 'frames/KITTI-17', score_range=(-1, 140))
    assert (sequence.length, sequence.fps) == (145, 10)
    item = next(iter(sequence))
    assert item.frame.image.shape == (370, 1224, 3)
    assert len(item.ground_truth.ids) > 0


def test_real_rgbd(shared_data):
    (sequence,) = open_source(shared_data / 'rgbd/kinect_person', fps=30)
    items = list(sequence)
    assert len(items) == 30
    depth = items[0].frame.depth
    assert depth.shape == items[0].frame.image.shape[:2]
    assert (depth == 0).any()  # real holes
    assert 0.5 < np.median(depth[depth > 0]) < 5
