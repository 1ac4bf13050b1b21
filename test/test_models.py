"""Models: what a configuration asks for is loaded, warmed up, named; what is missing is said."""

from __future__ import annotations

import sys
from dataclasses import replace

import cv2
import pytest
import tiny_networks
import tiny_sam2

from mot_perception.config import Config
from mot_perception.errors import UserError
from mot_perception.models import Models, load_models
from mot_perception.perception.people_detector import PeopleDetector
from mot_perception.pipeline import Pipeline
from mot_perception.scenes.scene import make_scene
from mot_perception.types import Detections


def config_of(**sections):
    return Config.model_validate(sections)


def test_nothing_is_loaded_that_nobody_asked_for():
    assert load_models(config_of(detector={'backend': 'topic'})) == Models()
    assert Models().memory() == {}
    Models().close()


def test_without_weights():
    models = load_models(
        config_of(
            depth={'backend': 'topic'},
            masks={'backend': 'depth'},
            appearance={'backend': 'stripes'},
        )
    )
    assert models.class_names == ('person',)
    assert models.names == {
        'detector': f'hog (OpenCV {cv2.__version__})',
        'masks': 'depth',
        'appearance': 'colour stripes',
    }
    assert models.depth is None
    assert models.masks is not None
    assert models.appearance is not None
    assert models.memory() == {}
    models.close()


def test_each_is_warmed_up(monkeypatch):
    seen = []
    detect = PeopleDetector.detect
    monkeypatch.setattr(
        PeopleDetector, 'detect', lambda *args: seen.append(args[1]) or detect(*args)
    )
    load_models(Config())
    ((image,),) = seen
    assert image.shape == (360, 640, 3)
    assert not image.any()


def test_lowest_score_reaches_the_detector():
    image = next(iter(make_scene(figures=4, width=640, height=360, seed=5))).frame.image
    found, nothing = (
        load_models(config_of(detector={'score': score})).detector.detect([image])[0]
        for score in (0.1, 1)
    )
    assert len(found) > len(nothing) == 0


class TestNetworks:
    @pytest.fixture(scope='class')
    def detector(self, tmp_path_factory):
        return tiny_networks.detector(tmp_path_factory.mktemp('models') / 'finder', 'rt_detr_v2')

    @pytest.fixture(scope='class')
    def depth(self, tmp_path_factory):
        return tiny_networks.depth_estimator(tmp_path_factory.mktemp('models') / 'far')

    def asked(self, detector=None, depth=None, device='cpu'):
        sections = {'models': {'device': device}}
        if detector is not None:
            sections['detector'] = {'backend': 'transformers', 'model': str(detector)}
        if depth is not None:
            sections['depth'] = {'backend': 'transformers', 'model': str(depth)}
        return config_of(**sections)

    def test_loaded(self, detector, depth, device):
        models = load_models(self.asked(detector, depth, device))
        assert models.class_names == tuple(tiny_networks.NAMES.values())
        assert set(models.names) == {'detector', 'depth'}
        assert models.names['detector'].startswith('finder (sha256 ')
        assert models.names['depth'].startswith('far (sha256 ')
        assert bool(models.memory()) == device.startswith('cuda')
        models.close()
        assert models.memory() == {}

    @pytest.mark.parametrize('library', ['torch', 'transformers'])
    @pytest.mark.parametrize('role', ['detector', 'depth'])
    def test_library_is_missing(self, library, role, detector, depth, monkeypatch):
        monkeypatch.setitem(sys.modules, library, None)
        asked = {'detector': detector, 'depth': depth}[role]
        with pytest.raises(UserError, match=rf'^{library}: not installed; run "pip install .mot_'):
            load_models(self.asked(**{role: asked}))

    def test_folder_is_missing(self, tmp_path):
        pytest.importorskip('torch')
        pytest.importorskip('transformers')
        for role in ('detector', 'depth'):
            with pytest.raises(UserError, match='nowhere: no such folder'):
                load_models(self.asked(**{role: tmp_path / 'nowhere'}))

    def test_of_another_kind(self, detector, depth):
        with pytest.raises(UserError, match='is no network for object detection'):
            load_models(self.asked(detector=depth))
        with pytest.raises(UserError, match='is no network for depth estimation'):
            load_models(self.asked(depth=detector))

    def test_device_is_missing(self, detector):
        torch = pytest.importorskip('torch')
        if torch.cuda.is_available():
            pytest.skip('there is a GPU')
        with pytest.raises(UserError, match=r"models\.device 'cuda'"):
            load_models(self.asked(detector, device='cuda'))


class TestDepthSegmentation:
    """Masks by SAM 2 and vectors by an encoder, from pixels to tracks."""

    @pytest.fixture(scope='class')
    def asked(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp('models')
        pytest.importorskip('torch')
        from mot_perception.depthseg.checkpoint import save_autoencoder
        from mot_perception.depthseg.crop_autoencoder import CropAutoencoder

        save_autoencoder(CropAutoencoder(), folder / 'crop.safetensors', {})
        return {
            'depth': {'backend': 'topic'},
            'masks': {'backend': 'sam2', 'model': str(tiny_sam2.saved(folder / 'sam'))},
            'depthseg': {'backend': 'encoder', 'model': str(folder / 'crop.safetensors')},
        }

    @pytest.mark.parametrize('prompts', ['detections', 'tracks'])
    def test_from_pixels_to_tracks(self, asked, prompts, device):
        asked = asked | {'masks': asked['masks'] | {'prompts': prompts}}
        config = config_of(models={'device': device}, **asked)
        models = load_models(config)
        assert set(models.names) == {'detector', 'masks', 'depthseg'}
        pipeline = Pipeline(config, models)
        for shot in make_scene(figures=3, frames=4, width=320, height=180, seed=5):
            tracked = pipeline.step(shot.frame, Detections.of(shot.boxes))
        assert len(tracked.tracks) == len(shot.boxes)
        assert tracked.masks.shape[0] == len(shot.boxes)
        assert pipeline.tracker.tracklets.depthseg.shape[1] == 128
        assert {'masks', 'depth-segmentation'} <= pipeline.timings.keys()
        models.close()

    def test_cues_are_off_where_images_or_depth_are_missing(self, asked):
        pipeline = Pipeline(config_of(**asked))
        shot = make_scene(figures=3, frames=1, width=320, height=180, seed=5)[0]
        for lacking in ({'depth': None}, {'image': None}, {}, {'depth': None}):
            tracked = pipeline.step(replace(shot.frame, **lacking), Detections.of(shot.boxes))
            assert len(tracked.tracks) == len(shot.boxes)

    @pytest.mark.parametrize(
        ('section', 'library'),
        [('masks', 'sam2'), ('depth', 'depth_pro'), ('appearance', 'fastreid')],
    )
    def test_packages_that_are_not_installed(self, section, library, monkeypatch):
        pytest.importorskip('torch')
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UserError, match=rf'^the package {library} is not installed: run'):
            load_models(config_of(**{section: {'backend': 'native', 'model': 'weights.pt'}}))


def test_onnx_runtime_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match=r'onnxruntime: not installed.*mot_perception\[onnx\]'):
        load_models(config_of(detector={'backend': 'onnx', 'model': 'a.onnx'}))


def test_classes_that_a_detector_does_not_know():
    assert load_models(config_of(detector={'classes': ['person']})).class_names == ('person',)
    with pytest.raises(UserError, match=r"'dog' is no class of hog"):
        load_models(config_of(detector={'classes': ['dog']}))
