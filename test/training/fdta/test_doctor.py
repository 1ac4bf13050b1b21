"""The doctor finds what is wrong, says where, and stops what would stop a training."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from test_footages import SIZE, write_bag, write_sequence

from mot_perception.cli.main import main
from mot_perception.errors import UserError
from mot_perception.training.fdta.doctor import examine
from mot_perception.training.fdta.doctor_findings import Demands, runs
from mot_perception.training.fdta.doctor_truth import most_identities
from mot_perception.training.fdta.open_footages import open_footages

SHORT = Demands(length=3)


def charts_of(*paths, demands=SHORT):
    return list(examine(paths, demands, lambda things, *_: things))


def chart_of(path, demands=SHORT):
    (chart,) = charts_of(path, demands=demands)
    return chart


def found(chart, *, stops=True):
    """Return the places by fault."""
    return {it.what: list(it.places) for it in chart.findings if it.stops == stops}


def append(file, *lines):
    file.write_text('\n'.join([*file.read_text().splitlines(), *lines]) + '\n')


@pytest.fixture
def sequence(tmp_path):
    return write_sequence(tmp_path / 'train/one', 8)


def test_sound_data_is_only_counted(sequence):
    chart = chart_of(sequence)
    assert chart.findings == []
    assert chart.name == 'train/one'
    counts = chart.frames, chart.usable, chart.clips, chart.boxes, chart.identities, chart.depth
    assert counts == (8, 8, 6, 16, 2, 8)
    assert not chart.stops


@pytest.mark.parametrize('images', [False, True])
@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('00000004.png', np.zeros((SIZE[1], SIZE[0], 3), np.uint8)),
        ('00000004.png', np.zeros((30, 40), np.uint8)),
        ('00000004.png', np.zeros((SIZE[1], SIZE[0]), np.uint16)),
    ],
)
def test_wrong_labels_of_depth_are_found(sequence, name, content, images):
    cv2.imwrite(str(sequence / 'depth' / name), content)
    faults = found(chart_of(sequence, Demands(3, images=images)))
    assert list(faults.values()) == [['depth/00000004.png']]
    assert any(word in next(iter(faults)) for word in ('channels', '40×30', '16 bits'))


def test_labels_of_depth_with_other_names_are_found(sequence):
    (sequence / 'depth/00000002.png').rename(sequence / 'depth/000002.png')
    (sequence / 'depth/00000005.png').unlink()
    shutil.copy(sequence / 'depth/00000001.png', sequence / 'depth/00000077.png')
    chart = chart_of(sequence)
    assert found(chart) == {
        'label of depth under another name; give labels the names of images': [
            'expected depth/00000002.png, found depth/000002.png'
        ],
        'no such label of depth; make it by mot-perception label-depth': ['depth/00000005.png'],
    }
    assert found(chart, stops=False) == {'label of depth without an image': ['depth/00000077.png']}
    assert chart.depth == 6


def test_depth_may_be_done_without(tmp_path):
    sequence = write_sequence(tmp_path / 'one', depth=False)
    assert list(found(chart_of(sequence)).values()) == [['depth']]
    chart = chart_of(sequence, Demands(3, depth=False))
    assert chart.findings == []
    assert chart.depth is None


def test_all_bad_rows_are_found(sequence):
    append(
        sequence / 'gt/gt.txt',
        '1,2,10,8,20,30,1,1,1',
        '',
        '1,5,10,8,nan,30,1,1,1',
        '2,5,10,8,20,0,1,1,1',
        '2,6,10,8,-20,5,1,1,1',
        '9,1,10,8,20,30,1,1,1',
        '1.5,1,10,8,20,30,1,1,1',
        '3,2,10,8,20,30,1,1,1',
    )
    chart = chart_of(sequence)
    assert found(chart) == {
        'the frame must be a whole number from 1 to 10000000': ['gt/gt.txt:23'],
        'the box must be finite': ['gt/gt.txt:19'],
        'width and height must be more than 0': ['gt/gt.txt:20', 'gt/gt.txt:21'],
        'this frame has a box of this id already': ['gt/gt.txt:17', 'gt/gt.txt:24'],
        'frame beyond the 8 of the sequence': ['gt/gt.txt:22'],
    }
    assert chart.boxes == 16  # the sound ones


def test_rows_that_are_no_rows_are_found(sequence):
    append(sequence / 'gt/gt.txt', '1,2,three')
    assert list(found(chart_of(sequence)).values()) == [['gt/gt.txt:17']]
    (sequence / 'gt/gt.txt').unlink()
    assert found(chart_of(sequence)) == {'no ground truth; training needs it': ['gt/gt.txt']}


def test_what_is_left_out_is_no_error(tmp_path):
    rows = [f'1,{k},{k},8,20,30,1,1,1' for k in range(1, 5)]  # too many
    rows += [f'{k},1,10,8,20,30,1,1,1' for k in (2, 3, 4, 7, 8)]  # nobody in 5 and 6
    rows += ['8,9,500,8,20,30,1,1,1']  # outside
    chart = chart_of(write_sequence(tmp_path / 'one', 8, rows=rows), Demands(3, objects=3))
    assert found(chart) == {}
    assert found(chart, stops=False) == {
        'box outside of the image; it is left out': ['frame 8'],
        'more than 3 objects; such frames are left out': ['frame 1'],
        'no objects; such frames are left out': ['frames 5 to 6'],
    }
    assert (chart.usable, chart.clips) == (5, 1)
    footage = open_footages([tmp_path / 'one'], 'depth', most=3)[0]
    assert footage.legal().sum() == chart.usable


def test_sequences_shorter_than_a_clip_are_found(sequence):
    faults = found(chart_of(sequence, Demands(9)), stops=False)
    assert faults == {
        'nowhere 9 frames in a row that can be learned from; it is left out': ['one']
    }


def test_too_many_identities_are_found(tmp_path):
    rows = [f'{k},{k},10,8,20,30,1,1,1' for k in range(1, 9)]
    chart = chart_of(write_sequence(tmp_path / 'one', 8, rows=rows), Demands(4, identities=3))
    ((what, places),) = found(chart, stops=False).items()
    assert what.startswith('4 identities in one clip, more than the 3')
    assert places == ['frames 1 to 4']


@pytest.mark.parametrize('seed', range(5))
def test_identities_are_counted_as_a_loop_does(seed):
    random = np.random.default_rng(seed)
    frames, ids = random.integers(1, 21, 60), random.integers(1, 15, 60)
    counts = [
        len(set(ids[(frames > start) & (frames <= start + 6)].tolist())) for start in range(15)
    ]
    assert most_identities(frames, ids, 20, 6) == (max(counts), int(np.argmax(counts)))
    assert most_identities(frames, ids, 20, 50)[0] == len(set(ids.tolist()))
    assert most_identities(frames[:0], ids[:0], 20, 6) == (0, 0)


def test_wrong_images_are_found(sequence):
    (sequence / 'img1/00000003.jpg').unlink()
    (sequence / 'img1/00000005.jpg').write_bytes(b'nothing')
    cv2.imwrite(str(sequence / 'img1/00000006.jpg'), np.zeros((30, 40, 3), np.uint8))
    chart = chart_of(sequence, Demands(3, depth=False))
    assert found(chart) == {
        'images are missing between these, or double; the k-th image is frame k': [
            'img1/00000002.jpg and 00000004.jpg'
        ],
        'neither JPEG, PNG nor BMP; convert it to one of them': ['img1/00000005.jpg'],
        'not 96×64 pixels, as the first; make a sequence of each size': [
            'img1/00000006.jpg 40×30'
        ],
        'seqLength=8, but there are 7 images; mend one of them': ['seqinfo.ini'],
    }


def test_images_that_break_off_are_found_if_all_are_decoded(sequence):
    file = sequence / 'img1/00000007.jpg'
    file.write_bytes(file.read_bytes()[:-40])
    assert chart_of(sequence).findings == []
    faults = found(chart_of(sequence, Demands(3, images=True)))
    assert list(faults.values()) == [['img1/00000007.jpg']]


def test_a_size_far_inside_a_file_is_found(sequence):
    file = sequence / 'img1/00000007.jpg'
    data = file.read_bytes()
    remark = b'\xff\xfe\xff\xff' + bytes(0xFFFD)  # as the preview that a camera writes
    file.write_bytes(data[:2] + 2 * remark + data[2:])
    assert chart_of(sequence).findings == []


def test_no_images_are_said(sequence):
    shutil.rmtree(sequence / 'img1')
    chart = chart_of(sequence)
    assert found(chart) == {'no images; training needs them': ['img1']}
    assert (chart.frames, chart.clips) == (8, 6)


def test_seqinfo_is_compared(sequence):
    (sequence / 'seqinfo.ini').write_text('[Sequence]\nimWidth=100\nimHeight=64\n')
    faults = found(chart_of(sequence), stops=False)
    assert faults == {
        'imWidth, imHeight say 100×64, images have 96×64': ['seqinfo.ini'],
        'frameRate is unknown; taken to be 25 a second': ['seqinfo.ini'],
    }
    (sequence / 'seqinfo.ini').write_text('[Sequence]\nseqLength=many\n')
    assert list(found(chart_of(sequence)).values()) == [['seqinfo.ini']]


def test_a_seqmap_is_compared_with_its_folder(tmp_path):
    for name in ('a', 'b'):
        write_sequence(tmp_path / f'train/{name}')
    (tmp_path / 'train_seqmap.txt').write_text('name\nc\na\n')
    seqmap, chart = charts_of(tmp_path / 'train')
    assert chart.name == 'train/a'
    assert list(found(seqmap).values()) == [['c']]
    assert found(seqmap, stops=False) == {'not named; it is left out': ['b']}


def harm_nothing(_):
    pass


def harm_truth(folder):
    append(folder / 'gt/gt.txt', '3,2,10,8,20,30,1,1,1')


def harm_images(folder):
    (folder / 'img1/00000003.jpg').unlink()


def harm_label(folder):
    (folder / 'depth/00000003.png').unlink()


def harm_length(folder):
    append(folder / 'gt/gt.txt', '7,2,10,8,20,30,1,1,1')


@pytest.mark.parametrize('harm', [harm_nothing, harm_truth, harm_images, harm_label, harm_length])
def test_it_stops_what_stops_a_training(tmp_path, harm):
    sequence = write_sequence(tmp_path / 'one')
    harm(sequence)
    stopped = False
    try:
        (footage,) = open_footages([sequence], 'disparity')
        for number in range(len(footage)):
            footage.view(number)
    except UserError:
        stopped = True
    assert stopped == (harm is not harm_nothing)
    assert chart_of(sequence).stops == stopped


def test_stills_are_examined(tmp_path):
    for folder in ('images', 'gts'):
        (tmp_path / folder).mkdir()
    for name, rows in [('a', '0 1 10 8 20 30'), ('b', ''), ('c', '0 1 10 8 20 0'),
                       ('d', '0 1 1 8 2 3\n0 2 10 8 2 3')]:  # fmt: skip
        cv2.imwrite(str(tmp_path / f'images/{name}.jpg'), np.zeros((30, 40, 3), np.uint8))
        (tmp_path / f'gts/{name}.txt').write_text(rows)
    (tmp_path / 'gts/e.txt').write_text('')
    chart = chart_of(tmp_path, Demands(objects=1))
    assert found(chart) == {
        "width and height must be more than 0; mend or delete the line (it says '0 1 10 8 20 0')":
        ['gts/c.txt:1']
    }  # fmt: skip
    assert found(chart, stops=False) == {
        'no labels of depth; none is learned from these images': ['depth'],
        'boxes without an image': ['gts/e.txt'],
        'no objects; such images are left out': ['gts/b.txt'],
        'more than 1 objects; such images are left out': ['gts/d.txt'],
    }
    assert (chart.frames, chart.usable, chart.clips, chart.boxes) == (4, 1, 1, 3)


def test_recordings_are_examined(tmp_path):
    chart = chart_of(write_bag(tmp_path / 'bag'))
    assert found(chart) == {}
    assert found(chart, stops=False) == {'no objects; such frames are left out': ['frame 1']}
    assert (chart.frames, chart.usable, chart.clips, chart.boxes, chart.identities) == (
        5, 4, 2, 10, 4,
    )  # fmt: skip
    assert chart.depth == 5
    wrong = chart_of(write_bag(tmp_path / 'wrong', depth_size=(48, 32)), Demands(3, images=True))
    assert len(found(wrong)) == 5
    unknown = chart_of(write_bag(tmp_path / 'unknown', truth=False))
    assert found(unknown) == {'no topic named …/ground_truth; training needs it': ['unknown']}


def test_frames_in_a_row_are_named_together():
    assert runs(np.array([1, 0, 1, 1, 1, 0, 0, 1], bool)) == [
        'frame 1',
        'frames 3 to 5',
        'frame 8',
    ]
    assert runs(np.zeros(0, bool)) == []


def test_the_verb_says_what_it_comes_to(tmp_path, capfd):
    write_sequence(tmp_path / 'train/one', 40)
    assert main(['doctor', str(tmp_path / 'train')]) == 0
    out, _ = capfd.readouterr()
    assert 'train/one' in out
    assert 'A training can start: 11 clips an epoch.' in out
    harm_truth(write_sequence(tmp_path / 'train/two', 40))
    report = tmp_path / 'report.json'
    assert main(['doctor', str(tmp_path / 'train'), '--json', str(report)]) == 2
    out, _ = capfd.readouterr()
    assert 'train/two gt/gt.txt:81' in out
    assert 'A training would stop' in out
    one, two = json.loads(report.read_text())
    assert (one['name'], one['clips'], one['findings']) == ('train/one', 11, [])
    assert two['findings'] == [
        {
            'stops': True,
            'what': 'this frame has a box of this id already',
            'places': ['gt/gt.txt:81'],
        }
    ]
    assert main(['doctor', str(tmp_path / 'train'), '--json', str(report)]) == 2
    assert 'exists' in capfd.readouterr().err
    assert main(['doctor', str(tmp_path / 'train/one'), '--length', '99', '--quiet']) == 2
    assert 'Traceback' not in capfd.readouterr().err
    assert main(['doctor', str(tmp_path / 'nothing')]) == 2


def test_real_sequences_are_sound(shared_data):
    charts = charts_of(shared_data / 'frames', demands=Demands(depth=False))
    assert [chart.findings for chart in charts] == [[], []]
    assert [chart.frames for chart in charts] == [145, 179]
    for name, count in (('dancetrack/val', 15), ('mot17/val_half', 4)):
        charts = charts_of(shared_data / name)
        assert len(charts) == count
        for chart in charts:
            assert found(chart) == {'no images; training needs them': ['img1']}
            assert chart.usable == chart.frames > 0
