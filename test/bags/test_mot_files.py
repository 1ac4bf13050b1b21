from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot_perception.bags import mot_table
from mot_perception.bags.mot import read_mot, write_mot
from mot_perception.bags.rows import MotRows
from mot_perception.errors import UserError

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DETECTION = '1,-1,10,20,30,40,0.5'


def read(tmp_path, text, kind='det', **options):
    file = tmp_path / 'file.txt'
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_mot(file, kind=kind, **options)


@pytest.mark.parametrize(
    'text',
    [
        '',  # an empty file is a sequence without boxes
        '\n\n \n',  # so is one of blank lines
    ],
)
def test_no_rows(tmp_path, text):
    rows = read(tmp_path, text)
    assert len(rows) == 0
    assert rows.last_frame == 0
    assert list(rows.by_frame()) == []
    assert [len(frame) for frame in rows.by_frame(2)] == [0, 0]


@pytest.mark.parametrize(
    'line',
    [
        '1,-1,10,20,30,40,0.5',  # 7 columns
        '1,-1,10,20,30,40,0.5,-1',  # 8
        '1,-1,10,20,30,40,0.5,-1,-1',  # 9
        '1,-1,10,20,30,40,0.5,-1,-1,-1',  # 10
        '1 -1 10 20 30 40 0.5',  # spaces for commas
        '1\t-1\t10\t20\t30\t40\t0.5',  # tabs
        '1, -1, 10, 20, 30, 40, 0.5',  # both
        '1,-1,10,20,30,40,0.5,',  # a comma at the end
        '\ufeff1,-1,10,20,30,40,0.5',  # byte order mark
        '1.0,-1.0,1e1,2e1,3e1,4e1,5e-1',  # as MATLAB writes them
        '\n1,-1,10,20,30,40,0.5\r\n\n',  # blank lines, Windows line ends
    ],
)
def test_accepted_shapes_of_a_row(tmp_path, line):
    rows = read(tmp_path, line)
    assert rows.frame.tolist() == [1]
    assert rows.id.tolist() == [-1]
    assert rows.xyxy.tolist() == [[10, 20, 40, 60]]
    assert rows.score.tolist() == [0.5]
    assert rows.label.tolist() == [0]
    assert rows.consider.all()


def test_rows_of_different_lengths(tmp_path):
    rows = read(tmp_path, '1,-1,1,1,5,5\n1,-1,2,2,5,5,0.25\n2 -1 3 3 5 5 0.5 -1 -1 -1\n')
    assert rows.score.tolist() == [1, 0.25, 0.5]
    assert rows.xyxy[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ('line', 'says'),
    [
        ('1,-1,10,20,30', '5 columns'),
        ('1,-1,10,20,30,40,.5,-1,-1,-1,0', '11 columns'),
        ('1,-1,10,,30,40,.5', "'' is not a number"),
        ('1,-1,10,ten,30,40,.5', "'ten' is not a number"),
        ('# comment', '2 columns'),
        ('0,-1,10,20,30,40,.5', 'frame'),
        ('-1,-1,10,20,30,40,.5', 'frame'),
        ('1.5,-1,10,20,30,40,.5', 'frame'),
        ('nan,-1,10,20,30,40,.5', 'frame'),
        ('99999999,-1,10,20,30,40,.5', 'frame'),
        ('1,0.5,10,20,30,40,.5', 'id'),
        ('1,-2,10,20,30,40,.5', 'id'),
        ('1,inf,10,20,30,40,.5', 'id'),
        ('1,-1,nan,20,30,40,.5', 'finite'),
        ('1,-1,10,inf,30,40,.5', 'finite'),
        ('1,-1,10,20,0,40,.5', 'width and height'),
        ('1,-1,10,20,30,-40,.5', 'width and height'),
        ('1,-1,1e7,20,30,40,.5', 'million'),
        ('1,-1,10,20,30,1e300,.5', 'million'),
        ('1,-1,10,20,30,40,nan', 'score'),
        ('1,-1,10,20,30,40,inf', 'score'),
        ('1,-1,10,20,30,40,1.01', '--score-range'),
        ('1,-1,10,20,30,40,-0.01', '--score-range'),
        ('1,-1,10,20,30,40,-1', '--score-range'),  # −1 beside real scores is no score
    ],
)
@pytest.mark.parametrize('ragged', [False, True])
def test_bad_lines_are_named(tmp_path, line, says, ragged):
    good = DETECTION + (',-1' if ragged else '')
    with pytest.raises(UserError, match=r'file\.txt:4: ') as error:
        read(tmp_path, f'{DETECTION}\n\n{good}\n{line}\n{DETECTION}\n')
    assert says in str(error.value)
    assert '\n' not in str(error.value)


def test_what_is_no_text_file(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        read_mot(tmp_path / 'none.txt', kind='det')
    with pytest.raises(UserError, match='directory'):
        read_mot(tmp_path, kind='det')
    with pytest.raises(UserError, match='not a text file'):
        read(tmp_path, b'\xff\xd8\xff\xe0')


def test_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(mot_table, 'MAX_BYTES', 10)
    with pytest.raises(UserError, match='split it'):
        read(tmp_path, DETECTION)


def test_frames_are_sorted_and_rows_of_a_frame_keep_their_order(tmp_path):
    lines = [f'{frame},-1,{x},1,5,5,0.5' for x, frame in enumerate([3, 1, 3, 1, 2, 3])]
    rows = read(tmp_path, '\n'.join(lines))
    assert rows.frame.tolist() == [1, 1, 2, 3, 3, 3]
    assert rows.xyxy[:, 0].tolist() == [1, 3, 4, 0, 2, 5]


def test_frames_without_rows_are_empty_not_skipped(tmp_path):
    rows = read(tmp_path, '2,-1,1,1,5,5,.5\n4,-1,1,1,5,5,.5\n4,-1,2,1,5,5,.5')
    assert [len(frame) for frame in rows.by_frame()] == [0, 1, 0, 2]
    assert [len(frame) for frame in rows.by_frame(6)] == [0, 1, 0, 2, 0, 0]


def test_repeated_detections_are_read_once(tmp_path):
    other = '1,-1,10,20,30,40,0.6'
    rows = read(tmp_path, '\n'.join([DETECTION, other, DETECTION, other, DETECTION]))
    assert rows.score.tolist() == [0.5, 0.6]


@pytest.mark.parametrize('kind', ['gt', 'tracks'])
def test_an_id_is_in_a_frame_once(tmp_path, kind):
    text = '2,7,1,1,5,5,1\n1,7,1,1,5,5,1\n2,8,1,1,5,5,1\n2,7,9,9,5,5,1\n'
    with pytest.raises(UserError, match=r'file\.txt:4: .*already'):
        read(tmp_path, text, kind)


@pytest.mark.parametrize('kind', ['gt', 'tracks'])
def test_tracks_and_truth_need_an_id(tmp_path, kind):
    with pytest.raises(UserError, match=r':1: the id'):
        read(tmp_path, '1,-1,1,1,5,5,1', kind)


def test_files_without_scores(tmp_path):
    assert read(tmp_path, '1,-1,1,1,5,5').score.tolist() == [1]
    assert read(tmp_path, '1,-1,1,1,5,5,-1\n2,-1,1,1,5,5,-1').score.tolist() == [1, 1]
    assert read(tmp_path, '1,1,1,1,5,5,-1', 'tracks').score.tolist() == [1]


def test_scores_of_another_range(tmp_path):
    text = '1,-1,1,1,5,5,-1\n1,-1,2,1,5,5,69.5\n1,-1,3,1,5,5,140\n1,-1,4,1,5,5,150\n'
    with pytest.raises(UserError, match='span -1 to 150'):
        read(tmp_path, text)
    assert read(tmp_path, text, score_range=(-1, 140)).score.tolist() == [0, 0.5, 1, 1]
    for bad in (1, 1), (2, 1), (0, np.nan), (-np.inf, 1):
        with pytest.raises(UserError, match='lower one first'):
            read(tmp_path, text, score_range=bad)


def test_tracks_keep_any_score(tmp_path):
    assert read(tmp_path, '1,1,1,1,5,5,117.5', 'tracks').score.tolist() == [117.5]


@pytest.mark.parametrize(
    ('columns', 'label', 'consider'),
    [
        ('', 1, True),  # boxes only
        (',1', 1, True),  # no class
        (',0', 1, False),  # to be ignored
        (',1,7,0.5', 7, True),  # MOT16 and later: a distractor class
        (',0,12,1', 12, False),
        (',1,-1,-1', 1, True),
        (',1,4.4852,5.5016,0', 1, True),  # MOT15: world coordinates
        (',1,-1,-1,-1', 1, True),
    ],
)
def test_truth_has_flag_and_class(tmp_path, columns, label, consider):
    rows = read(tmp_path, f'1,3,1,1,5,5{columns}', 'gt')
    assert rows.label.tolist() == [label]
    assert rows.consider.tolist() == [consider]
    assert rows.score.tolist() == [1]


def test_truth_refuses_half_a_class(tmp_path):
    with pytest.raises(UserError, match=r':1: the class'):
        read(tmp_path, '1,3,1,1,5,5,1,1.5,1', 'gt')


def test_columns_that_mean_nothing_may_be_anything(tmp_path):
    assert len(read(tmp_path, f'{DETECTION},nan,inf,1e300')) == 1


boxes = st.tuples(
    st.floats(-5000, 5000), st.floats(-5000, 5000), st.floats(0.01, 5000), st.floats(0.01, 5000)
)
tables = st.dictionaries(
    st.tuples(st.integers(1, 300), st.integers(0, 2**32 - 1)),
    st.tuples(boxes, st.floats(0, 1)),
    max_size=20,
)


@FUZZ
@given(table=tables)
def test_round_trip(tmp_path, table):
    frame_id = np.array(list(table), np.int64).reshape(-1, 2)
    xywh = np.array([box for box, _ in table.values()]).reshape(-1, 4)
    rows = MotRows.of(
        frame_id[:, 0],
        frame_id[:, 1],
        np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        [score for _, score in table.values()],
    )
    file = tmp_path / 'tracks.txt'
    write_mot(file, rows, force=True)
    back = read_mot(file, kind='tracks')
    np.testing.assert_array_equal(back.frame, rows.frame)
    np.testing.assert_array_equal(back.id, rows.id)
    np.testing.assert_allclose(back.xyxy, rows.xyxy, atol=1.01e-3)
    np.testing.assert_allclose(back.score, rows.score, rtol=1e-5)


def test_written_text(tmp_path):
    rows = MotRows.of([1, 2], [3, 4], [[1, 2, 3.5, 5], [0.12345, 0, 1, 1]], [0.987654321, 1])
    write_mot(tmp_path / 'a.txt', rows)
    assert (tmp_path / 'a.txt').read_text() == (
        '1,3,1.000,2.000,2.500,3.000,0.987654,-1,-1,-1\n2,4,0.123,0.000,0.877,1.000,1,-1,-1,-1\n'
    )


def test_long_files_are_written_in_blocks(tmp_path):
    n = 20_001
    rows = MotRows.of(np.arange(1, n + 1), np.zeros(n), np.tile([0, 0, 1, 1], (n, 1)))
    write_mot(tmp_path / 'long.txt', rows)
    assert len(read_mot(tmp_path / 'long.txt', kind='tracks')) == n


numbers = st.one_of(
    st.integers(-3, 20).map(str),
    st.floats(width=32).map(str),
    st.sampled_from(['', ' ', 'x', '1e999', '-', '1_0', '٣', '\x00', '"', '#', 'nan', '0x10']),
)
lines = st.lists(st.lists(numbers, min_size=1, max_size=12).map(','.join), max_size=6)


@FUZZ
@given(
    content=st.one_of(st.binary(max_size=200), lines.map('\n'.join).map(str.encode)),
    kind=st.sampled_from(['det', 'gt', 'tracks']),
)
def test_anything_is_read_or_refused_in_one_line(tmp_path, content, kind):
    try:
        rows = read(tmp_path, content, kind)
    except UserError as error:
        assert str(error).count('\n') == 0
        return
    assert np.isfinite(rows.xyxy).all()
    assert (rows.xyxy[:, 2:] >= rows.xyxy[:, :2]).all()
    assert (np.diff(rows.frame) >= 0).all()


@FUZZ
@given(data=st.data())
def test_mutated_files_are_read_or_refused(tmp_path, data):
    good = '\n'.join(f'{frame},-1,{frame}.5,2,30,40,0.{frame}' for frame in range(1, 8)).encode()
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 5))
    mutated = good[:at] + data.draw(st.binary(max_size=5)) + good[at + cut :]
    try:
        read(tmp_path, mutated)
    except UserError as error:
        assert 'file.txt' in str(error)


def test_both_ways_of_parsing_agree(tmp_path):
    rng = np.random.default_rng(3)
    table = np.column_stack(
        [rng.integers(1, 99, 500), rng.integers(0, 9, 500), rng.random((500, 4)) * 999 + 1]
    )
    text = '\n'.join(','.join(f'{value:.5f}' for value in row) for row in table).split('\n')
    fast = mot_table._parse_at_once(text)
    slow = mot_table._parse_by_line(Path('x'), text).values[:, :6]
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize(
    ('file', 'kind', 'rows', 'last'),
    [
        ('dancetrack/val/dancetrack0005/det/det.txt', 'det', 4796, 1203),
        ('dancetrack/val/dancetrack0005/gt/gt.txt', 'gt', 4739, 1203),
        ('mot17/val_half/MOT17-04-FRCNN/gt/gt.txt', 'gt', 54149, 524),
        ('sportsmot/val/v_00HRwkvvjtQ_c001/gt/gt.txt', 'gt', 11276, 1162),  # ', ' between columns
        ('frames/TUD-Stadtmitte/gt/gt.txt', 'gt', 1156, 179),  # MOT15, ten columns
        ('video/vtest/gt/gt.txt', 'gt', 4650, 795),
    ],
)
def test_real_files(shared_data, file, kind, rows, last):
    table = read_mot(shared_data / file, kind=kind)
    assert len(table) == rows
    assert table.last_frame == last


def test_real_classes_and_scores(shared_data):
    truth = read_mot(shared_data / 'mot17/val_half/MOT17-02-FRCNN/gt/gt.txt', kind='gt')
    assert (truth.label == 7).any()
    assert (truth.consider & (truth.label == 1)).any()
    with pytest.raises(UserError, match=r'det\.txt:1: .*--score-range'):
        read_mot(shared_data / 'frames/TUD-Stadtmitte/det/det.txt', kind='det')
    scores = read_mot(
        shared_data / 'frames/TUD-Stadtmitte/det/det.txt', kind='det', score_range=(-1, 140)
    ).score
    assert 0 <= scores.min() < scores.max() <= 1
