"""Exported networks: the same boxes as torch's, whoever has exported them; files of any kind."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from functools import cache
from types import MappingProxyType

import numpy as np
import pytest
import tiny_networks
import tiny_onnx
import tiny_yolox
from naive_boxes import alone

from mot_perception.config import parse_config
from mot_perception.errors import UserError
from mot_perception.models import load_models
from mot_perception.perception import onnx_network
from mot_perception.perception.onnx_detector import OnnxDetector
from mot_perception.perception.onnx_note import KEY

onnx = pytest.importorskip('onnx')
torch = pytest.importorskip('torch')

HEIGHT, WIDTH = 64, 96
CELLS = [
    (s, row, column) for s in (8, 16, 32) for row in range(64 // s) for column in range(96 // s)
]
SCORE, OVERLAP = 0.05, 0.3


@pytest.fixture(scope='module')
def image():
    """One that is halved."""
    return np.random.default_rng(0).integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)


class TestOurExport:
    @pytest.fixture(scope='class')
    def weights(self, tmp_path_factory):
        """Return files with weights for each scale of colour."""
        folder = tmp_path_factory.mktemp('exports')
        made = {'bgr': tiny_yolox.decided(), 'imagenet': tiny_yolox.decided(2, 0.0, 2.0)}
        return {
            pixels: tiny_yolox.save(it, folder / f'{pixels}.pth') for pixels, it in made.items()
        }

    @pytest.fixture(scope='class')
    def exported(self, weights):
        """Return what exports on demand, for images of one batch or any."""
        from mot_perception.perception.yolox_export import export_yolox

        @cache
        def export(pixels='bgr', any_batch=False):
            file = weights[pixels].with_name(f'{pixels}_{any_batch}.onnx')
            size = {'height': HEIGHT, 'width': WIDTH}
            export_yolox(weights[pixels], file, **size, pixels=pixels, any_batch=any_batch)
            return file

        return export

    @pytest.fixture(scope='class')
    def expected(self, weights, image):
        """What YOLOX in torch finds in three images of different sizes."""
        from mot_perception.perception.yolox_detector import YoloxDetector

        @cache
        def detect(pixels='bgr', classes=()):
            settings = {'device': 'cpu', 'score': SCORE, 'overlap': OVERLAP, 'classes': classes}
            settings |= {'height': HEIGHT, 'width': WIDTH, 'pixels': pixels}
            detector = YoloxDetector(str(weights[pixels]), **settings)
            return detector.detect([image, image[:50], image[::-1, :70]])

        return detect

    @staticmethod
    def same(found, expected):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert len(one) == len(other) > 0
            np.testing.assert_allclose(one.score, other.score, atol=2e-3)
            np.testing.assert_allclose(one.xyxy, other.xyxy, rtol=1e-3, atol=0.05)
            np.testing.assert_array_equal(one.label, other.label)

    @pytest.mark.parametrize('any_batch', [False, True])
    def test_same_boxes_as_torch(self, any_batch, exported, expected, image):
        detector = OnnxDetector(
            str(exported(any_batch=any_batch)), device='cpu', score=SCORE, overlap=OVERLAP
        )
        found = detector.detect([image, image[:50], image[::-1, :70]])
        self.same(found, expected())
        assert detector.detect([]) == []

    def test_scale_of_colour_is_its_own(self, exported, expected, image):
        file = str(exported('imagenet'))
        detector = OnnxDetector(file, device='cpu', score=SCORE, overlap=OVERLAP)
        found = detector.detect([image, image[:50], image[::-1, :70]])
        self.same(found, expected('imagenet'))

    def test_wanted_classes(self, exported, expected, image):
        settings = {'device': 'cpu', 'score': SCORE, 'overlap': OVERLAP}
        detector = OnnxDetector(str(exported()), classes=('1',), **settings)
        self.same(detector.detect([image]), expected(classes=('1',))[:1])
        with pytest.raises(UserError, match=r"'dog' is no class of bgr_False.onnx"):
            OnnxDetector(str(exported()), classes=('dog',), **settings)

    def test_named(self, exported):
        detector = OnnxDetector(str(exported()), device='cpu')
        digest = hashlib.sha256(exported().read_bytes()).hexdigest()
        assert detector.name == f'bgr_False.onnx (sha256 {digest[:8]})'
        assert detector.class_names == ('0', '1')
        assert detector.gpu_bytes() == 0
        detector.close()

    def test_another_size_is_wanted(self, exported):
        with pytest.raises(UserError, match='takes images of height 64 and width 96; set det'):
            OnnxDetector(str(exported()), device='cpu', height=HEIGHT, width=128)
        OnnxDetector(str(exported()), device='cpu', height=HEIGHT, width=WIDTH)

    @pytest.mark.parametrize(
        ('change', 'said'),
        [
            ({'class_names': ['a', 'b', 'c']}, 'its note is of another network'),
            ({'height': 32}, 'its note is of another network'),
            ({'class_names': []}, 'its note is damaged'),
            ({'pixels': 'infrared'}, 'its note is damaged'),
            ({'width': 10**9}, 'its note is damaged'),
            (None, 'its note is damaged'),
        ],
    )
    def test_note_that_does_not_fit(self, change, said, exported, tmp_path):
        model = onnx.load(exported())
        note = json.loads(model.metadata_props[0].value)
        text = 'what?' if change is None else json.dumps({**note, **change})
        onnx.helper.set_model_props(model, {KEY: text})
        onnx.save(model, tmp_path / 'wrong.onnx')
        with pytest.raises(UserError, match=said) as caught:
            OnnxDetector(str(tmp_path / 'wrong.onnx'), device='cpu')
        assert '\n' not in str(caught.value)

    def test_neither_torch_nor_transformers_is_needed(self, exported):
        code = (
            'import sys; sys.modules.update(torch=None, transformers=None, onnx=None)\n'
            'import numpy as np\n'
            'from mot_perception.perception.onnx_detector import OnnxDetector\n'
            f'detector = OnnxDetector({str(exported())!r}, score=0)\n'
            'print(len(detector.detect([np.zeros((50, 50, 3), np.uint8)])[0]) > 0)'
        )
        out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        assert out.stdout.strip() == 'True', out.stderr

    def test_cut_short(self, exported, tmp_path):
        content = exported().read_bytes()
        for share in (0.1, 0.5, 0.99):
            (tmp_path / 'cut.onnx').write_bytes(content[: int(share * len(content))])
            with pytest.raises(UserError, match=r'cut\.onnx: ONNX Runtime cannot load it'):
                OnnxDetector(str(tmp_path / 'cut.onnx'), device='cpu')


class TestYoloxByOthers:
    """As YOLOX' own program exports it: probabilities, boxes decoded or not, no note."""

    def cells(self, classes: int = 3) -> np.ndarray:
        """Return undecoded cells: small offsets, a few pixels to a hundred wide."""
        rng = np.random.default_rng(3)
        offset, size = rng.normal(0.5, 0.5, (126, 2)), rng.normal(0.3, 0.5, (126, 2))
        shares = rng.uniform(0, 1, (126, 1 + classes))
        return np.hstack([offset, size, shares]).astype(np.float32)

    def decoded(self, cells: np.ndarray) -> np.ndarray:
        """Decode cell by cell."""
        rows = []
        for (stride, row, column), (dx, dy, w, h, *shares) in zip(CELLS, cells, strict=True):
            centre = (dx + column) * stride, (dy + row) * stride
            rows.append([*centre, math.exp(w) * stride, math.exp(h) * stride, *shares])
        return np.array(rows, np.float32)

    def by_hand(self, cells: np.ndarray, score: float) -> np.ndarray:
        """Return rows of box, score and class that are left."""
        rows = []
        for x, y, w, h, there, *shares in self.decoded(cells).tolist():
            label = shares.index(max(shares))
            box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
            rows.append([*box, there * shares[label], label])
        rows = sorted((row for row in rows if row[4] >= score), key=lambda row: -row[4])
        found = alone(rows, OVERLAP)
        assert 0 < len(found) < len(rows)
        return np.array(found)

    @pytest.mark.parametrize('decode', [True, False])
    @pytest.mark.parametrize('takes', [(1, 3, HEIGHT, WIDTH), (1, 3, 'h', 'w'), ('n', 3, 64, 96)])
    def test_boxes(self, decode, takes, tmp_path):
        cells = self.cells()
        said = self.decoded(cells) if decode else cells
        file = tiny_onnx.write(tmp_path / 'yolox.onnx', {'output': said[None]}, takes=takes)
        detector = OnnxDetector(
            str(file), device='cpu', score=0.3, overlap=OVERLAP, height=HEIGHT, width=WIDTH
        )
        (found,) = detector.detect([np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)])
        expected = self.by_hand(cells, 0.3)
        np.testing.assert_allclose(found.score, expected[:, 4], atol=1e-5)
        np.testing.assert_allclose(found.xyxy, 2 * expected[:, :4], rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(found.label, expected[:, 5])
        assert detector.class_names == ('0', '1', '2')

    def test_no_objects(self, tmp_path):
        said = self.decoded(self.cells())
        said[:, 4] = 0.01
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': said[None]})
        (found,) = OnnxDetector(str(file), device='cpu').detect([np.zeros((9, 9, 3), np.uint8)])
        assert found.xyxy.shape == (0, 4)

    @pytest.mark.parametrize(('classes', 'last'), [(1, 'person'), (80, 'toothbrush')])
    def test_class_names(self, classes, last, tmp_path):
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.cells(classes)[None]})
        assert OnnxDetector(str(file), device='cpu').class_names[-1] == last

    def test_half_precision(self, tmp_path):
        said = self.decoded(self.cells())[None].astype(np.float16)
        kind = onnx.TensorProto.FLOAT16
        file = tiny_onnx.write(tmp_path / 'half.onnx', {'output': said}, kind=kind)
        detector = OnnxDetector(str(file), device='cpu', score=0.3, overlap=OVERLAP)
        (found,) = detector.detect([np.zeros((HEIGHT, WIDTH, 3), np.uint8)])
        expected = self.by_hand(self.cells(), 0.3)
        np.testing.assert_allclose(found.score, expected[:, 4], atol=2e-3)

    @pytest.mark.parametrize('broken', [math.nan, math.inf, -math.inf, 1e30])
    @pytest.mark.parametrize('decode', [True, False])
    def test_broken_numbers_are_no_objects(self, broken, decode, tmp_path):
        cells = self.cells()
        said = self.decoded(cells) if decode else cells
        said[::2, :4] = broken
        said[1::4, 4:] = math.nan
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': said[None]})
        (found,) = OnnxDetector(str(file), device='cpu', score=0).detect(
            [np.zeros((9, 9, 3), np.uint8)]
        )
        assert np.isfinite(found.xyxy).all()
        assert ((found.score >= 0) & (found.score <= 1)).all()

    def test_logits_are_no_probabilities(self, tmp_path):
        cells = self.cells()
        cells[0, 4] = 3.5
        file = tiny_onnx.write(tmp_path / 'raw.onnx', {'output': cells[None]})
        with pytest.raises(UserError, match='are no probabilities; export it as YOLOX does'):
            OnnxDetector(str(file), device='cpu')


class TestQueries:
    """As transformers' networks are exported, with their two files beside."""

    NAMES = MappingProxyType({'0': 'person', '1': 'dog', '3': 'car', '4': 'cat', '5': 'cow'})

    def write(self, folder, classes: int, names=('logits', 'pred_boxes'), beside='.', **changes):
        rng = np.random.default_rng(4)
        self.logits = rng.normal(0, 2, (1, 12, classes)).astype(np.float32)
        self.boxes = rng.uniform(0.2, 0.6, (1, 12, 4)).astype(np.float32)
        told = dict(zip(names, (self.logits, self.boxes), strict=True))
        preprocessor = {'size': {'height': 64, 'width': 96}, 'do_normalize': False}
        (folder / beside).mkdir(exist_ok=True)
        (folder / 'config.json').write_text(json.dumps({'id2label': dict(self.NAMES)}))
        (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor))
        settings = {'takes': ('n', 3, 'h', 'w'), **changes}
        return tiny_onnx.write(folder / beside / 'model.onnx', told, **settings)

    def rows(self, softmax: bool, height: int, width: int) -> np.ndarray:
        rows = []
        for logits, (x, y, w, h) in zip(self.logits[0], self.boxes[0], strict=True):
            if softmax:
                scores = (np.exp(logits) / np.exp(logits).sum())[:-1]
            else:
                scores = 1 / (1 + np.exp(-logits))
            box = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width]
            rows.append([*box, (y + h / 2) * height, scores.max(), scores.argmax()])
        return np.array(sorted(rows, key=lambda row: -row[4]))

    @pytest.mark.parametrize('softmax', [True, False])
    @pytest.mark.parametrize('names', [('logits', 'pred_boxes'), ('labels', 'dets')])
    @pytest.mark.parametrize('beside', ['.', 'onnx'])
    def test_each_query_by_hand(self, softmax, names, beside, tmp_path):
        pytest.importorskip('transformers')
        file = self.write(tmp_path, 5 + softmax, names, beside)
        detector = OnnxDetector(str(file), device='cpu', score=0)
        images = [np.zeros((*side, 3), np.uint8) for side in ((50, 200), (30, 10))]
        for found, image in zip(detector.detect(images), images, strict=True):
            expected = self.rows(softmax, *image.shape[:2])
            np.testing.assert_allclose(found.score, expected[:, 4], atol=1e-5)
            np.testing.assert_allclose(found.xyxy, expected[:, :4], atol=1e-3)
            np.testing.assert_array_equal(found.label, expected[:, 5])
        assert detector.class_names == ('person', 'dog', '2', 'car', 'cat', 'cow')

    def test_wanted_classes(self, tmp_path):
        pytest.importorskip('transformers')
        file = self.write(tmp_path, 5)
        detector = OnnxDetector(str(file), device='cpu', score=0, classes=('dog',))
        (found,) = detector.detect([np.zeros((9, 9, 3), np.uint8)])
        assert 0 < len(found) < 12
        assert (found.label == 1).all()

    @pytest.mark.parametrize('name', ['config.json', 'preprocessor_config.json'])
    @pytest.mark.parametrize('content', [None, b'', b'[]', b'\xff', b'{"size": 3'])
    def test_files_beside(self, name, content, tmp_path):
        pytest.importorskip('transformers')
        file = self.write(tmp_path, 5)
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name) as caught:
            OnnxDetector(str(file), device='cpu')
        assert '\n' not in str(caught.value)

    @pytest.mark.parametrize('names', [{}, 3, None, {'first': 'a'}, []])
    def test_names_of_classes(self, names, tmp_path):
        pytest.importorskip('transformers')
        file = self.write(tmp_path, 5)
        (tmp_path / 'config.json').write_text(json.dumps({'id2label': names}))
        with pytest.raises(UserError, match='id2label, the names of the classes, is missing'):
            OnnxDetector(str(file), device='cpu')

    def test_transformers_is_missing(self, tmp_path, monkeypatch):
        file = self.write(tmp_path, 5)
        monkeypatch.delitem(sys.modules, 'mot_perception.perception.onnx_queries', raising=False)
        monkeypatch.delitem(sys.modules, 'mot_perception.perception.network', raising=False)
        monkeypatch.setitem(sys.modules, 'transformers', None)
        with pytest.raises(UserError, match=r'^transformers: not installed; run "pip install'):
            OnnxDetector(str(file), device='cpu')

    def test_a_real_one(self, tmp_path):
        """DETR, traced by torch: the same boxes as without ONNX."""
        pytest.importorskip('transformers')
        import warnings

        from transformers import AutoModelForObjectDetection

        from mot_perception.perception.transformers_detector import TransformersDetector

        folder = tiny_networks.detector(tmp_path / 'detr', 'detr')
        network = AutoModelForObjectDetection.from_pretrained(folder).eval()

        class Pair(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, pixel_values):
                said = self.network(pixel_values)
                return said.logits, said.pred_boxes

        example = torch.zeros(1, 3, tiny_networks.HEIGHT, tiny_networks.WIDTH)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            torch.onnx.export(
                Pair(),
                (example,),
                folder / 'model.onnx',
                input_names=['pixel_values'],
                output_names=['logits', 'pred_boxes'],
                dynamo=False,
            )
        shape = tiny_networks.HEIGHT, tiny_networks.WIDTH, 3
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        settings = {'device': 'cpu', 'score': 0}
        (found,) = OnnxDetector(str(folder / 'model.onnx'), **settings).detect([image])
        (expected,) = TransformersDetector(str(folder), half=False, **settings).detect([image])
        assert len(found) == len(expected) == 12
        np.testing.assert_allclose(found.score, expected.score, atol=1e-4)
        np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.02)


class TestFiles:
    CELLS = np.full((1, 126, 6), 0.5, np.float32)

    def refused(self, file, **settings) -> str:
        with pytest.raises(UserError) as caught:
            OnnxDetector(str(file), **{'device': 'cpu', **settings})
        message = str(caught.value)
        assert '\n' not in message
        assert len(message) < 500
        return message

    def test_not_there(self, tmp_path):
        assert 'nowhere.onnx: cannot be read' in self.refused(tmp_path / 'nowhere.onnx')
        assert 'cannot be read' in self.refused(tmp_path)

    @pytest.mark.parametrize('content', [b'', b'abc', os.urandom(5000), b'PK\x03\x04' * 99])
    def test_something_else(self, content, tmp_path):
        (tmp_path / 'it.onnx').write_bytes(content)
        assert 'ONNX Runtime cannot load it' in self.refused(tmp_path / 'it.onnx')

    def test_too_large(self, tmp_path, monkeypatch):
        file = tiny_onnx.write(tmp_path / 'large.onnx', {'output': self.CELLS})
        monkeypatch.setattr(onnx_network, 'LARGEST', 100)
        assert 'have 100 bytes at most' in self.refused(file)

    @pytest.mark.parametrize('where', ['beside.bin', '../beside.bin', '{folder}/beside.bin'])
    @pytest.mark.parametrize('longer', [b'\n\x08', b'\n\x88\x00', b'\x8a\x80\x00\x88\x80\x00'])
    def test_weights_in_other_files(self, where, longer, tmp_path, monkeypatch):
        """Not from anywhere, not even from where the program was started."""
        inner = tmp_path / 'inner'
        inner.mkdir()
        monkeypatch.chdir(inner)
        for folder in (tmp_path, inner):
            (folder / 'beside.bin').write_bytes(self.CELLS.tobytes())
        file = tiny_onnx.write(inner / 'it.onnx', {'output': self.CELLS})
        model = onnx.load(file)
        tensor = model.graph.initializer[1]
        tensor.ClearField('raw_data')
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key='location', value=where.format(folder=tmp_path))
        content = model.SerializeToString()
        file.write_bytes(content.replace(b'\n\x08location', longer + b'location'))
        assert 'keeps its weights in other files; export it as one' in self.refused(file)

    @pytest.mark.parametrize(
        'takes', [(3, 64, 96), (1, 1, 64, 96), (1, 64, 96, 3), (4, 3, 64, 96), ()]
    )
    def test_takes_no_images(self, takes, tmp_path):
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.CELLS}, takes=takes)
        assert 'it.onnx: takes ' in self.refused(file)

    def test_takes_bytes(self, tmp_path):
        kind = onnx.TensorProto.UINT8
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.CELLS}, kind=kind)
        assert 'takes tensor(uint8); give one that takes tensor(float)' in self.refused(file)

    def test_takes_more(self, tmp_path):
        mask = onnx.helper.make_tensor_value_info('mask', onnx.TensorProto.INT64, [1, 64, 96])
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.CELLS}, more=[mask])
        assert "takes 'images' [1, 3, 64, 96], 'mask' [1, 64, 96]; a network is" in self.refused(
            file
        )

    @pytest.mark.parametrize(
        ('outputs', 'said'),
        [
            ({'output': np.zeros((1, 84, 126), np.float32)}, "'output' 1×84×126"),
            ({'output': np.zeros((1, 126, 5), np.float32)}, "'output' 1×126×5"),
            ({'output': np.zeros((1, 125, 6), np.float32)}, "'output' 1×125×6"),
            (
                {'a': np.zeros((1, 9, 4), np.float32), 'b': np.zeros((1, 8, 4), np.float32)},
                "'b' 1×8",
            ),
            (
                {'a': np.zeros((1, 9, 4), np.float32), 'b': np.zeros((1, 9, 4), np.float32)},
                "'a' 1×9",
            ),
            ({'one': np.float32(3)}, "'one' a number"),
            ({'none': np.zeros((0,), np.float32)}, "'none' 0"),
            ({f'many{n}': np.float32(3) for n in range(999)}, "'many0' a number"),
        ],
    )
    def test_says_something_else(self, outputs, said, tmp_path):
        file = tiny_onnx.write(tmp_path / 'it.onnx', outputs)
        message = self.refused(file)
        assert f'it.onnx: says {said}' in message or said in message
        assert 'expected are 1×cells×(5 + classes)' in message

    def test_needs_too_much_memory(self, tmp_path):
        """A few bytes that ask for 40 TB."""
        helper = onnx.helper
        shape = onnx.numpy_helper.from_array(np.array([10**13], np.int64), 'shape')
        nodes = [
            helper.make_node('Shape', ['images'], ['sides'], start=0, end=1),
            helper.make_node('Mul', ['sides', 'shape'], ['many']),
            helper.make_node('ConstantOfShape', ['many'], ['zeros']),
            helper.make_node('ReduceSum', ['zeros'], ['output'], keepdims=0),
        ]
        kind = onnx.TensorProto.FLOAT
        image = helper.make_tensor_value_info('images', kind, (1, 3, 64, 96))
        output = helper.make_tensor_value_info('output', kind, None)
        graph = helper.make_graph(nodes, 'greedy', [image], [output], [shape])
        opset = [helper.make_opsetid('', 17)]
        onnx.save(
            helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / 'it.onnx'
        )
        assert 'it.onnx: ' in self.refused(tmp_path / 'it.onnx')

    def test_memory_ends(self, tmp_path, monkeypatch):
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.CELLS})
        detector = OnnxDetector(str(file), device='cpu')

        class Full:
            def get_outputs(self):
                return []

            def get_providers(self):
                return [onnx_network.CUDA]

            def run(self, *_args):
                raise RuntimeError('BFCArena: Failed to allocate memory for requested buffer')

        monkeypatch.setattr(detector._network, '_session', Full())
        assert detector.gpu_bytes() == file.stat().st_size
        with pytest.raises(UserError, match=r"smaller images, or set models.device 'cpu'"):
            detector.detect([np.zeros((9, 9, 3), np.uint8)])

    def test_onnxruntime_is_missing(self, tmp_path, monkeypatch):
        file = tiny_onnx.write(tmp_path / 'it.onnx', {'output': self.CELLS})
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
        assert 'run "pip install \'mot_perception[onnx]\'"' in self.refused(file)


class TestDevice:
    @pytest.fixture
    def file(self, tmp_path):
        return tiny_onnx.write(tmp_path / 'it.onnx', {'output': TestFiles.CELLS})

    @pytest.mark.parametrize('device', ['cuda', 'cuda:1'])
    def test_onnxruntime_without_cuda(self, device, file, monkeypatch):
        monkeypatch.setattr(onnx_network, '_has_cuda', lambda _: False)
        with pytest.raises(UserError, match='computes on the CPU alone; install onnxruntime-gpu'):
            OnnxDetector(str(file), device=device)
        assert OnnxDetector(str(file), device='auto').gpu_bytes() == 0

    def test_cuda_that_does_not_start(self, file, monkeypatch, capfd):
        """As where the libraries of CUDA are missing: ONNX Runtime goes on with the CPU."""
        load = onnx_network._load
        asked = []

        def on_cpu(runtime, content, file, options, providers):
            asked.append(providers)
            return load(runtime, content, file, options, [onnx_network.CPU])

        monkeypatch.setattr(onnx_network, '_has_cuda', lambda _: True)
        monkeypatch.setattr(onnx_network, '_load', on_cpu)
        with pytest.raises(UserError, match="'cuda:1': ONNX Runtime cannot use it; it needs that"):
            OnnxDetector(str(file), device='cuda:1')
        assert asked[0] == [('CUDAExecutionProvider', {'device_id': 1}), 'CPUExecutionProvider']
        OnnxDetector(str(file), device='auto')
        assert capfd.readouterr() == ('', '')


class TestConfigured:
    def load(self, model, device='cpu', **detector):
        sections = {'detector': {'backend': 'onnx', 'model': str(model), **detector}}
        return load_models(parse_config({**sections, 'models': {'device': device}}, 'test'))

    @pytest.fixture
    def file(self, tmp_path):
        return tiny_onnx.write(tmp_path / 'it.onnx', {'output': TestFiles.CELLS})

    def test_loaded(self, file):
        models = self.load(file, classes=['person'])
        assert models.names['detector'].startswith('it.onnx (sha256 ')
        assert models.class_names == ('person',)
        models.close()

    def test_settings_reach_it(self, file, monkeypatch):
        given = {}
        monkeypatch.setattr(OnnxDetector, '__init__', lambda _, *at, **by: given.update(by))
        monkeypatch.setattr(OnnxDetector, 'detect', lambda *_: [])
        monkeypatch.setattr(OnnxDetector, 'name', 'it', raising=False)
        monkeypatch.setattr(OnnxDetector, 'class_names', (), raising=False)
        settings = {'score': 0.3, 'overlap': 0.4, 'height': 32, 'width': 64, 'pixels': 'imagenet'}
        settings['classes'] = ['person']
        self.load(file, **settings)
        assert given == {**settings, 'device': 'cpu'}

    def test_without_a_file(self):
        with pytest.raises(UserError, match="'onnx' needs model: an exported file"):
            self.load('')

    def test_library_is_missing(self, file, monkeypatch):
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
        with pytest.raises(UserError, match=r'^onnxruntime: not installed; .*\[onnx\]'):
            self.load(file)
