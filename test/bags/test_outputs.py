from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from mot_perception.bags.mot import write_mot
from mot_perception.bags.outputs import whole
from mot_perception.bags.rows import MotRows
from mot_perception.bags.scene_bag import SceneBagWriter
from mot_perception.bags.sequence import Item
from mot_perception.bags.video_writer import AnnotatedVideoWriter
from mot_perception.errors import UserError
from mot_perception.types import Frame, TrackedFrame, Tracks


def make_file(path):
    path.write_text('new')


def make_folder(path):
    path.mkdir()
    (path / 'inside').write_text('new')


def content(path):
    return (path / 'inside').read_text() if path.is_dir() else path.read_text()


@pytest.mark.parametrize('make', [make_file, make_folder])
class TestWhole:
    def test_appears_at_the_end_only(self, tmp_path, make):
        target = tmp_path / 'deep' / 'er' / 'target'
        with whole(target) as part:
            assert part.name == 'target'
            assert not part.exists()
            make(part)
            assert not target.exists()
        assert content(target) == 'new'
        assert list(target.parent.iterdir()) == [target]

    @pytest.mark.parametrize(
        'fault', [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, 'full')]
    )
    def test_leaves_nothing_after_a_fault(self, tmp_path, make, fault):
        expected = UserError if isinstance(fault, OSError) else fault
        with pytest.raises(expected), whole(tmp_path / 'target') as part:
            make(part)
            raise fault
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize('old', [make_file, make_folder])
    def test_replaces_only_by_force(self, tmp_path, make, old):
        target = tmp_path / 'target'
        old(target)
        before = content(target)
        with pytest.raises(UserError, match='--force'), whole(target):
            raise AssertionError('not reached')
        fault = pytest.raises(ValueError, match='fault')
        with fault, whole(target, force=True, sign='inside') as part:
            make(part)
            raise ValueError('fault')
        assert content(target) == before
        with whole(target, force=True, sign='inside') as part:
            make(part)
        assert content(target) == 'new'
        assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize('sign', ['', 'other'])
def test_force_spares_folders_of_another_kind(tmp_path, sign):
    """A slip such as `--out ~ --force` deletes nothing."""
    make_folder(tmp_path / 'home')
    refused = pytest.raises(UserError, match='choose another place')
    with refused, whole(tmp_path / 'home', force=True, sign=sign):
        raise AssertionError('not reached')
    assert content(tmp_path / 'home') == 'new'


@pytest.mark.parametrize('place', ['.', '../here'])
def test_replaces_the_folder_one_is_in(tmp_path, monkeypatch, place):
    make_folder(tmp_path / 'here')
    monkeypatch.chdir(tmp_path / 'here')
    with whole(Path(place), force=True, sign='inside') as part:
        make_file(part)
    assert [path.name for path in tmp_path.iterdir()] == ['here']
    assert content(tmp_path / 'here') == 'new'


def test_errors_name_the_place_that_was_asked_for(tmp_path):
    with pytest.raises(UserError) as caught, whole(tmp_path / 'out') as part:
        raise UserError(f'{part}/tracks: full')
    assert str(caught.value) == f'{tmp_path}/out/tracks: full'


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='file is no folder'), whole(tmp_path / 'file' / 'x'):
        pass


@pytest.fixture
def small_disk():
    """Files cannot grow beyond 64 KiB, as on a disk that is full."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limit[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, handler)


def test_text_on_a_full_disk(tmp_path, small_disk):
    n = 5000
    rows = MotRows.of(np.arange(1, n + 1), np.zeros(n), np.tile([0, 0, 1, 1], (n, 1)))
    with pytest.raises(UserError, match=r'a\.txt: cannot be written \(File too large\)'):
        write_mot(tmp_path / 'a.txt', rows)
    assert list(tmp_path.iterdir()) == []


def test_bag_on_a_full_disk(tmp_path, small_disk):
    frame = Frame(
        0, 0, 640, 480, np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    )
    with (
        pytest.raises(UserError, match=r'b: cannot be written \(File too large\)'),
        SceneBagWriter(tmp_path / 'b') as bag,
    ):
        for _ in range(3):
            bag.write(Item(frame))
    assert list(tmp_path.iterdir()) == []


def test_video_on_a_full_disk(tmp_path, small_disk, capfd):
    rng = np.random.default_rng(0)
    with (
        pytest.raises(UserError, match=r'v\.mp4: only \d+ of 9 frames .* is the disk full'),
        AnnotatedVideoWriter(tmp_path / 'v.mp4') as video,
    ):
        for k in range(9):
            frame = Frame(k, k, 960, 540, rng.integers(0, 255, (540, 960, 3), np.uint8))
            video.write(TrackedFrame(frame, Tracks()))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ('', '')
