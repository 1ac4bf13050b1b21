"""Labels of depth on disk: steady, whole, gone on with after a stop, never of two kinds."""

from __future__ import annotations

import json
import pickle
import weakref

import cv2
import numpy as np
import pytest
import tiny_networks

pytest.importorskip('safetensors')

from mot_perception.bags.depth_labels import SIDECAR, DepthLabels, read_meaning
from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.sequence import GroundTruth, Item
from mot_perception.bags.source import open_source
from mot_perception.cli.fdta_footages import Sources, footages
from mot_perception.cli.main import main
from mot_perception.cli.train_fdta import fdta
from mot_perception.errors import UserError
from mot_perception.training.depth_maps import FRAMES_PER_CHUNK, DepthMaps
from mot_perception.training.fdta import settings as of
from mot_perception.training.fdta.open_footages import open_footages
from mot_perception.training.label_depth import RECIPE, UNFINISHED, label_depth
from mot_perception.training.label_work import plan
from mot_perception.types import Detections, Frame

HEIGHT, WIDTH = 48, 64
SIZE = HEIGHT, WIDTH
BAG_FRAMES = 6


class Flickering:
    """Sees how bright it is, and changes its mind about the scale in each frame."""

    licence, name = 'Apache-2.0', 'flickering (sha256 00000000)'

    def __init__(self, *, metric=False, stop_at=None, name=name, kind=KeyboardInterrupt):
        self.metric, self.stop_at, self.name, self.kind = metric, stop_at, name, kind
        self.calls, self.alive, self.most_alive = 0, weakref.WeakSet(), 0

    def raw(self, image, focal=None):
        if self.calls == self.stop_at:
            raise self.kind
        self.calls += 1
        said = image[::2, ::2, 1].astype(np.float32) / 50 + 1
        number = int(image[0, 0, 0])
        depth = said * np.float32(1 + 0.2 * np.sin(number * 2.4))
        if not self.metric:
            depth += np.float32(np.cos(number * 1.7))
        return depth


class Watched(np.ndarray):
    """An array that a weak reference may be held to."""


def images(folder, count, digits=6):
    """Images of a slope that somebody walks over; the first pixel holds the frame's number."""
    folder.mkdir(parents=True)
    slope = np.linspace(20, 150, HEIGHT)[:, None] + np.linspace(0, 40, WIDTH)
    for number in range(count):
        image = np.repeat(slope[..., None], 3, 2).astype(np.uint8)
        image[20:40, number % 50 : number % 50 + 10] = 230
        image[0, 0, 0] = number
        cv2.imwrite(str(folder / f'{number + 1:0{digits}}.png'), image)
    return folder


def write_bag(path, *, depth=False):
    """A bag of the same; without detections in its first two frames, but in all others."""
    slope = np.linspace(20, 150, HEIGHT)[:, None] + np.linspace(0, 40, WIDTH)
    nobody = Detections.of(np.empty((0, 4)), np.empty(0))
    with SceneBagWriter(path) as writer:
        for k in range(BAG_FRAMES):
            image = np.repeat(slope[..., None], 3, 2).astype(np.uint8)
            image[10:30, 8 * k : 8 * k + 10] = 230
            image[0, 0, 0] = k
            metres = np.full(SIZE, 3, np.float32) if depth else None
            frame = Frame(10**9 + k * 10**8, k, WIDTH, HEIGHT, image, metres)
            truth = GroundTruth(np.array([7]), np.array([[8.0 * k, 10, 8 * k + 10, 30]]))
            writer.write(Item(frame, nobody if k > 1 else None, truth))
    return path


@pytest.fixture
def sequence(tmp_path):
    images(tmp_path / 'set' / 'walk' / 'img1', 40, 8)
    return tmp_path / 'set' / 'walk'


def label(path, estimator, out=None, **options):
    return label_depth(plan([path], out), estimator, **options)


def written(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def sorted_images(sequence):
    return sorted((sequence / 'img1').iterdir())


def read_all(folder, orientation='disparity'):
    labels = DepthLabels(folder)
    stems = sorted(file.stem for file in folder.glob('*.png'))
    return np.stack([labels.read(stem, *SIZE, orientation) for stem in stems])


@pytest.mark.parametrize('metric', [False, True])
def test_labels_are_steady_and_say_what_they_are(sequence, metric):
    assert label(sequence, Flickering(metric=metric)) == 1
    folder = sequence / 'depth'
    values = read_all(folder, 'depth' if metric else 'disparity')
    assert values.shape == (40, *SIZE)
    wall = values[:, 2:18]  # nobody walks there
    assert wall.std(0).max() < 0.5
    assert wall.mean(0).std() > 10
    slope = np.linspace(20, 150, HEIGHT)[:, None] + np.linspace(0, 40, WIDTH)
    correlation = np.corrcoef(wall.mean(0).ravel(), slope[2:18].ravel())[0, 1]
    assert correlation > 0.999
    meaning = read_meaning(folder)
    assert meaning.metric is metric
    assert meaning.orientation == ('depth' if metric else 'disparity')
    assert (meaning.frames, meaning.licence, meaning.recipe) == (40, 'Apache-2.0', RECIPE)
    assert not (sequence / UNFINISHED).exists()


def test_metres_stay_metres(sequence):
    """On the mean over frames: the network's scale is wrong by a sine in each of them."""
    label(sequence, Flickering(metric=True))
    meaning = read_meaning(sequence / 'depth')
    values = read_all(sequence / 'depth', 'depth') * meaning.farthest / 255
    said = [Flickering(metric=True).raw(cv2.imread(str(it))) for it in sorted_images(sequence)]
    expected = cv2.resize(np.mean(said, 0), SIZE[::-1])
    np.testing.assert_allclose(values.mean(0)[2:18], expected[2:18], rtol=0.02)


@pytest.mark.parametrize('kind', [KeyboardInterrupt, UserError('full'), MemoryError])
def test_goes_on_after_a_stop_and_comes_to_the_same(sequence, tmp_path, kind):
    stopped = Flickering(stop_at=FRAMES_PER_CHUNK + 3, kind=kind)
    with pytest.raises(kind if isinstance(kind, type) else type(kind)):
        label(sequence, stopped)
    assert not (sequence / 'depth').exists()
    again = Flickering()
    label(sequence, again)
    assert again.calls == 40 - FRAMES_PER_CHUNK
    label(sequence, Flickering(), tmp_path / 'at once')
    assert written(sequence / 'depth') == written(tmp_path / 'at once' / 'walk' / 'depth')


@pytest.mark.parametrize('damage', ['cut', 'other file', 'gone', 'part'])
def test_unfinished_files_that_are_damaged_are_made_again(sequence, tmp_path, damage):
    with pytest.raises(KeyboardInterrupt):
        label(sequence, Flickering(stop_at=39))
    file = sequence / UNFINISHED / '000000.safetensors'
    data = file.read_bytes()
    if damage == 'cut':
        file.write_bytes(data[: len(data) // 2])
    elif damage == 'other file':
        file.write_bytes(b'something else')
    elif damage == 'gone':
        file.rename(file.with_name('000031.safetensors'))
    else:
        file.rename(file.with_suffix('.part'))
    label(sequence, Flickering())
    label(sequence, Flickering(), tmp_path / 'at once')
    assert written(sequence / 'depth') == written(tmp_path / 'at once' / 'walk' / 'depth')


def test_another_network_does_not_go_on_with_it(sequence):
    with pytest.raises(KeyboardInterrupt):
        label(sequence, Flickering(stop_at=39))
    other = Flickering(name='other (sha256 11111111)')
    label(sequence, other)
    assert other.calls == 40


def test_a_stop_while_labels_are_written_leaves_none(sequence, monkeypatch):
    from mot_perception.training import label_depth as module

    def broken(file, codes):
        if file.stem == '00000007':
            raise KeyboardInterrupt
        file.write_bytes(b'')

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, 'write_label', broken)
        label(sequence, Flickering())
    assert sorted(it.name for it in sequence.iterdir()) == [UNFINISHED, 'img1']
    again = Flickering()
    label(sequence, again)
    assert again.calls == 0
    assert len(list((sequence / 'depth').iterdir())) == 41


def test_finished_ones_are_left_alone(sequence):
    label(sequence, Flickering())
    before = written(sequence / 'depth')
    again = Flickering()
    assert label(sequence, again) == 0
    assert again.calls == 0
    assert written(sequence / 'depth') == before


def test_labels_of_two_networks_do_not_mix_unless_by_force(tmp_path):
    for name in ('one', 'two'):
        images(tmp_path / 'set' / name / 'img1', 3)
    label(tmp_path / 'set' / 'two', Flickering())
    other = Flickering(name='other (sha256 11111111)')
    with pytest.raises(UserError, match=r'two/depth: was made with model .*flickering'):
        label(tmp_path / 'set', other)
    assert other.calls == 0  # said before anything is done
    assert label(tmp_path / 'set', other, force=True) == 2
    assert read_meaning(tmp_path / 'set' / 'two' / 'depth').model == other.name


def test_labels_of_images_that_have_changed(sequence):
    label(sequence, Flickering())
    image = cv2.imread(str(sequence / 'img1' / '00000001.png'))
    cv2.imwrite(str(sequence / 'img1' / '00000001.png'), np.tile(image[:1], (HEIGHT, 1, 1)))
    with pytest.raises(UserError, match='was made with source'):
        label(sequence, Flickering())


@pytest.mark.parametrize('force', [False, True])
def test_published_labels_are_never_replaced(sequence, force):
    (sequence / 'depth').mkdir()
    (sequence / 'depth' / '00000001.png').write_bytes(b'theirs')
    with pytest.raises(UserError, match=rf'has no {SIDECAR}, so it was not made here'):
        label(sequence, Flickering(), force=force)
    assert (sequence / 'depth' / '00000001.png').read_bytes() == b'theirs'


def test_memory_holds_no_whole_sequence(tmp_path):
    images(tmp_path / 'long' / 'img1', 3 * FRAMES_PER_CHUNK)
    alive, most = weakref.WeakSet(), 0

    class Counted(Flickering):
        def raw(self, image, focal=None):
            nonlocal most
            said = super().raw(image, focal).view(Watched)
            alive.add(said)
            most = max(most, len(alive))
            return said

    Watched.__hash__ = lambda self: id(self)
    Watched.__eq__ = lambda self, other: self is other
    label(tmp_path / 'long', Counted())
    assert FRAMES_PER_CHUNK <= most <= FRAMES_PER_CHUNK + 2


def test_same_depth_everywhere(tmp_path):
    folder = tmp_path / 'black' / 'img1'
    folder.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f'{number}.png'), np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(UserError, match='black: the network sees the same depth everywhere'):
        label(tmp_path / 'black', Flickering(metric=True))


class TestPlaces:
    def test_a_folder_of_images_needs_one(self, tmp_path):
        folder = images(tmp_path / 'frames', 3)
        with pytest.raises(UserError, match=r'frames: no MOTChallenge sequence.*--out'):
            label(folder, Flickering())
        label(folder, Flickering(), tmp_path / 'out')
        names = sorted(it.name for it in (tmp_path / 'out' / 'frames' / 'depth').iterdir())
        assert names == ['000001.png', '000002.png', '000003.png', SIDECAR]

    def test_frames_of_a_video_are_counted(self, tmp_path):
        file = tmp_path / 'walk.avi'
        video = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*'MJPG'), 10, SIZE[::-1])
        for image in sorted(images(tmp_path / 'frames', 3).iterdir()):
            video.write(cv2.imread(str(image)))
        video.release()
        label(file, Flickering(), tmp_path / 'out')
        names = sorted(it.name for it in (tmp_path / 'out' / 'walk' / 'depth').iterdir())
        assert names == ['00000001.png', '00000002.png', '00000003.png', SIDECAR]

    def test_a_bag(self, tmp_path):
        from mot_perception.cli.scene import scene

        bag = scene(tmp_path / 'hall', people=2, seconds=0.1, size=(64, 48), quiet=True)
        label(bag, Flickering(), tmp_path / 'out')
        assert read_all(tmp_path / 'out' / 'hall' / 'depth').shape == (3, *SIZE)

    def test_no_images(self, tmp_path):
        (tmp_path / 'boxes' / 'gt').mkdir(parents=True)
        (tmp_path / 'boxes' / 'gt' / 'gt.txt').write_text('1,1,0,0,5,5,1,1,1\n')
        with pytest.raises(UserError, match='boxes: has no images'):
            label(tmp_path / 'boxes', Flickering())

    def test_two_of_one_name(self, tmp_path):
        for side in 'ab':
            images(tmp_path / side / 'walk', 2)
        with pytest.raises(UserError, match='two sequences have this place'):
            plan([tmp_path / side / 'walk' for side in 'ab'], tmp_path / 'out')

    def test_two_images_of_one_stem(self, tmp_path):
        folder = images(tmp_path / 'frames', 2)
        (folder / '000001.bmp').write_bytes((folder / '000001.png').read_bytes())
        with pytest.raises(UserError, match='differ in their suffix alone'):
            label(folder, Flickering(), tmp_path / 'out')


class TestStills:
    @pytest.fixture
    def crowd(self, tmp_path):
        """Images of different sizes, brightness and contrast."""
        (tmp_path / 'crowd' / 'gts').mkdir(parents=True)
        (tmp_path / 'crowd' / 'images').mkdir()
        for number, (width, height) in enumerate([(64, 48), (48, 64), (80, 40)]):
            slope = np.linspace(40 * number, 40 * number + 90, height)[:, None, None]
            image = np.broadcast_to(slope, (height, width, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / 'crowd' / 'images' / f'{number:x}a.png'), image)
        return tmp_path / 'crowd'

    def test_each_in_its_own_range_and_size(self, crowd):
        assert label(crowd, Flickering()) == 1
        labels = DepthLabels(crowd / 'depth')
        for number, (width, height) in enumerate([(64, 48), (48, 64), (80, 40)]):
            values = labels.read(f'{number:x}a', height, width, 'disparity')
            np.testing.assert_allclose(
                values, np.linspace(0, 255, height)[:, None].repeat(width, 1), atol=8
            )
        assert label(crowd, Flickering()) == 0

    def test_metres_are_left_alone(self, crowd):
        label(crowd, Flickering(metric=True))
        labels = DepthLabels(crowd / 'depth')
        farthest = labels.meaning.farthest
        values = labels.read('2a', 40, 80, 'depth') * farthest / 255
        slope = np.linspace(80, 170, 40)
        raw = Flickering(metric=True).raw(cv2.imread(str(crowd / 'images' / '2a.png')))
        assert np.corrcoef(values[:, 0], slope)[0, 1] > 0.999
        np.testing.assert_allclose(np.median(values), np.median(raw), rtol=0.02)

    def test_footage_reads_them(self, crowd):
        from mot_perception.training.fdta.still_footage import open_stills

        for number in range(3):
            (crowd / 'gts' / f'{number:x}a.txt').write_text('0 1 4 4 20 20\n')
        label(crowd, Flickering())
        (first, *_) = open_stills(crowd, 'depth', 300)
        assert np.isfinite(first.view(0).depth).all()

    def test_no_images(self, tmp_path):
        for name in ('images', 'gts'):
            (tmp_path / 'crowd' / name).mkdir(parents=True)
        with pytest.raises(UserError, match='crowd/images: no images'):
            label(tmp_path / 'crowd', Flickering())


class TestBags:
    """A recording without depth of its own, whose detector dropped frames, as footage."""

    @pytest.fixture
    def bag(self, tmp_path):
        return write_bag(tmp_path / 'hall')

    @pytest.fixture
    def labels(self, bag, tmp_path):
        assert label(bag, Flickering(), tmp_path / 'labels') == 1
        return tmp_path / 'labels'

    def test_footage_reads_them(self, bag, labels):
        (footage,) = open_footages([bag], 'disparity', labels=labels)
        again = pickle.loads(pickle.dumps(footage))
        views = [again.view(number) for number in range(len(footage))]
        depth = np.stack([view.depth for view in views])
        np.testing.assert_array_equal(depth, read_all(labels / 'hall' / 'depth'))
        bright = np.stack([view.image[..., 1] for view in views])
        flat = np.concatenate([depth, bright]).reshape(2 * BAG_FRAMES, -1)
        alike = np.corrcoef(flat)[:BAG_FRAMES, BAG_FRAMES:]  # each label with each image
        assert alike.argmax(1).tolist() == [*range(BAG_FRAMES)]
        assert np.diag(alike).min() > 0.98
        assert [view.ids.tolist() for view in views] == [[7]] * BAG_FRAMES
        (footage,) = open_footages([bag], None, labels=labels)
        assert footage.view(0).depth is None

    def test_the_verb_passes_them_on(self, bag, labels, tmp_path):
        settings = of.changed(of.tiny(of.improved()), length=2)
        (footage,), _ = footages(Sources([bag], labels=labels), settings)
        assert np.isfinite(footage.view(0).depth).all()
        with pytest.raises(UserError, match='other/hall/depth: no labels of depth'):
            fdta(data=[bag], out=tmp_path / 'run', labels=tmp_path / 'other', size='tiny')

    def test_every_image_has_one(self, bag, labels):
        """Also those that the detector dropped: else labels would be of other images."""
        assert len(list((labels / 'hall' / 'depth').glob('*.png'))) == BAG_FRAMES
        (replayed,) = open_source(bag)
        assert [item.frame.index for item in replayed] == [2, 3, 4, 5]

    def test_they_go_before_depth_of_the_recording(self, tmp_path):
        rgbd = write_bag(tmp_path / 'rgbd', depth=True)
        (footage,) = open_footages([rgbd], 'depth', labels=tmp_path)
        assert footage.view(1).depth == pytest.approx(np.full(SIZE, 255.0), rel=1e-3)
        label(rgbd, Flickering(), tmp_path / 'labels')
        (footage,) = open_footages([rgbd], 'depth', labels=tmp_path / 'labels')
        assert footage.view(1).depth.std() > 10

    def test_of_no_other_name(self, bag, labels):
        (labels / 'hall').rename(labels / 'Hall')
        with pytest.raises(UserError, match=r'labels/hall/depth: no labels of depth; make them'):
            open_footages([bag], 'depth', labels=labels)

    @pytest.mark.parametrize('number', [3, BAG_FRAMES])
    def test_a_missing_one(self, bag, labels, number):
        (labels / f'hall/depth/{number:08}.png').unlink()
        with pytest.raises(UserError, match=rf'hall/depth/{number:08}.png: no such label'):
            open_footages([bag], 'depth', labels=labels)[0].view(number - 1)

    def test_too_many(self, bag, labels):
        first, extra = (labels / f'hall/depth/{it:08}.png' for it in (1, BAG_FRAMES + 1))
        extra.write_bytes(first.read_bytes())
        expected = rf'{extra.name}: expected none after 00000006.png, as .*hall has 6 images'
        with pytest.raises(UserError, match=expected):
            open_footages([bag], 'depth', labels=labels)

    def test_of_another_size(self, bag, labels):
        file = labels / 'hall/depth/00000002.png'
        cv2.imwrite(str(file), np.zeros((24, 32), np.uint16))
        (footage,) = open_footages([bag], 'depth', labels=labels)
        with pytest.raises(UserError, match=r'00000002.png: label of 32×24 .* image has 64×48'):
            footage.view(1)

    def test_doctor_looks_at_them(self, bag, labels, tmp_path, capsys):
        arguments = ['doctor', str(bag), '--length', '2', '--labels', str(labels), '--quiet']
        report = tmp_path / 'report.json'
        assert main([*arguments, '--json', str(report)]) == 0
        (chart,) = json.loads(report.read_text())
        assert (chart['depth'], chart['findings']) == (BAG_FRAMES, [])
        (labels / 'hall/depth/00000006.png').unlink()
        assert main(arguments) == 2


def test_labels_of_sequences_may_lie_elsewhere(sequence, tmp_path):
    (sequence / 'gt').mkdir()
    (sequence / 'gt' / 'gt.txt').write_text('1,1,4,4,20,20,1,1,1\n')
    label(sequence, Flickering(), tmp_path / 'labels')
    (footage,) = open_footages([sequence.parent], 'depth', labels=tmp_path / 'labels')
    assert footage.view(0).depth.std() > 10
    with pytest.raises(UserError, match='walk/depth: no labels of depth'):
        open_footages([sequence], 'depth', labels=tmp_path / 'nowhere')


class TestMaps:
    def test_round_trip(self, tmp_path):
        random = np.random.default_rng(0)
        maps = [random.normal(5, 2, (7, 9)).astype(np.float32) for _ in range(70)]
        maps[3][2, 2] = np.nan
        maps[4][:] = np.nan
        maps[5][:] = 3
        maps[6] = maps[6][:4].copy()
        stored = DepthMaps(tmp_path / 'maps', {'of': 'this'})
        stored.extend(maps)
        again = DepthMaps(tmp_path / 'maps', {'of': 'this'})
        assert again.frames == 70
        for map_, kept in zip(maps, again, strict=True):
            np.testing.assert_allclose(kept, map_, atol=16 / 65_000)
        assert DepthMaps(tmp_path / 'maps', {'of': 'that'}).frames == 0


@pytest.mark.parametrize('metric', [False, True])
def test_by_a_network_of_transformers(sequence, tmp_path, metric, capsys):
    """The verb, with a tiny Depth Anything V2: labels are what the network says, and no more."""
    torch = pytest.importorskip('torch')
    settings = {'depth_estimation_type': 'metric', 'max_depth': 20} if metric else {}
    model = tiny_networks.depth_estimator(tmp_path / 'Depth-Anything-V2-Small', **settings)
    for file in sorted_images(sequence)[2:]:
        file.unlink()
    arguments = ['label-depth', str(sequence), '--model', str(model), '--device', 'cpu']
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert '1 of 1 sequences' in said.out
    assert 'Apache-2.0' in said.out
    meaning = json.loads((sequence / 'depth' / SIDECAR).read_text())
    assert meaning['metric'] is metric
    from mot_perception.perception.transformers_depth import TransformersDepth

    image = cv2.imread(str(sequence / 'img1' / '00000001.png'))
    raw = TransformersDepth(str(model), device='cpu', half=False).raw(image)
    assert raw.dtype == np.float32
    full = torch.nn.functional.interpolate(
        torch.from_numpy(raw)[None, None], SIZE, mode='bilinear', align_corners=False
    )[0, 0].numpy()
    values = read_all(sequence / 'depth', 'depth' if metric else 'disparity')[0]
    inside = (values > 1) & (values < 254)
    assert inside.mean() > 0.2
    assert np.corrcoef(values[inside], full[inside])[0, 1] > 0.999
    assert main(arguments) == 0
    assert '0 of 1 sequences' in capsys.readouterr().out


@pytest.mark.parametrize('quiet', [[], ['--quiet']])
def test_what_is_not_for_all_uses_is_said_loudly(sequence, tmp_path, quiet, capsys):
    model = tiny_networks.depth_estimator(tmp_path / 'Depth-Anything-V2-Large')
    arguments = ['label-depth', str(sequence), '--model', str(model), '--device', 'cpu']
    assert main(arguments + quiet) == 0
    said = capsys.readouterr()
    assert 'not for commercial use' in ' '.join(said.err.split())
    assert read_meaning(sequence / 'depth').licence == 'CC-BY-NC-4.0: not for commercial use'
    assert bool(said.out) is not bool(quiet)


def test_sources_that_are_none(tmp_path, capsys):
    assert main(['label-depth', str(tmp_path / 'nothing')]) == 2
    assert 'does not exist' in capsys.readouterr().err
