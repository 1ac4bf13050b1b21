"""Ground truth and tracks find each other on disk, or one line says why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from score_cases import perturbed, rows_of
from test_metrics import walkers

from mot_perception.bags.mot import read_mot, write_mot
from mot_perception.bags.source import open_source
from mot_perception.bags.tracks_bag import TracksBagWriter
from mot_perception.errors import UserError
from mot_perception.evaluation.folders import evaluate_folders, folder_pairs
from mot_perception.evaluation.interpolation import interpolate
from mot_perception.evaluation.metrics import evaluate
from mot_perception.evaluation.pairs import SequencePair
from mot_perception.evaluation.track_files import read_tracks
from mot_perception.types import TrackedFrame, Tracks, TrackState

NAMES = 'ballet', 'tango'


def make_sequence(folder, frames=20):
    (folder / 'gt').mkdir(parents=True)
    np.savetxt(folder / 'gt/gt.txt', walkers(frames=frames), delimiter=',', fmt='%g')
    info = f'seqLength={frames}\nframeRate=20\nimWidth=640\nimHeight=360'
    (folder / 'seqinfo.ini').write_text(f'[Sequence]\nname={folder.name}\n{info}\n')
    return folder


def tracks_of(seed):
    return rows_of(np.round(perturbed(walkers(), seed), 3))


@pytest.fixture
def gt(tmp_path):
    for name in NAMES:
        make_sequence(tmp_path / 'gt' / name)
    return tmp_path / 'gt'


@pytest.fixture
def tracks(tmp_path):
    folder = tmp_path / 'out'
    for seed, name in enumerate(NAMES):
        write_mot(folder / f'{name}.txt', tracks_of(seed))
    return folder


@pytest.fixture
def in_memory():
    return evaluate(
        SequencePair(name, rows_of(walkers()), tracks_of(seed), 20)
        for seed, name in enumerate(NAMES)
    )


def test_a_set_scores_as_its_rows(gt, tracks, in_memory):
    scores = evaluate_folders(gt, tracks)
    assert [row.name for row in scores.sequences] == list(NAMES)
    assert pytest.approx(in_memory.combined.HOTA, abs=1e-3) == scores.combined.HOTA
    assert scores.combined.IDSW == in_memory.combined.IDSW


@pytest.mark.parametrize('truth', ['ballet', 'ballet/gt/gt.txt'])
@pytest.mark.parametrize('found', ['', 'ballet.txt'])
def test_one_sequence_by_folder_or_file(gt, tracks, in_memory, truth, found):
    scores = evaluate_folders(gt / truth, tracks / found)
    assert scores.sequences[0].name == 'ballet'
    assert scores.combined.frames == 20
    assert pytest.approx(in_memory.sequences[0].HOTA, abs=1e-3) == scores.combined.HOTA


def test_a_lone_file_is_named_after_itself(gt, tracks, tmp_path):
    lone = (gt / 'tango/gt/gt.txt').rename(tmp_path / 'truth.txt')
    assert evaluate_folders(lone, tracks / 'tango.txt').sequences[0].name == 'truth'


def test_tracks_may_be_processed_first(gt, tracks):
    def fill(rows):
        return interpolate(rows, min_length=1)

    scores = evaluate_folders(gt, tracks, process=fill)
    assert scores.combined.boxes > evaluate_folders(gt, tracks).combined.boxes


def test_a_sequence_without_tracks_is_named(gt, tracks):
    (tracks / 'tango.txt').rename(tracks / 'Tango2.txt')
    with pytest.raises(UserError, match=r'no tracks of tango \(it has Tango2.txt\)'):
        evaluate_folders(gt, tracks)


def test_missing_sequences_count_as_missed_when_allowed(gt, tracks):
    (tracks / 'tango.txt').unlink()
    scores = evaluate_folders(gt, tracks, allow_missing=True)
    assert scores.sequences[1].FN == scores.sequences[1].gt_boxes == 80
    assert scores.sequences[1].HOTA == 0


@pytest.mark.parametrize(
    ('truth', 'found', 'says'),
    [
        ('nowhere', '', 'nowhere: does not exist'),
        ('../out', '', 'out: holds no ground truth'),
        ('', 'nowhere', 'nowhere: does not exist'),
        ('', 'tango.txt', 'one file for 2 sequences'),
    ],
)
def test_what_does_not_belong_together(gt, tracks, truth, found, says):
    with pytest.raises(UserError, match=says) as error:
        evaluate_folders(gt / truth, tracks / found)
    assert '\n' not in str(error.value)


def test_a_sequence_without_truth_is_named(gt, tracks):
    (gt / 'tango/gt/gt.txt').unlink()
    with pytest.raises(UserError, match='tango has no ground truth'):
        evaluate_folders(gt, tracks)


def test_detections_are_not_read(gt, tracks):
    (gt / 'tango/det').mkdir()
    (gt / 'tango/det/det.txt').write_text('no detections')
    assert len(evaluate_folders(gt, tracks).sequences) == 2


def test_a_sequence_without_seqinfo_ends_with_its_last_row(gt, tracks):
    (gt / 'tango/seqinfo.ini').unlink()
    assert evaluate_folders(gt, tracks).sequences[1].frames == 20


def test_tracks_beyond_the_sequence_are_named(gt, tracks):
    write_mot(tracks / 'tango.txt', rows_of(walkers(frames=21)), force=True)
    with pytest.raises(UserError, match='tango: tracks have frame 21'):
        evaluate_folders(gt, tracks)


def write_bag(path, sequence, rows, *, reset_at=None, late_ns=0, topic='/tracks'):
    """Write rows as the node does, with a tentative box that does not count in every frame."""
    with TracksBagWriter(path) as bag:
        for item, found in zip(sequence, rows.by_frame(sequence.length), strict=True):
            reset = reset_at is not None and item.frame.index >= reset_at
            tracks = confirmed(found)
            frame = replace(item.frame, stamp_ns=item.frame.stamp_ns + late_ns)
            bag.write(TrackedFrame(frame, tracks, reset_count=int(reset)), topic)


def confirmed(rows):
    n = len(rows) + 1
    xyxy = np.vstack([rows.xyxy, [[0, 0, 50, 50]]])
    state = np.full(n, TrackState.CONFIRMED, np.int8)
    state[-1] = TrackState.TENTATIVE
    ids = np.concatenate([rows.id % 100_000, [99]]) + 1
    zeros, ints = np.zeros(n), np.zeros(n, np.int64)
    return Tracks(
        ids, state, xyxy, np.full(n, 0.5), zeros, ints.astype(np.int32), ints - 1,
        np.zeros((n, 2)), ints, ints, ints, ints, ints, zeros, zeros,
    )  # fmt: skip


@pytest.mark.parametrize('place', ['bag', 'bag/ballet', 'bag/tracks', 'bag/tracks/ballet'])
def test_tracks_bags_are_found_and_read(gt, tmp_path, place):
    sequence = open_source(gt / 'ballet')[0]
    rows = rows_of(walkers())
    write_bag(tmp_path / place, sequence, rows)
    found = read_tracks(tmp_path / 'bag', sequence)
    np.testing.assert_array_equal(found.frame, rows.frame)
    np.testing.assert_array_equal(found.id, rows.id + 1)
    np.testing.assert_allclose(found.xyxy, rows.xyxy, atol=1e-3)
    assert pytest.approx(100) == evaluate_folders(gt / 'ballet', tmp_path / 'bag').combined.HOTA


def test_a_storage_file_is_a_bag(gt, tmp_path):
    sequence = open_source(gt / 'ballet')[0]
    write_bag(tmp_path / 'bag', sequence, rows_of(walkers()), topic='/ballet/tracks')
    (file,) = (tmp_path / 'bag').glob('*.mcap')
    assert len(read_tracks(file, sequence)) == 80


def test_ids_count_on_after_a_reset(gt, tmp_path):
    sequence = open_source(gt / 'ballet')[0]
    write_bag(tmp_path / 'bag', sequence, rows_of(walkers()), reset_at=10)
    rows = read_tracks(tmp_path / 'bag', sequence)
    assert np.unique(rows.id).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows.id[rows.frame > 10].min() == 5


def test_bags_of_another_recording_are_refused(gt, tmp_path):
    sequence = open_source(gt / 'ballet')[0]
    write_bag(tmp_path / 'bag', sequence, rows_of(walkers()), late_ns=1)
    with pytest.raises(UserError, match='no frame of ballet belongs to the message of 0'):
        evaluate_folders(gt / 'ballet', tmp_path / 'bag')


def test_the_bag_of_another_sequence_is_not_taken(gt, tmp_path):
    """A run of one sequence holds its text and its bag; their stamps may fit another one."""
    sequence = open_source(gt / 'ballet')[0]
    write_bag(tmp_path / 'run/tracks', sequence, rows_of(walkers()))
    write_mot(tmp_path / 'run/ballet.txt', rows_of(walkers()))
    with pytest.raises(UserError, match=r'no tracks of tango \(it has ballet\.txt\)'):
        evaluate_folders(gt / 'tango', tmp_path / 'run')


def test_pairs_come_one_at_a_time(gt, tracks):
    pairs = folder_pairs(gt, tracks)
    first = next(pairs)
    (tracks / 'tango.txt').unlink()
    assert first.name == 'ballet'
    assert len(first.tracks) == len(read_mot(tracks / 'ballet.txt', kind='tracks'))
    with pytest.raises(UserError, match='no tracks of tango'):
        next(pairs)
