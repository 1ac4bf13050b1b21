from __future__ import annotations

import errno
import resource
import signal

import numpy as np
import pytest

from mot_perception.bags.mot import write_mot
from mot_perception.bags.outputs import whole, writable_folder
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
        with pytest.raises(ValueError, match='fault'), whole(target, force=True) as part:
            make(part)
            raise ValueError('fault')
        assert content(target) == before
        with whole(target, force=True) as part:
            make(part)
        assert content(target) == 'new'
        assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot be written'), whole(tmp_path / 'file' / 'x'):
        pass
    with pytest.raises(UserError, match='not a writable folder'):
        writable_folder(tmp_path / 'file')
    writable_folder(tmp_path / 'new' / 'folder')
    assert list((tmp_path / 'new' / 'folder').iterdir()) == []


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


def test_video_on_a_full_disk(tmp_path, small_disk):
    rng = np.random.default_rng(0)
    with (
        pytest.raises(UserError, match=r'v\.mp4: only \d+ of 9 frames .* is the disk full'),
        AnnotatedVideoWriter(tmp_path / 'v.mp4') as video,
    ):
        for k in range(9):
            frame = Frame(k, k, 960, 540, rng.integers(0, 255, (540, 960, 3), np.uint8))
            video.write(TrackedFrame(frame, Tracks()))
    assert list(tmp_path.iterdir()) == []
