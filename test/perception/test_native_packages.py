"""The authors' own packages: called as documented, and what is said where they are not there."""

from __future__ import annotations

import sys

import native_packages
import numpy as np
import pytest

from mot_perception.errors import UserError
from mot_perception.types import Frame

torch = pytest.importorskip('torch')
depth_pro = pytest.importorskip('mot_perception.perception.native_depth_pro')
fastreid = pytest.importorskip('mot_perception.perception.native_fastreid')
sam2 = pytest.importorskip('mot_perception.perception.native_sam2')

KINDS = {
    'depth_pro': depth_pro.NativeDepthPro,
    'sam2': sam2.NativeSam2,
    'fastreid': fastreid.NativeFastReid,
}


class Hostile:
    def __reduce__(self):
        return pytest.fail, ('it ran',)


def line(caught):
    message = str(caught.value)
    assert '\n' not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize('package', KINDS)
class TestMissing:
    def test_not_installed(self, package, monkeypatch):
        monkeypatch.setitem(sys.modules, package, None)
        for name in [name for name in sys.modules if name.startswith(f'{package}.')]:
            monkeypatch.delitem(sys.modules, name)
        with pytest.raises(UserError) as caught:
            KINDS[package]('file', device='cpu')
        message = line(caught)
        assert message.startswith(f'the package {package} is not installed: run "pip install ')
        assert "backend '" in message

    def test_lacks_another(self, package, monkeypatch, tmp_path):
        """As all of them do without torchvision."""
        (tmp_path / package).mkdir()
        (tmp_path / package / '__init__.py').write_text('import torchvision_of_nobody')
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UserError, match=f'package {package} lacks torchvision_of_nobody'):
            KINDS[package]('file', device='cpu')

    def test_broken(self, package, monkeypatch, tmp_path):
        (tmp_path / package).mkdir()
        (tmp_path / package / '__init__.py').write_text(r'raise RuntimeError("no op\nmore")')
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UserError) as caught:
            KINDS[package]('file', device='cpu')
        assert 'cannot be imported (RuntimeError: no op): run' in line(caught)


SIGNATURES = [
    ('depth_pro', 'depth_pro.py', 'create_model_and_transforms'),
    ('depth_pro', 'depth_pro.py', 'infer'),
    ('sam2', 'build_sam.py', 'build_sam2_video_predictor'),
    ('sam2', 'sam2_video_predictor.py', 'init_state'),
    ('sam2', 'sam2_video_predictor.py', 'add_new_points_or_box'),
    ('sam2', 'sam2_video_predictor.py', 'reset_state'),
]


@pytest.mark.parametrize(('package', 'path', 'name'), SIGNATURES)
def test_stand_ins_are_called_like_the_packages(package, path, name):
    expected = native_packages.signature(package, path, name)
    owner = {'infer': native_packages.DepthPro}.get(name, native_packages.Sam2)
    stand_in = getattr(native_packages, name, None) or getattr(owner, name)
    assert native_packages.parameters(stand_in) == expected


class TestDepthPro:
    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        native_packages.depth_pro(monkeypatch)
        torch.save({'scale': torch.ones(1)}, tmp_path / 'depth_pro.pt')
        return tmp_path / 'depth_pro.pt'

    @pytest.fixture
    def image(self):
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., 2] = 51  # red, the last in BGR
        return image

    @pytest.mark.parametrize(('focal', 'expected'), [(None, 2.5), (6.0, 5), (12.0, 10)])
    def test_metres(self, focal, expected, file, image, device):
        estimator = depth_pro.NativeDepthPro(str(file), device=device, half=False)
        depth = estimator.estimate(image, focal)
        assert depth.metric
        np.testing.assert_allclose(depth.map, np.full((4, 6), expected), rtol=1e-4)
        assert estimator.name.startswith('depth_pro, depth_pro.pt (sha256 ')
        assert estimator.name.endswith(', for research only')
        assert (estimator.gpu_bytes() > 0) == device.startswith('cuda')
        estimator.close()

    def test_one_pixel(self, file):
        estimator = depth_pro.NativeDepthPro(str(file), device='cpu')
        assert estimator.estimate(np.zeros((1, 1, 3), np.uint8)).map.shape == (1, 1)

    def test_unknown_is_zero(self, file, image):
        estimator = depth_pro.NativeDepthPro(str(file), device='cpu')
        with torch.no_grad():
            estimator._network.scale.fill_(np.nan)
        assert (estimator.estimate(image).map == 0).all()

    def test_a_layer_that_is_not_applied(self, file):
        torch.save({'scale': torch.ones(1), 'fov.fc_norm.bias': torch.zeros(9)}, file)
        depth_pro.NativeDepthPro(str(file), device='cpu')

    def test_other_weights(self, file):
        torch.save({'scales': torch.ones(1)}, file)
        with pytest.raises(UserError, match=r'1 missing \(scale\); 1 unexpected \(scales\)'):
            depth_pro.NativeDepthPro(str(file), device='cpu')

    def test_hostile(self, file):
        torch.save({'scale': Hostile()}, file)
        with pytest.raises(UserError, match='cannot be read as weights'):
            depth_pro.NativeDepthPro(str(file), device='cpu')

    def test_another_version(self, file, image, monkeypatch):
        estimator = depth_pro.NativeDepthPro(str(file), device='cpu')
        monkeypatch.setattr(native_packages.DepthPro, 'infer', lambda self, x: {})
        with pytest.raises(UserError) as caught:
            estimator.estimate(image)
        assert 'the package depth_pro fails (TypeError: ' in line(caught)

    def test_memory_does_not_suffice(self, file, monkeypatch):
        def full(**_):
            raise torch.OutOfMemoryError('CUDA out of memory')

        monkeypatch.setattr(sys.modules['depth_pro'], 'create_model_and_transforms', full)
        with pytest.raises(UserError, match='memory of the GPU does not suffice'):
            depth_pro.NativeDepthPro(str(file), device='cpu')


class TestSam2:
    HEIGHT, WIDTH = 96, 128
    BOX = 40.0, 20.0, 72.0, 60.0

    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        native_packages.sam2(monkeypatch)
        return self.write(tmp_path / 'sam2.1_hiera_tiny.pt', 12, new=True)

    def write(self, file, blocks, new):
        torch.save({'model': native_packages.Sam2(blocks, new).state_dict()}, file)
        return file

    def frame(self, left, colour=(30, 200, 90)):
        """Return a frame with a rectangle of this colour whose left side is there."""
        image = np.full((self.HEIGHT, self.WIDTH, 3), 40, np.uint8)
        image[20:60, left : left + 32] = colour
        return Frame(0, 0, self.WIDTH, self.HEIGHT, image)

    def expected(self, left):
        x, y = (np.arange(256) + 0.5) / 256 * self.WIDTH, (np.arange(256) + 0.5) / 256 * 96
        return ((y >= 20) & (y < 60))[:, None] & (x >= left) & (x < left + 32)

    def test_backwards(self, file, device):
        """The mask at t−1 lies where the object came from."""
        masks = sam2.NativeSam2(str(file), device=device, half=False)
        assert masks.name.startswith('sam2, sam2.1_hiera_tiny.pt (sha256 ')
        found = masks.step(self.frame(30), self.frame(40), np.array([self.BOX]))
        for mask, left in ((found.current[0], 40), (found.previous[0], 30)):
            assert (mask != self.expected(left)).mean() < 0.02
        assert found.reliable.tolist() == [True]
        masks.close()

    def test_as_many_as_boxes(self, file):
        """In their order; some have no place in the frame."""
        masks = sam2.NativeSam2(str(file), device='cpu')
        nowhere = [[np.nan] * 4, [500, 10, 600, 50], [60, 60, 40, 40], [10, 10, 10, 50]]
        boxes = np.array([nowhere[0], self.BOX, *nowhere[1:], [0, 70, 20, 90]])
        found = masks.step(self.frame(40), self.frame(40), boxes)
        assert found.current.any((1, 2)).tolist() == [False, True, False, False, False, True]
        assert found.reliable.tolist() == [False, True, False, False, False, True]
        np.testing.assert_array_equal(masks.outline(self.frame(40), boxes), found.current)

    def test_none(self, file):
        masks = sam2.NativeSam2(str(file), device='cpu')
        found = masks.step(self.frame(40), self.frame(40), np.empty((0, 4)))
        assert found.current.shape == found.previous.shape == (0, 256, 256)
        assert not masks._predictor.states

    def test_many(self, file):
        """Some at a time: memory does not grow with their number."""
        masks = sam2.NativeSam2(str(file), device='cpu')
        found = masks.outline(self.frame(40), np.tile(self.BOX, (70, 1)))
        assert found.any((1, 2)).all()
        assert [state['most'] for state in masks._predictor.states] == [sam2.AT_ONCE]

    def test_small_in_its_box(self, file):
        masks = sam2.NativeSam2(str(file), device='cpu')
        frame = self.frame(40)
        frame.image[20:60, 40:72] = 40
        frame.image[38:42, 54:58] = 250
        found = masks.step(frame, frame, np.array([self.BOX]))
        assert found.current.any()
        assert found.reliable.tolist() == [False]

    @pytest.mark.parametrize('letter', native_packages.BLOCKS)
    @pytest.mark.parametrize('new', [False, True], ids=['2.0', '2.1'])
    def test_which_configuration(self, letter, new, file):
        """By the weights: a file may have any name."""
        self.write(file, native_packages.BLOCKS[letter], new)
        sam2.NativeSam2(str(file), device='cpu')

    def test_other_weights(self, file):
        self.write(file, 13, new=True)
        with pytest.raises(UserError, match="no weights of SAM 2 by Meta's names"):
            sam2.NativeSam2(str(file), device='cpu')
        weights = native_packages.Sam2(12, new=True).state_dict()
        torch.save({'model': {**weights, 'head.bias': torch.zeros(1)}}, file)
        with pytest.raises(UserError, match=r'1 unexpected \(head.bias\)'):
            sam2.NativeSam2(str(file), device='cpu')

    def test_without_an_image(self, file):
        masks = sam2.NativeSam2(str(file), device='cpu')
        with pytest.raises(ValueError, match='need frames with image'):
            masks.outline(Frame(0, 0, 128, 96), np.array([self.BOX]))

    def test_another_version(self, file, monkeypatch):
        masks = sam2.NativeSam2(str(file), device='cpu')
        monkeypatch.delattr(native_packages.Sam2, 'reset_state')
        with pytest.raises(UserError, match=r'the package sam2 fails \(AttributeError: '):
            masks.outline(self.frame(40), np.array([self.BOX]))


class TestFastReid:
    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        native_packages.fastreid(monkeypatch)
        torch.save({'model': {'weight': torch.ones(1)}}, tmp_path / 'sbs.pth')
        (tmp_path / 'sbs_S50.yml').write_text(f'WEIGHTS: {tmp_path / "sbs.pth"}')
        return tmp_path / 'sbs_S50.yml'

    def test_unit_vectors(self, file, device):
        """Of crops of the size that the configuration says, red first."""
        encoder = fastreid.NativeFastReid(str(file), device=device, half=False)
        assert encoder.name.startswith('fastreid sbs_S50, sbs.pth (sha256 ')
        image = np.zeros((20, 30, 3), np.uint8)
        image[:, :15, 2], image[:, 15:, 0] = 200, 100
        boxes = np.array([[0, 0, 15, 20], [15, 0, 30, 20], [np.nan] * 4, [90, 90, 95, 95]])
        vectors = encoder.embed(image, boxes)
        assert vectors.dtype == np.float32
        assert vectors.shape == (4, 9)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(vectors[0] / vectors[0, 0], [1, 0, 0, *[1] * 6])
        np.testing.assert_allclose(vectors[1] / vectors[1, 2], [0, 0, 1, *[1] * 6])
        encoder.close()

    def test_none_and_many(self, file):
        encoder = fastreid.NativeFastReid(str(file), device='cpu')
        image = np.full((20, 30, 3), 9, np.uint8)
        assert encoder.embed(image, np.empty((0, 4))).shape == (0, 9)
        many = encoder.embed(image, np.tile([0.0, 0, 9, 9], (2 * fastreid.BATCH + 1, 1)))
        assert many.shape == (2 * fastreid.BATCH + 1, 9)

    def test_no_configuration(self, file):
        with pytest.raises(UserError, match=r'nowhere\.yml: no such file'):
            fastreid.NativeFastReid(str(file.with_name('nowhere.yml')), device='cpu')

    def test_no_weights(self, file):
        file.write_text('WEIGHTS: ')
        with pytest.raises(UserError, match=r'MODEL\.WEIGHTS is empty'):
            fastreid.NativeFastReid(str(file), device='cpu')

    def test_hostile(self, file, monkeypatch):
        """The package would unpickle whatever is there; it is looked at before."""
        torch.save({'model': Hostile()}, file.with_name('sbs.pth'))
        monkeypatch.setattr(native_packages.DefaultPredictor, '__init__', pytest.fail)
        with pytest.raises(UserError, match='cannot be read as weights'):
            fastreid.NativeFastReid(str(file), device='cpu')

    def test_another_version(self, file, monkeypatch):
        monkeypatch.setattr(native_packages.DefaultPredictor, '__call__', lambda self, it: None)
        with pytest.raises(UserError, match=r'the package fastreid fails \(AttributeError: '):
            fastreid.NativeFastReid(str(file), device='cpu')
