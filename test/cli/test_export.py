"""`mot-perception export`: a file that is checked, or none."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest
import tiny_yolox

from mot_perception import resources
from mot_perception.cli.export import export
from mot_perception.cli.main import main
from mot_perception.errors import UserError

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
torch = pytest.importorskip('torch')
yolox_export = pytest.importorskip('mot_perception.perception.yolox_export')


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return tiny_yolox.save(tiny_yolox.decided(), tmp_path_factory.mktemp('export') / 'nano.pth')


@pytest.fixture(scope='module')
def exported(weights):
    """One that takes any number of images."""
    return export(str(weights), weights.with_name('nano.onnx'), size='64x96', batch='dynamic')


class TestFile:
    def test_note(self, exported, weights):
        (about,) = onnx.load(exported).metadata_props
        assert about.key == 'mot_perception'
        assert json.loads(about.value) == {
            'size': 'nano',
            'height': 64,
            'width': 96,
            'pixels': 'bgr',
            'class_names': ['0', '1'],
            'weights_sha256': hashlib.sha256(weights.read_bytes()).hexdigest(),
        }

    def test_graph(self, exported):
        """Valid, fused, for any runtime of the last years, without a trace of this machine."""
        model = onnx.load(exported)
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == yolox_export.OPSET
        assert 'BatchNormalization' not in {node.op_type for node in model.graph.node}
        assert str(exported.parent).encode() not in exported.read_bytes()
        assert b'.py' not in exported.read_bytes()

    @pytest.mark.parametrize('count', [1, 3])
    def test_says_what_torch_does(self, count, exported):
        """Decoded cells as YOLOX' own program exports them, by a network that is not fused."""
        from mot_perception.perception.yolox import decode

        session = onnxruntime.InferenceSession(exported, providers=['CPUExecutionProvider'])
        (taken,), (told,) = session.get_inputs(), session.get_outputs()
        assert (taken.name, taken.shape) == ('images', ['batch', 3, 64, 96])
        assert told.name == 'cells'
        images = torch.rand(count, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
        (cells,) = session.run(None, {'images': images.numpy()})
        with torch.inference_mode():
            expected = decode(tiny_yolox.decided()(images), 64, 96).numpy()
        np.testing.assert_allclose(cells[..., :4], expected[..., :4], rtol=0.01, atol=0.1)
        np.testing.assert_allclose(cells[..., 4:], expected[..., 4:], atol=0.02)

    def test_shipped_weights(self, tmp_path):
        if not resources.weights('people_nano').is_file():
            pytest.skip('people_nano is not shipped')
        file = export('people_nano', tmp_path / 'it.onnx', size='64x96', quiet=True)
        note = json.loads(onnx.load(file).metadata_props[0].value)
        assert note['class_names'] == ['person']

    def test_one_image(self, weights, tmp_path):
        file = export(str(weights), tmp_path / 'one.onnx', size='32x64', quiet=True)
        session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
        assert session.get_inputs()[0].shape == [1, 3, 32, 64]


class TestProgram:
    @pytest.fixture
    def fails(self, capfd):
        def run(*arguments) -> str:
            assert main(['export', *map(str, arguments)]) == 2
            out, err = capfd.readouterr()
            assert out == ''
            assert err.count('\n') == 1
            assert err.startswith('error: ')
            return err

        return run

    def test_differences_are_told(self, weights, tmp_path, capfd):
        arguments = ['export', str(weights), str(tmp_path / 'it.onnx'), '--size', '64x96']
        assert main(arguments) == 0
        out, err = capfd.readouterr()
        first, second = out.splitlines()
        assert first.endswith('it.onnx: yolox-nano, 64x96, bgr, 2 classes')
        assert second.startswith('largest difference between ONNX Runtime and torch: ')
        assert err == ''
        assert main([*arguments, '--force', '--quiet']) == 0
        assert capfd.readouterr() == ('', '')

    @pytest.mark.parametrize('apart', ['boxes', 'probabilities', 'infinite'])
    def test_difference_leaves_no_file(self, apart, weights, tmp_path, fails, monkeypatch):
        """What torch says is made another number than what was exported."""
        column, value = {'boxes': (2, 50), 'probabilities': (5, -0.1), 'infinite': (0, np.inf)}[
            apart
        ]
        forward = yolox_export.Decoded.forward

        def other(self, images):
            cells = forward(self, images)
            if not torch.jit.is_tracing():
                cells[0, 70, column] += value
            return cells

        monkeypatch.setattr(yolox_export.Decoded, 'forward', other)
        line = fails(weights, tmp_path / 'it.onnx', '--size', '64x96')
        assert f'{tmp_path}/it.onnx: ' in line
        assert ('infinite numbers' if apart == 'infinite' else 'nothing was kept') in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        'size',
        ['64', '64x', '64x100', '0x64', '64x9999', 'x', '64X96', '-32x32', '64x96x3', '٦٤x٦٤'],
    )
    def test_size(self, size, weights, tmp_path, fails):
        line = fails(weights, tmp_path / 'it.onnx', f'--size={size}')
        assert 'two multiples of 32 up to 4096 are expected' in line

    def test_nothing_is_replaced_without_force(self, weights, tmp_path, fails):
        (tmp_path / 'it.onnx').write_text('precious')
        assert '--force' in fails(weights, tmp_path / 'it.onnx')
        assert (tmp_path / 'it.onnx').read_text() == 'precious'

    def test_weights_of_something_else(self, tmp_path, fails):
        file = tmp_path / 'linear.pth'
        torch.save(torch.nn.Linear(3, 4).state_dict(), file)
        assert 'no weights of YOLOX' in fails(file, tmp_path / 'it.onnx')
        assert 'cannot be read' in fails(tmp_path / 'nowhere.pth', tmp_path / 'it.onnx')
        assert [it.name for it in tmp_path.iterdir()] == ['linear.pth']

    def test_batch(self, weights, tmp_path, fails):
        assert "'3' is not one of '1', 'dynamic'" in fails(
            weights, tmp_path / 'it', '--batch', '3'
        )

    @pytest.mark.parametrize(
        ('library', 'extra'), [('torch', 'models'), ('onnx', 'onnx'), ('onnxruntime', 'onnx')]
    )
    def test_library_is_missing(self, library, extra, weights, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UserError, match=rf'^{library}: not installed; .*\[{extra}\]'):
            export(str(weights), tmp_path / 'it.onnx')
