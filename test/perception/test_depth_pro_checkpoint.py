"""Depth Pro out of Apple's file: its names, its numbers, and what is said of other files."""

from __future__ import annotations

import math
import pickle

import golden
import numpy as np
import pytest

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')
module = pytest.importorskip('mot_perception.perception.depth_pro_checkpoint')

SIDE = 1536


@pytest.fixture(scope='module')
def tiny():
    """The architecture of the recorded network: published names, small widths."""
    from transformers import DepthProConfig

    widths = {'hidden_size': 64, 'num_hidden_layers': 4, 'num_attention_heads': 4}
    vit = {**module.VIT, **widths}
    return DepthProConfig(
        use_fov_model=True,
        image_model_config=dict(vit),
        patch_model_config=dict(vit),
        fov_model_config=dict(vit),
        fusion_hidden_size=32,
        intermediate_hook_ids=[2, 1],
        intermediate_feature_dims=[32, 32],
        scaled_images_feature_dims=[48, 40, 24],
    )


@pytest.fixture(scope='module')
def apples():
    return golden.weights('depthpro', 'keys_tiny.txt')


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'depth_pro.pt'


def refused(file, tiny):
    with pytest.raises(UserError) as caught:
        module.load_depth_pro(file, tiny)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert '\n' not in message
    assert len(message) < 5000
    return message


def listed(name):
    """Return the shapes of a recorded list of keys."""
    keys = golden.FOLDER / 'depthpro' / name
    if not keys.is_file():
        pytest.skip(f'golden vectors are not there: {keys}')
    lines = [line.split() for line in keys.read_text().splitlines() if not line.startswith('#')]
    return {key: tuple(map(int, shape.split('x'))) for key, shape, _ in lines}


def test_names_and_shapes_of_the_published_file():
    """At full size, without any numbers: 951,991,330 parameters."""
    weights = {key: torch.empty(it, device='meta') for key, it in listed('keys.txt').items()}
    converted = {key: tuple(it.shape) for key, it in module.from_apple(weights).items()}
    assert converted == listed('keys_transformers.txt')
    assert sum(map(math.prod, converted.values())) == 951_991_330
    with torch.device('meta'):
        network = module.DepthProForDepthEstimation(module.published_config())
    assert {key: tuple(it.shape) for key, it in network.state_dict().items()} == converted


def test_which_becomes_which():
    """By the recorded map, entry by entry."""
    file = golden.FOLDER / 'depthpro' / 'keymap.txt'
    if not file.is_file():
        pytest.skip(f'golden vectors are not there: {file}')
    for line in file.read_text().splitlines():
        if line.startswith('#') or ' -> ' not in line:
            continue
        name, expected = line.split(' -> ')
        expected = [part.split()[0] for part in expected.split(', ')]
        rows = torch.arange(3 * len(expected))
        for third, (own, tensor) in enumerate(module.from_apple({name: rows}).items()):
            assert own == expected[third]
            if len(expected) == 3:
                assert tensor.tolist() == list(range(3 * third, 3 * third + 3))


@pytest.fixture(scope='module')
def recorded_input():
    """The input of the recorded vectors, by its README."""
    noise = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    return 9 * torch.nn.functional.avg_pool2d(torch.from_numpy(noise), 9, 1, 4)


@pytest.fixture(scope='module')
def seen(tiny, apples, recorded_input, tmp_path_factory, device):
    """What the network says of that input, and what its parts said to each other."""
    file = tmp_path_factory.mktemp('depth_pro') / 'depth_pro.pt'
    torch.save(apples, file)
    network = module.load_depth_pro(file, tiny).to(device)
    parts = {}

    def keep(name, take):
        return lambda _module, inputs, output: parts.update({name: take(inputs, output)})

    neck = network.depth_pro.neck
    neck.feature_projection.register_forward_hook(keep('encodings', lambda given, _: given[0]))
    neck.register_forward_hook(keep('lowres_features', lambda _, out: out[0]))
    network.fusion_stage.register_forward_hook(keep('decoder_out', lambda _, out: out[-1]))
    last = keep('inverse_depth_before_last_relu', lambda _, out: out)
    network.head.layers[4].register_forward_hook(last)
    with torch.inference_mode():
        output = network(recorded_input.to(device))
    encodings = reversed(parts.pop('encodings'))  # coarse ones first in transformers
    parts.update({f'encoding{level}': tensor for level, tensor in enumerate(encodings)})
    return {**parts, 'inverse_depth': output.predicted_depth[:, None]}, output.field_of_view


TAPS = (
    *(f'encoding{level}' for level in range(5)),
    'lowres_features',
    'decoder_out',
    'inverse_depth_before_last_relu',
    'inverse_depth',
)


@pytest.mark.parametrize('tap', TAPS)
def test_recorded(tap, seen):
    vectors = golden.recorded('depthpro')
    (key,) = [key for key in vectors if key.startswith(f'{tap}[') and not key.endswith('.stats')]
    cut = tuple(
        slice(*(int(part) if part else None for part in side.split(':')))
        if ':' in side
        else int(side)
        for side in key.removeprefix(tap).strip('[]').split(',')
    )
    tensor = seen[0][tap].float().cpu().numpy()
    np.testing.assert_allclose(tensor[cut], vectors[key], atol=1e-5)
    values = tensor.astype(np.float64)
    stats = values.mean(), values.std(ddof=1), np.abs(values).max()
    np.testing.assert_allclose(stats, vectors[f'{key}.stats'], atol=1e-5)


def test_recorded_field_of_view(seen):
    vectors = golden.recorded('depthpro')
    np.testing.assert_allclose(seen[1].cpu().numpy(), vectors['fov_deg'], atol=1e-5)


def test_as_an_estimator(apples, tiny, file, monkeypatch, device):
    """From the file to metres: 1 / clamp(inverse depth · W / focal length, 1e-4, 1e4)."""
    depth = pytest.importorskip('mot_perception.perception.transformers_depth')
    torch.save(apples, file)
    monkeypatch.setattr(module, 'published_config', lambda: tiny)
    estimator = depth.TransformersDepth(str(file), device=device, half=False)
    assert estimator.name == f'depth_pro.pt (sha256 {depth.digest(file)[:8]}), for research only'
    assert estimator.metric
    passed = []
    estimator._network._module.register_forward_hook(lambda *it: passed.append(it[1:]))
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    found = estimator.estimate(image, focal=50.0)
    ((pixels,), output) = passed[0]
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(rgb, (SIDE, SIDE), mode='bilinear') / 127.5 - 1
    np.testing.assert_allclose(pixels.cpu(), scaled, atol=1 / 127)
    inverse = output.predicted_depth[None].cpu()
    inverse = torch.nn.functional.interpolate(inverse, image.shape[:2], mode='bilinear')
    expected = 1 / (inverse[0, 0] * 64 / 50).clamp(1e-4, 1e4)
    np.testing.assert_allclose(found.map, expected, rtol=1e-3)
    estimator.close()


def test_a_file_is_never_looked_for_on_the_hub():
    depth = pytest.importorskip('mot_perception.perception.transformers_depth')
    with pytest.raises(UserError, match=r'apple/depth_pro.pt: cannot be read \(No such file'):
        depth.TransformersDepth('apple/depth_pro.pt', device='cpu')


class TestLoad:
    def test_without_a_second_copy(self, apples, tiny, file):
        """Queries, keys and values are views of the one matrix that the file has."""
        torch.save(apples, file)
        state = module.load_depth_pro(file, tiny).state_dict()
        assert not any(tensor.is_meta for tensor in state.values())
        names = [f'encoder.layer.0.attention.{part}_proj.weight' for part in 'qkv']
        thirds = [state[f'depth_pro.encoder.patch_encoder.model.{name}'] for name in names]
        assert len({third.untyped_storage().data_ptr() for third in thirds}) == 1
        whole = apples['encoder.patch_encoder.blocks.0.attn.qkv.weight']
        torch.testing.assert_close(torch.cat(thirds), whole, rtol=0, atol=0)

    def test_of_half_precision(self, apples, tiny, file, monkeypatch):
        """As published: half the memory on the way to the device, single precision there."""
        depth = pytest.importorskip('mot_perception.perception.transformers_depth')
        torch.save({key: tensor.half() for key, tensor in apples.items()}, file)
        state = module.load_depth_pro(file, tiny).state_dict()
        assert {tensor.dtype for tensor in state.values()} == {torch.float16}
        monkeypatch.setattr(module, 'published_config', lambda: tiny)
        estimator = depth.TransformersDepth(str(file), device='cpu')
        state = estimator._network._module.state_dict()
        assert {tensor.dtype for tensor in state.values()} == {torch.float32}
        bias = apples['head.4.bias']
        torch.testing.assert_close(state['head.layers.4.bias'], bias, rtol=1e-3, atol=1e-3)

    def test_safetensors(self, apples, tiny, tmp_path):
        from safetensors.torch import save_file

        save_file(apples, tmp_path / 'depth_pro.safetensors')
        module.load_depth_pro(tmp_path / 'depth_pro.safetensors', tiny)

    @pytest.mark.parametrize('encoder', ['encoder.patch_encoder', 'fov.encoder.0'])
    def test_a_layer_that_is_not_applied(self, encoder, apples, tiny, file):
        """Apple's program lets it be missing; where it is there, it is not looked at."""
        torch.save({**apples, f'{encoder}.fc_norm.weight': torch.full((7,), math.nan)}, file)
        module.load_depth_pro(file, tiny)


class TestRefused:
    def test_not_there(self, file, tiny):
        assert 'cannot be read (No such file' in refused(file, tiny)

    @pytest.mark.parametrize('kept', [0, 0.5, 0.99])
    def test_cut_off(self, kept, apples, tiny, file):
        torch.save(apples, file)
        content = file.read_bytes()
        file.write_bytes(content[: int(kept * len(content))])
        refused(file, tiny)

    def test_hostile(self, tiny, file, tmp_path):
        """It would run code while it is read."""

        class Hostile:
            def __reduce__(self):
                return (tmp_path / 'it ran').touch, ()

        file.write_bytes(pickle.dumps({'encoder.upsample_lowres.weight': Hostile()}, 2))
        refused(file, tiny)
        assert not (tmp_path / 'it ran').exists()

    def test_another_network(self, tiny, file):
        torch.save({f'backbone.{n}.weight': torch.zeros(2) for n in range(20)}, file)
        message = refused(file, tiny)
        assert 'not the weights of Depth Pro' in message
        assert '20 unexpected (backbone.0.weight, ' in message
        assert 'backbone.9.weight, …)' in message
        assert 'backbone.10.weight' not in message

    def test_another_size(self, apples, file):
        torch.save(apples, file)
        with pytest.raises(UserError, match=r'missing \(depth_pro.*of another shape \('):
            module.load_depth_pro(file)

    def test_a_weight_is_missing(self, apples, tiny, file):
        torch.save({key: it for key, it in apples.items() if key != 'fov.head.4.bias'}, file)
        assert '1 missing (fov_model.head.layers.4.bias)' in refused(file, tiny)

    @pytest.mark.parametrize('shape', [(), (0,), (0, 64), (191, 64), (3,), (3, 1, 1, 1)])
    def test_a_weight_of_another_shape(self, shape, apples, tiny, file):
        name = 'encoder.patch_encoder.blocks.0.attn.qkv.weight'
        torch.save({**apples, name: torch.zeros(shape)}, file)
        assert 'attention' in refused(file, tiny)

    def test_not_finite(self, apples, tiny, file):
        torch.save({**apples, 'head.4.bias': torch.tensor([math.nan])}, file)
        assert 'head.layers.4.bias holds NaN' in refused(file, tiny)

    def test_counts_that_nobody_uses(self, apples, tiny, file):
        torch.save({**apples, 'encoder.upsample7.0.weight': torch.zeros(1)}, file)
        assert '1 unexpected (encoder.upsample7.0.weight)' in refused(file, tiny)
