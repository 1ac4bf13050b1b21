"""Every verb end to end on a small scene, as a function and as a program."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_networks
from rich.console import Console

import mot_perception
from mot_perception.bags.mot import read_mot
from mot_perception.bags.reader import open_bag
from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.tracks_bag import read_tracks
from mot_perception.cli.bench import (
    FDTA,
    WINDOW,
    _crowd,
    _table,
    bench,
    fdta_embeddings,
    fdta_tracker,
)
from mot_perception.cli.demo import demo
from mot_perception.cli.evaluate import evaluate
from mot_perception.cli.main import app, main
from mot_perception.cli.replay import ReplayResult, replay
from mot_perception.cli.scene import _items, scene
from mot_perception.errors import UserError
from mot_perception.scenes.scene import make_scene
from mot_perception.types import NANOSECONDS, Detections, Frame

FRAMES = 45


@pytest.fixture(scope='module')
def bag(tmp_path_factory) -> Path:
    return scene(
        tmp_path_factory.mktemp('cli') / 'hall',
        people=4,
        seconds=FRAMES / 30,
        size=(320, 180),
        seed=5,
        quiet=True,
    )


@pytest.fixture(scope='module')
def result(bag, tmp_path_factory):
    out = tmp_path_factory.mktemp('result') / 'out'
    return replay(bag, out=out, config='selftrencmot', quiet=True)


@pytest.fixture
def sequence(tmp_path) -> Path:
    """A MOTChallenge sequence without images: two people walk apart."""
    return make_sequence(tmp_path / 'apart')


def make_sequence(folder: Path, frames: int = 20) -> Path:
    (folder / 'gt').mkdir(parents=True)
    (folder / 'det').mkdir()
    rows = [
        (t, k, 100 + (2 * k - 3) * 3 * t, 50, 30, 80) for t in range(1, frames + 1) for k in (1, 2)
    ]
    box = '{0},{1},{2},{3},{4},{5}'
    (folder / 'gt/gt.txt').write_text(''.join(f'{box},1,1,1\n'.format(*row) for row in rows))
    (folder / 'det/det.txt').write_text(
        ''.join(f'{box},0.9,-1,-1,-1\n'.format(row[0], -1, *row[2:]) for row in rows)
    )
    (folder / 'seqinfo.ini').write_text(
        f'[Sequence]\nname={folder.name}\nframeRate=20\nseqLength={frames}\n'
        'imWidth=640\nimHeight=360\n'
    )
    return folder


def class_names(bag: Path) -> set[str]:
    """Names of the classes of all objects in a bag of tracks."""
    from rosbags.highlevel import AnyReader

    from mot_perception.messages.typestore import typestore

    with AnyReader([bag], default_typestore=typestore()) as reader:
        messages = [reader.deserialize(m[2], m[0].msgtype) for m in reader.messages()]
    return {found.class_name for message in messages for found in message.objects}


def columns(found):
    return found.xyxy, found.score, found.label


def gist(scores):
    """Metrics but for the last digits, which text rounds."""
    all_of_it = scores.combined
    counts = all_of_it.IDSW, all_of_it.FP, all_of_it.FN, all_of_it.frames, all_of_it.ids
    return counts, round(all_of_it.HOTA, 1), round(all_of_it.IDF1, 1)


class TestReplay:
    def test_writes_all_outputs(self, result):
        names = sorted(path.name for path in result.out.iterdir())
        assert names == ['hall.mp4', 'hall.txt', 'report.html', 'run.json', 'tracks']

    def test_tracks_people(self, result):
        assert result.frames == FRAMES
        assert result.scores.combined.gt_ids == 4
        assert result.scores.combined.HOTA > 60

    def test_text_holds_confirmed_tracks_with_real_scores(self, result):
        rows = read_mot(result.out / 'hall.txt', kind='tracks')
        np.testing.assert_allclose(rows.xyxy, result.runs[0].rows.xyxy, atol=2e-3)
        np.testing.assert_array_equal(rows.id, result.runs[0].rows.id)
        assert 0 < rows.score.min() < rows.score.max() <= 1

    def test_bag_holds_every_frame(self, result):
        from rosbags.highlevel import AnyReader

        from mot_perception.messages.typestore import typestore

        with AnyReader([result.out / 'tracks'], default_typestore=typestore()) as reader:
            messages = [reader.deserialize(m[2], m[0].msgtype) for m in reader.messages()]
        assert len(messages) == FRAMES
        assert [m.frame_index for m in messages] == list(range(FRAMES))
        assert all(m.depth_is_metric for m in messages)

    def test_video_has_every_frame(self, result):
        video = cv2.VideoCapture(str(result.out / 'hall.mp4'))
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES

    def test_run_json_says_what_ran(self, result, bag):
        run = json.loads((result.out / 'run.json').read_text('utf-8'))
        assert run['versions']['mot_perception'] == mot_perception.__version__
        assert run['configuration']['appearance']['backend'] == 'stripes'
        assert run['frames'] == {'hall': FRAMES}
        assert set(run['milliseconds']) >= {'association', 'appearance', 'masks'}
        assert {Path(name).name for name in run['sha256']} >= {'hall.mcap'}
        assert all(len(digest) == 64 for digest in run['sha256'].values())

    def test_report_is_self_contained(self, result):
        html = (result.out / 'report.html').read_text('utf-8')
        assert 'hall' in html
        assert 'src="http' not in html
        assert 'href="http' not in html

    def test_same_input_same_tracks(self, result, bag, tmp_path):
        again = replay(bag, out=tmp_path / 'again', config='selftrencmot', quiet=True)
        text = (again.out / 'hall.txt').read_bytes()
        assert text == (result.out / 'hall.txt').read_bytes()

    def test_sequence_without_images_has_no_video(self, sequence, tmp_path):
        made = replay(sequence, out=tmp_path / 'out', quiet=True)
        assert not list(made.out.glob('*.mp4'))
        assert made.scores.combined.IDSW == 0
        assert made.runs[0].size == (640, 360)

    def test_set_has_a_text_and_a_bag_each(self, tmp_path):
        for name in ('one', 'two'):
            make_sequence(tmp_path / 'set' / name)
        made = replay(tmp_path / 'set', out=tmp_path / 'out', quiet=True)
        names = {path.relative_to(made.out).as_posix() for path in made.out.rglob('*')}
        assert {'one.txt', 'two.txt', 'tracks/one', 'tracks/two', 'report.html'} <= names
        assert [row.name for row in made.scores.sequences] == ['one', 'two']

    def test_detections_from_a_file(self, sequence, tmp_path):
        """A folder of images and the det.txt of another program."""
        images = tmp_path / 'images'
        images.mkdir()
        for index in range(20):
            cv2.imwrite(str(images / f'{index:06d}.jpg'), np.zeros((360, 640, 3), np.uint8))
        det = sequence / 'det/det.txt'
        made = replay(images, detections=det, fps=20, out=tmp_path / 'out', quiet=True)
        direct = replay(sequence, out=tmp_path / 'direct', quiet=True)
        assert made.scores is None
        assert (made.out / 'images.txt').read_bytes() == (direct.out / 'apart.txt').read_bytes()
        assert (made.out / 'images.mp4').exists()

    def test_scores_of_another_range(self, sequence, tmp_path):
        det = sequence / 'det/det.txt'
        before = replay(sequence, out=tmp_path / 'before', quiet=True)
        det.write_text(det.read_text().replace(',0.9,', ',130,'))
        after = replay(sequence, score_range=(-50, 150), out=tmp_path / 'after', quiet=True)
        assert (after.out / 'apart.txt').read_bytes() == (before.out / 'apart.txt').read_bytes()

    def test_interpolation_is_asked_for(self, tmp_path):
        """A detector that sees nothing in frames 40 to 45 leaves a gap; filling it is a choice."""
        folder = make_sequence(tmp_path / 'gap', frames=60)
        det = folder / 'det/det.txt'
        seen = [
            row for row in det.read_text().splitlines() if not 40 <= int(row.split(',')[0]) <= 45
        ]
        det.write_text('\n'.join(seen))
        as_is = replay(folder, out=tmp_path / 'as_is', quiet=True)
        filled = replay(folder, out=tmp_path / 'filled', interpolate=True, quiet=True)
        assert not np.isin(as_is.runs[0].rows.frame, range(40, 46)).any()
        assert set(filled.runs[0].rows.frame) >= set(range(40, 46))

    def test_no_evaluate(self, sequence, tmp_path):
        assert replay(sequence, out=tmp_path / 'out', evaluate=False, quiet=True).scores is None

    def test_outputs_can_be_switched_off(self, bag, tmp_path):
        config = tmp_path / 'c.yaml'
        config.write_text('output: {video: false, bag: false, report: false}')
        made = replay(bag, out=tmp_path / 'out', config=str(config), quiet=True)
        assert sorted(path.name for path in made.out.iterdir()) == ['hall.txt', 'run.json']


class TestModels:
    @pytest.fixture(scope='class')
    def images(self, tmp_path_factory) -> Path:
        """Four people, whom nobody has detected."""
        folder = tmp_path_factory.mktemp('models') / 'street'
        folder.mkdir()
        for moment in make_scene(figures=4, frames=12, width=480, height=270, seed=5):
            cv2.imwrite(str(folder / f'{moment.frame.index:04d}.png'), moment.frame.image)
        return folder

    def test_detects_where_nobody_has(self, images, tmp_path, capsys):
        made = replay(images, fps=30, out=tmp_path / 'out')
        assert len(np.unique(made.runs[0].rows.id)) >= 2
        name = f'hog (OpenCV {cv2.__version__})'
        assert f'detector: {name}\n' in capsys.readouterr().out
        assert json.loads((made.out / 'run.json').read_text('utf-8'))['models'] == {
            'detector': name
        }
        assert len(made.runs[0].seconds['detection']) == 12
        assert name in (made.out / 'report.html').read_text('utf-8')

    def test_names_of_the_detectors_classes(self, images, tmp_path):
        made = replay(images, fps=30, out=tmp_path / 'out', quiet=True)
        assert class_names(made.out / 'tracks') == {'person'}

    def test_names_of_the_topics_classes(self, result):
        assert class_names(result.out / 'tracks') == {'person'}

    def test_detections_of_the_input_come_first(self, bag, tmp_path):
        """No detector is even loaded."""
        config = tmp_path / 'c.yaml'
        config.write_text('detector: {backend: transformers, model: ./nowhere}')
        made = replay(bag, out=tmp_path / 'out', config=str(config), quiet=True)
        assert made.models == {}
        assert 'detection' not in made.runs[0].seconds

    def test_the_detector_may_be_asked_for(self, bag, tmp_path):
        made = replay(bag, out=tmp_path / 'out', detect=True, quiet=True)
        assert made.models.keys() == {'detector'}
        assert len(made.runs[0].seconds['detection']) == FRAMES
        det = tmp_path / 'det.txt'
        with pytest.raises(UserError, match='give one of them'):
            replay(bag, out=tmp_path / 'two', detect=True, detections=det, quiet=True)

    @pytest.mark.parametrize(
        ('backend', 'metric'), [('none', False), ('topic', True), ('transformers', False)]
    )
    def test_depth_is_the_one_that_is_asked_for(self, bag, tmp_path, backend, metric):
        """The bag has depth in metres, the network's is relative."""
        config = tmp_path / 'c.yaml'
        model = ''
        if backend == 'transformers':
            model = tiny_networks.depth_estimator(tmp_path / 'far')
        config.write_text(f'depth: {{backend: {backend}, model: "{model}"}}')
        made = replay(bag, out=tmp_path / 'out', config=str(config), quiet=True)
        assert ('depth' in made.runs[0].seconds) == (backend == 'transformers')
        assert ('object depth' in made.runs[0].seconds) == (backend != 'none')
        assert all(found.depth_is_metric == metric for found in read_tracks(made.out / 'tracks'))


class TestTime:
    """Bags whose stamps are not those of a metronome: text and bag of the result agree."""

    def replayed(self, tmp_path, change):
        """Replay a scene whose items `change` has altered; both scores must be the same."""
        truth = _items(make_scene(figures=3, frames=40, width=160, height=90, seed=2), 2)
        with SceneBagWriter(tmp_path / 'bag', class_names=('person',)) as bag:
            for item in truth:
                bag.write(change(item))
        made = replay(tmp_path / 'bag', out=tmp_path / 'out', quiet=True)
        for tracks in ('bag.txt', 'tracks'):
            scores = evaluate(gt=tmp_path / 'bag', tracks=made.out / tracks, quiet=True)
            assert gist(scores) == gist(made.scores)
        return made

    def test_frames_that_the_detector_dropped_keep_their_numbers(self, tmp_path):
        def change(item):
            return replace(item, detections=None) if 20 <= item.frame.index < 30 else item

        made = self.replayed(tmp_path, change)
        assert made.frames == 40
        assert made.runs[0].rows.frame.max() == 40
        assert not np.isin(made.runs[0].rows.frame, range(21, 31)).any()
        assert made.scores.combined.MOTA > 80

    def test_time_jumps_back(self, tmp_path):
        """The tracker starts anew, its ids do not come again, the log keeps its order."""

        def change(item):
            late = replace(item.frame, stamp_ns=item.frame.stamp_ns - NANOSECONDS)
            return replace(item, frame=late) if item.frame.index >= 35 else item

        rows = self.replayed(tmp_path, change).runs[0].rows
        before, after = rows.id[rows.frame <= 35], rows.id[rows.frame > 35]
        assert len(after)
        assert after.min() > before.max()

    def test_every_stamp_is_the_same(self, tmp_path):
        def change(item):
            return replace(item, frame=replace(item.frame, stamp_ns=NANOSECONDS))

        assert self.replayed(tmp_path, change).frames == 40

    def test_detections_of_another_time(self, tmp_path):
        def change(item):
            if item.frame.index % 2:
                return replace(item, detections=None)
            late = item.frame.stamp_ns + 100 * NANOSECONDS
            frame = Frame(late, item.frame.index, item.frame.width, item.frame.height)
            return replace(item, frame=frame, ground_truth=None)

        with pytest.raises(UserError, match='no image has a detection of its time'):
            self.replayed(tmp_path, change)


class TestBagScores:
    @pytest.fixture
    def percent(self, bag, tmp_path) -> Path:
        """A detector that counts in percent."""
        with SceneBagWriter(tmp_path / 'hall') as out:
            for item in open_bag(bag):
                found = item.detections
                out.write(replace(item, detections=replace(found, score=100 * found.score)))
        return tmp_path / 'hall'

    def test_another_range_is_refused(self, percent, tmp_path):
        with pytest.raises(UserError, match=r'/detections: frame 0 has scores .* --score-range'):
            replay(percent, out=tmp_path / 'out', quiet=True)

    def test_range_is_told(self, bag, percent, tmp_path):
        told = replay(percent, score_range=(0, 100), out=tmp_path / 'out', quiet=True)
        same = replay(bag, out=tmp_path / 'same', quiet=True)
        assert gist(told.scores) == gist(same.scores)

    def test_detections_that_are_no_boxes_are_counted(self, bag, tmp_path, capsys):
        with SceneBagWriter(tmp_path / 'nan') as out:
            for item in open_bag(bag):
                found = item.detections
                extra = Detections.of([[np.nan, 0, 1, 1], [5, 5, 4, 9]])
                both = (
                    np.concatenate(pair)
                    for pair in zip(columns(found), columns(extra), strict=True)
                )
                out.write(replace(item, detections=Detections(*both)))
        made = replay(tmp_path / 'nan', out=tmp_path / 'out')
        assert made.runs[0].unusable == 2 * FRAMES
        assert f'{2 * FRAMES} detections have NaN or no size' in capsys.readouterr().out


class TestEvaluate:
    def test_same_numbers_as_replay(self, bag, result, tmp_path):
        scores = evaluate(
            gt=bag, tracks=result.out, json=tmp_path / 's.json', csv=tmp_path / 's.csv', quiet=True
        )
        assert pytest.approx(result.scores.combined.HOTA, abs=0.05) == scores.combined.HOTA
        assert json.loads((tmp_path / 's.json').read_text())['combined']['gt_ids'] == 4
        assert (tmp_path / 's.csv').read_text().startswith('name,HOTA')

    def test_ground_truth_against_itself(self, sequence):
        gt = sequence / 'gt/gt.txt'
        scores = evaluate(gt=gt, tracks=gt, quiet=True)
        assert scores.combined.HOTA == scores.combined.MOTA == scores.combined.IDF1 == 100


class TestScene:
    def test_bag_has_everything(self, bag):
        items = list(open_bag(bag))
        assert len(items) == FRAMES
        item = items[10]
        assert item.frame.image.shape == (180, 320, 3)
        assert item.frame.depth.shape == (180, 320)
        assert item.frame.camera.width == 320
        assert len(item.ground_truth.ids) >= 1
        assert len(item.detections) >= 1

    def test_ground_truth_of_a_sequence_moves_the_people(self, sequence, tmp_path):
        made = scene(tmp_path / 'real', boxes=sequence, size=(320, 180), quiet=True)
        items = list(open_bag(made))
        assert len(items) == 20
        assert items[0].frame.width == 320
        assert items[3].ground_truth.ids.tolist() == [1, 2]


def test_bench_times_every_stage():
    pytest.importorskip('torch')
    results = bench(objects=[3, 51], frames=20, quiet=True)
    stages = {(r.config, r.stage) for r in results}
    assert {('motion', 'association'), ('selftrencmot', 'masks'), ('motion', 'step')} <= stages
    assert all(r.milliseconds > 0 for r in results)
    assert [r.objects for r in results if r.config == FDTA] == [3]  # the dictionary holds 50
    table = Console(width=100)
    with table.capture() as printed:
        table.print(_table(results))
    (row,) = [line for line in printed.get().splitlines() if FDTA in line]
    assert re.search(r'association *│ *[0-9.]+ │ *– │', row)


def test_bench_gives_fdta_a_full_history():
    """Each object keeps its place, so that what is timed is what a long sequence takes."""
    pytest.importorskip('torch')
    tracker = fdta_tracker()
    for (frame, detections), looks in zip(_crowd(3, 40), fdta_embeddings(3), strict=False):
        tracked = tracker.update(frame, detections, looks)
    assert sorted(tracked.tracks.id) == [1, 2, 3]
    assert len(tracker.trajectories.rows.slot) == 3 * (WINDOW - 1)


def test_demo(tmp_path, capfd):
    made = demo(out=tmp_path / 'demo', people=3, seconds=1.0)
    assert (tmp_path / 'demo/crossing/metadata.yaml').exists()
    assert (made.out / 'report.html').exists()
    out, _ = capfd.readouterr()
    for word in ('HOTA', 'AssA', 'DetA', 'IDF1', 'MOTA', 'IDSW', 'association', 'frames/s'):
        assert word in out


class TestProgram:
    def test_version(self, capsys):
        assert main(['--version']) == 0
        assert capsys.readouterr().out.strip() == mot_perception.__version__

    @pytest.mark.parametrize('verb', [command.name for command in app.registered_commands])
    def test_help_shows_an_example(self, verb, capsys):
        assert main([verb, '--help']) == 0
        text = ' '.join(capsys.readouterr().out.split())
        assert f'Example: mot-perception {verb}' in text
        assert 'UserError' not in text

    def test_replay(self, sequence, tmp_path, capsys):
        assert main(['replay', str(sequence), '--out', str(tmp_path / 'out')]) == 0
        out, err = capsys.readouterr()
        assert 'HOTA' in out
        assert '20 frames' in out
        assert '20/20' in err

    def test_quiet(self, sequence, tmp_path, capsys):
        assert main(['replay', str(sequence), '-q', '--out', str(tmp_path / 'out')]) == 0
        assert capsys.readouterr() == ('', '')

    def test_score_range_takes_two_numbers(self, sequence, tmp_path):
        arguments = ['replay', str(sequence), '-q', '--out', str(tmp_path / 'out')]
        assert main([*arguments, '--score-range', '0', '1']) == 0


class TestFdta:
    """Replays in which one network does everything; its weights are random but sure."""

    @pytest.fixture(scope='class')
    def weights(self, tmp_path_factory) -> Path:
        tiny_fdta = pytest.importorskip('tiny_fdta')
        file = tmp_path_factory.mktemp('fdta') / 'bold.safetensors'
        return tiny_fdta.save(tiny_fdta.bold(), file)

    @pytest.fixture(scope='class')
    def config(self, weights, tmp_path_factory) -> str:
        file = tmp_path_factory.mktemp('config') / 'fdta.yaml'
        file.write_text(
            f'{{method: fdta, fdta: {{model: {weights}}}, depth: {{backend: topic}}, '
            'output: {video: false, report: false}}'
        )
        return str(file)

    @pytest.fixture(scope='class')
    def made(self, bag, config, tmp_path_factory) -> ReplayResult:
        out = tmp_path_factory.mktemp('fdta') / 'out'
        return replay(bag, out=out, config=config, quiet=True)

    def test_replay(self, made):
        """Detections of the bag are left alone; its depth is not."""
        assert made.models.keys() == {'fdta'}
        seconds = made.runs[0].seconds
        assert seconds.keys() == {'detection', 'association', 'object depth'}
        assert len(seconds['detection']) == FRAMES
        assert class_names(made.out / 'tracks') == {'person'}
        run = json.loads((made.out / 'run.json').read_text('utf-8'))
        assert run['configuration']['method'] == 'fdta'

    def test_same_input_same_tracks(self, made, bag, config, tmp_path):
        again = replay(bag, out=tmp_path / 'again', config=config, quiet=True)
        text = (again.out / 'hall.txt').read_bytes()
        assert text == (made.out / 'hall.txt').read_bytes()
        assert len(text) > 0

    def test_nothing_to_see(self, sequence, config, tmp_path):
        with pytest.raises(UserError, match=r"has no images, in which method 'fdta'"):
            replay(sequence, out=tmp_path / 'out', config=config, quiet=True)
        assert not (tmp_path / 'out').exists()

    def test_detections_of_others(self, bag, config, tmp_path):
        det = tmp_path / 'det.txt'
        with pytest.raises(UserError, match="--detections: method 'fdta'"):
            replay(bag, out=tmp_path / 'out', config=config, detections=det, quiet=True)

    def test_demo(self, weights, tmp_path, monkeypatch):
        monkeypatch.setattr('mot_perception.models.weights', lambda model: weights)
        made = demo(out=tmp_path / 'demo', tracker='fdta', people=3, seconds=0.5, quiet=True)
        assert made.models.keys() == {'fdta'}
        assert made.scores is not None
