"""The detector of FDTA: images of any size in, boxes in their pixels and embeddings out."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_fdta
import torch
from tiny_fdta import COLOURS, SIDE, WIDTH, picture, seeing

from mot_perception.errors import UserError
from mot_perception.fdta.detector import FdtaDetector, open_detector
from mot_perception.fdta.images import normalised, scaled, scaled_size


class TestScaledSize:
    @pytest.mark.parametrize(
        ('size', 'expected'),
        [
            ((1080, 1920), (800, 1422)),
            ((720, 1280), (800, 1422)),
            ((1080, 2560), (608, 1440)),  # the longer side is the limit
            ((1920, 1080), (1422, 800)),  # upright
            ((800, 800), (800, 800)),
            ((1, 100_000), (1, 1440)),
        ],
    )
    def test_published(self, size, expected):
        assert scaled_size(*size, 800, 1440) == expected

    def test_image(self):
        image = np.zeros((60, 80, 3), np.uint8)
        image[:30] = 200
        for size in ((6, 8), (120, 160)):
            small = scaled(image, *size)
            assert small.shape == (*size, 3)
            assert (small[: size[0] // 2 - 1] == 200).all()
            assert (small[size[0] // 2 + 1 :] == 0).all()


def test_normalised():
    image = torch.tensor([[[[0]], [[255]], [[128]]]], dtype=torch.uint8)
    expected = torch.tensor([-0.485 / 0.229, (1 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225])
    torch.testing.assert_close(normalised(image)[0, :, 0, 0], expected)


class TestPixels:
    """Colours, sizes and places, told by a stand-in that sees squares."""

    @pytest.mark.parametrize('size', [(192, 320), (96, 96), (300, 200), (48, 64)])
    def test_boxes_in_pixels_of_the_image(self, size):
        height, width = size
        places = {
            0: (width // 8, height // 8, width // 2, height // 2),
            2: (width // 2, height // 2, width, height),
        }
        objects, embeddings = FdtaDetector(seeing()).detect(picture(places, size))
        pixel = max(1.0, min(size) / SIDE)
        np.testing.assert_allclose(objects.xyxy, list(places.values()), atol=1.01 * pixel)
        np.testing.assert_array_equal(embeddings.argmax(1), list(places))
        assert embeddings.dtype == np.float32
        assert objects.label.tolist() == [0, 0]
        np.testing.assert_allclose(objects.score, 1 / (1 + np.exp(-3)), rtol=1e-6)

    def test_nothing(self):
        objects, embeddings = FdtaDetector(seeing()).detect(picture({}))
        assert len(objects) == 0
        assert embeddings.shape == (0, WIDTH)

    def test_size_changes_in_mid_stream(self):
        detector = FdtaDetector(seeing())
        for size in ((192, 320), (120, 160), (192, 320)):
            objects, _ = detector.detect(picture({1: (10, 20, 40, 60)}, size))
            np.testing.assert_allclose(objects.xyxy, [[10, 20, 40, 60]], atol=2.1)

    def test_classes(self):
        detector = FdtaDetector(seeing(classes=3))
        objects, _ = detector.detect(picture({0: (0, 0, 40, 40), 2: (50, 0, 90, 40)}))
        assert objects.label.tolist() == [0, 2]
        assert detector.class_names == ('0', '1', '2')
        assert FdtaDetector(seeing()).class_names == ('person',)

    @pytest.mark.parametrize('part', ['logits', 'boxes'])
    def test_broken_numbers_are_no_objects(self, part):
        made = seeing()
        made.detr.register_forward_hook(
            lambda *told: told[-1]._replace(**{part: getattr(told[-1], part) * torch.nan})
        )
        objects, _ = FdtaDetector(made).detect(picture({0: (0, 0, 40, 40)}))
        assert len(objects) == 0

    def test_no_width_no_object(self):
        made = seeing()
        made.detr.register_forward_hook(
            lambda *told: told[-1]._replace(boxes=told[-1].boxes * torch.tensor([1, 1, 0, 1]))
        )
        objects, _ = FdtaDetector(made).detect(picture({0: (0, 0, 40, 40)}))
        assert len(objects) == 0

    def test_colours_are_told_apart(self):
        """An image read as RGB instead of BGR would show blue for red."""
        for number in range(len(COLOURS)):
            _, embeddings = FdtaDetector(seeing()).detect(picture({number: (0, 0, 90, 90)}))
            assert embeddings.argmax(1).tolist() == [number]


class TestNetwork:
    @pytest.fixture
    def file(self, tmp_path):
        return tiny_fdta.save(tiny_fdta.bold(), tmp_path / 'bold.safetensors')

    @pytest.fixture
    def image(self):
        return np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)

    def test_opened(self, file, image, device):
        detector = open_detector(str(file), device=device)
        objects, embeddings = detector.detect(image)
        assert 0 < len(objects) <= 12
        assert embeddings.shape == (len(objects), WIDTH)
        assert detector.name.startswith('bold.safetensors (fdta, sha256 ')
        assert (detector.gpu_bytes() > 0) == (device != 'cpu')
        detector.close()

    def test_same_as_the_network(self, image):
        made = tiny_fdta.bold()
        objects, embeddings = FdtaDetector(made).detect(image)
        pixels = scaled(image, *scaled_size(90, 160, SIDE, 2 * SIDE))[..., ::-1].copy()
        with torch.inference_mode():
            expected = made(normalised(torch.from_numpy(pixels).permute(2, 0, 1)[None]))
        np.testing.assert_allclose(embeddings, expected.embeddings[0].numpy(), atol=1e-5)
        scores = expected.logits[-1, 0, :, 0].sigmoid().numpy()
        np.testing.assert_allclose(objects.score, scores, rtol=1e-6)
        centres = (objects.xyxy[:, :2] + objects.xyxy[:, 2:]) / 2
        np.testing.assert_allclose(
            centres, expected.boxes[-1, 0, :, :2].numpy() * [160, 90], rtol=1e-4
        )

    def test_half_precision(self, image):
        """What a GPU computes with; the rest of the network stays as it is."""
        whole, _ = FdtaDetector(tiny_fdta.bold()).detect(image)
        made = tiny_fdta.bold()
        made.detr.half()
        half, embeddings = FdtaDetector(made).detect(image)
        np.testing.assert_allclose(half.xyxy, whole.xyxy, atol=1)
        assert embeddings.dtype == np.float32
        assert made.id_decoder.rel_pos_embeds.dtype == torch.float32

    @pytest.mark.parametrize('size', [(1, 1), (1, 3000), (3000, 1), (5, 7)])
    def test_odd_sizes(self, size):
        detector = FdtaDetector(tiny_fdta.bold())
        objects, _ = detector.detect(np.zeros((*size, 3), np.uint8))
        assert objects.valid().all()

    def test_not_there(self, tmp_path):
        with pytest.raises(UserError, match=r'none\.pth: cannot be read'):
            open_detector(str(tmp_path / 'none.pth'))
