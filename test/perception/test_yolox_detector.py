"""YOLOX' boxes: which cells become objects, where they lie in the image, what they are called."""

from __future__ import annotations

import hashlib
import math
from functools import cache

import cv2
import numpy as np
import pytest
import tiny_yolox
from naive_boxes import alone

from mot_perception.config import parse_config
from mot_perception.errors import UserError
from mot_perception.models import load_models

torch = pytest.importorskip('torch')
module = pytest.importorskip('mot_perception.perception.yolox_detector')

HEIGHT, WIDTH = 64, 96
SCORE, OVERLAP = 0.05, 0.3


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return tiny_yolox.save(tiny_yolox.decided(), tmp_path_factory.mktemp('yolox') / 'nano.pth')


@pytest.fixture(scope='module')
def make(file, device):
    settings = {'score': SCORE, 'overlap': OVERLAP, 'height': HEIGHT, 'width': WIDTH}
    settings |= {'pixels': 'bgr', 'device': device, 'half': False}

    def detector(**changed):
        return module.YoloxDetector(str(file), **settings | changed)

    return cache(detector)


@pytest.fixture(scope='module')
def image():
    """One that is halved."""
    return np.random.default_rng(0).integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)


def by_hand(image: np.ndarray) -> np.ndarray:
    """Go from cell to cell of the network that is not fused; return rows sorted by score."""
    small = cv2.resize(image, (WIDTH, HEIGHT))
    with torch.inference_mode():
        cells = tiny_yolox.decided()(torch.from_numpy(small).permute(2, 0, 1)[None].float())[0]
    left = iter(cells.tolist())
    rows = []
    for stride in (8, 16, 32):
        for row in range(HEIGHT // stride):
            for column in range(WIDTH // stride):
                dx, dy, log_w, log_h, *logits = next(left)
                there, *classes = (1 / (1 + math.exp(-logit)) for logit in logits)
                x, y = (column + dx) * stride, (row + dy) * stride
                w, h = math.exp(log_w) * stride / 2, math.exp(log_h) * stride / 2
                label = int(np.argmax(classes))
                rows.append([x - w, y - h, x + w, y + h, there * classes[label], label])
    rows = sorted((row for row in rows if row[4] >= SCORE), key=lambda row: -row[4])
    found = np.array(alone(rows, OVERLAP))
    found[:, :4] *= 2
    assert 0 < len(found) < len(rows)  # some are suppressed
    assert len(set(found[:, 5])) == 2
    return found


class TestDetect:
    def test_each_cell_by_hand(self, make, image):
        expected = by_hand(image)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            (found,) = make().detect([image])
        assert len(found) == len(expected)
        np.testing.assert_allclose(found.score, expected[:, 4], atol=1e-4)
        np.testing.assert_allclose(found.xyxy, expected[:, :4], rtol=1e-3, atol=0.05)
        np.testing.assert_array_equal(found.label, expected[:, 5])

    def test_images_of_several_sizes(self, make, image):
        images = [image, image[:50], image[::-1, :70], image]
        together = make().detect(images)
        for found, one in zip(together, images, strict=True):
            (expected,) = make().detect([one])
            assert len(found) == len(expected) > 0
            np.testing.assert_allclose(found.score, expected.score, atol=1e-4)
            np.testing.assert_allclose(found.xyxy, expected.xyxy, rtol=1e-3, atol=0.05)

    def test_no_images(self, make):
        assert make().detect([]) == []

    def test_one_pixel(self, make):
        (found,) = make().detect([np.zeros((1, 1, 3), np.uint8)])
        assert found.score.shape == (len(found),)

    def test_boxes_grow_with_the_image(self, make):
        small, large = (np.full((HEIGHT * k, WIDTH * k, 3), 90, np.uint8) for k in (1, 3))
        one, other = make().detect([small, large])
        assert len(one) > 0
        np.testing.assert_allclose(other.xyxy, 3 * one.xyxy, rtol=1e-4)

    def test_lowest_score(self, make, image):
        (everything,) = make().detect([image])
        middle = float(np.median(everything.score))
        (some,) = make(score=middle).detect([image])
        assert 0 < len(some) < len(everything)
        assert (some.score >= middle).all()
        assert (np.diff(some.score) <= 0).all()

    def test_every_cell(self, make, image):
        (found,) = make(score=0, overlap=1).detect([image])
        assert len(found) == sum((HEIGHT // s) * (WIDTH // s) for s in (8, 16, 32))

    def test_wanted_classes(self, make, image):
        """Those of the other class are gone before overlaps are looked at; they never clash."""
        (everything,) = make().detect([image])
        (some,) = make(classes=('1',)).detect([image])
        expected = everything.select(everything.label == 1)
        assert 0 < len(some) == len(expected) < len(everything)
        np.testing.assert_array_equal(some.xyxy, expected.xyxy)

    def test_unknown_class(self, make):
        with pytest.raises(UserError, match=r"detector.classes: 'person' is no class of nano.pth"):
            make(classes=('person',))

    def test_colours_matter(self, make, image):
        (one,), (other,) = make().detect([image]), make(pixels='imagenet').detect([image])
        assert len(one) != len(other) or not np.allclose(one.score, other.score, atol=0.01)

    @pytest.mark.parametrize('broken', [math.nan, math.inf])
    @pytest.mark.parametrize('part', ['obj_preds', 'cls_preds', 'reg_preds'])
    def test_broken_numbers_are_no_objects(self, part, broken, make, image):
        detector = make.__wrapped__(score=0)  # one of its own
        with torch.no_grad():
            for prediction in getattr(detector._network.head, part):
                prediction.weight.fill_(broken)
        (found,) = detector.detect([image])
        assert np.isfinite(found.xyxy).all()
        assert ((found.score >= 0) & (found.score <= 1)).all()
        if math.isnan(broken):
            assert len(found) == 0

    def test_memory_does_not_suffice(self, make, image, monkeypatch):
        detector = make.__wrapped__()

        def full(*_args):
            raise torch.OutOfMemoryError('CUDA out of memory')

        monkeypatch.setattr(detector, '_network', full)
        with pytest.raises(
            UserError, match=r'does not suffice; lower detector.height and detector.width'
        ):
            detector.detect([image])

    def test_half_precision(self, make, image, device):
        if not device.startswith('cuda'):
            pytest.skip('half precision is for GPUs: --device cuda')
        (exact,), (found,) = make().detect([image]), make(half=True).detect([image])
        sure = int((exact.score > SCORE + 0.02).sum())
        np.testing.assert_allclose(found.score[:sure], exact.score[:sure], atol=0.02)

    def test_closed(self, make, image, device):
        detector = make.__wrapped__()
        assert (detector.gpu_bytes() > 0) == device.startswith('cuda')
        detector.close()
        assert detector.gpu_bytes() == 0
        assert detector.detect([image]) == []


def test_likeliest_is_a_loop_over_cells(device):
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(2, 30, 5 + 3, generator=generator)
    found = module.likeliest(cells.to(device)).cpu().tolist()
    for rows, image in zip(found, cells.tolist(), strict=True):
        for row, (x, y, w, h, there, *classes) in zip(rows, image, strict=True):
            label = classes.index(max(classes))
            box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
            np.testing.assert_allclose(row, (*box, there * classes[label], label), atol=1e-6)


class TestNamed:
    def test_file_and_hash(self, make, file):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert make().name == f'nano.pth (yolox-nano, sha256 {digest[:8]})'

    def test_other_classes(self, make):
        assert make().class_names == ('0', '1')


class TestConfigured:
    def load(self, device='cpu', **detector):
        sections = {'detector': {'backend': 'yolox', **detector}, 'models': {'device': device}}
        return load_models(parse_config(sections, 'test'))

    def test_loaded(self, file, device, image):
        models = self.load(device, model=str(file), height=HEIGHT, width=WIDTH, score=SCORE)
        assert models.names['detector'].startswith('nano.pth (yolox-nano, sha256 ')
        assert models.class_names == ('0', '1')
        assert len(models.detector.detect([image])[0]) > 0
        models.close()

    def test_settings_reach_it(self, file, monkeypatch):
        given = {}
        monkeypatch.setattr(
            module.YoloxDetector, '__init__', lambda _, *at, **by: given.update(by)
        )
        monkeypatch.setattr(module.YoloxDetector, 'detect', lambda *_: [])
        monkeypatch.setattr(module.YoloxDetector, 'name', 'it', raising=False)
        monkeypatch.setattr(module.YoloxDetector, 'class_names', (), raising=False)
        settings = {'score': 0.3, 'overlap': 0.4, 'height': 32, 'width': 64, 'pixels': 'imagenet'}
        settings['classes'] = ['person']
        self.load(model=str(file), **settings)
        assert given == {**settings, 'device': 'cpu', 'half': True}

    @pytest.mark.parametrize(
        ('detector', 'said'),
        [
            ({}, "backend 'yolox' needs model: a file with weights"),
            ({'model': 'a', 'height': 100}, 'multiples of 32'),
            ({'model': 'a', 'width': 8}, 'multiples of 32'),
            ({'model': 'a', 'overlap': 2}, r'detector\.overlap'),
            ({'model': 'nowhere.pth'}, r'nowhere\.pth: cannot be read'),
        ],
    )
    def test_wrong(self, detector, said):
        with pytest.raises(UserError, match=said):
            self.load(**detector)

    def test_device_is_missing(self, file):
        if torch.cuda.is_available():
            pytest.skip('there is a GPU')
        with pytest.raises(UserError, match=r"models\.device 'cuda'"):
            self.load('cuda', model=str(file))
