"""SBS-S50: what the published network computes, layer by layer, and its parts as naive loops."""

from __future__ import annotations

import golden
import numpy as np
import pytest

torch = pytest.importorskip('torch')
sbs = pytest.importorskip('mot_perception.perception.sbs')

TOLERANCE = 5e-4
"""Of features whose spread is 0.8 (golden vectors' README)."""


def filled(device: str):
    """Return the network with the golden weights, less the classifier that only training needs."""
    weights = golden.weights('fastreid')
    classifier = weights.pop('heads.weight')
    assert classifier.shape[1] == sbs.DIMENSION
    network = sbs.SbsS50()
    network.load_state_dict(weights)
    return network.eval().to(device)


def noise() -> np.ndarray:
    shape = 2, 3, sbs.HEIGHT, sbs.WIDTH
    return np.random.default_rng(0).integers(0, 256, size=shape).astype(np.float32)


def blocks() -> np.ndarray:
    small = np.random.default_rng(1).integers(0, 256, size=(2, 3, 12, 4)).astype(np.float32)
    return small.repeat(32, 2).repeat(32, 3)


class TestGolden:
    @pytest.fixture(scope='class')
    def seen(self, device):
        """What every named module gives for the image of noise, and the feature of the blocks."""
        network = filled(device)
        taps = {}
        names = ['backbone.conv1', 'backbone.maxpool', 'backbone.layer1.0.conv2']
        names += [
            f'backbone.layer{stage}.{last}' for stage, last in zip('1234', '2352', strict=True)
        ]
        names += ['heads.pool_layer', 'heads']
        for name in names:
            network.get_submodule(name).register_forward_hook(
                lambda _module, _given, output, name=name: taps.update({name: output})
            )
        with torch.inference_mode():
            taps['blocks'] = network(torch.from_numpy(blocks()).to(device))
            network(torch.from_numpy(noise()).to(device))
        return {name: tap.cpu().numpy() for name, tap in taps.items()}

    @pytest.mark.parametrize(
        ('name', 'module'),
        [
            ('conv1', 'backbone.conv1'),
            ('maxpool', 'backbone.maxpool'),
            ('layer1_0_splat', 'backbone.layer1.0.conv2'),
            ('layer1', 'backbone.layer1.2'),
            ('layer2', 'backbone.layer2.3'),
            ('layer3', 'backbone.layer3.5'),
            ('layer4', 'backbone.layer4.2'),
        ],
    )
    def test_maps(self, name, module, seen):
        expected = golden.recorded('fastreid')
        cut = f'{name}[:,:4,::8,::8]'
        np.testing.assert_allclose(seen[module][:, :4, ::8, ::8], expected[cut], atol=TOLERANCE)
        whole = seen[module]
        statistics = [whole.mean(), whole.std(ddof=1), np.abs(whole).max()]
        np.testing.assert_allclose(
            statistics, expected[f'{cut}.stats'], rtol=TOLERANCE, atol=TOLERANCE
        )

    @pytest.mark.parametrize(
        ('name', 'module'),
        [('pooled', 'heads.pool_layer'), ('feature', 'heads'), ('blocks.feature', 'blocks')],
    )
    def test_vectors(self, name, module, seen):
        expected = golden.recorded('fastreid')[name]
        np.testing.assert_allclose(seen[module].reshape(expected.shape), expected, atol=TOLERANCE)

    def test_fused(self, device):
        """What objects are described with: the same numbers without batch normalisations."""
        network = filled(device)
        sbs.fuse(network)
        with torch.inference_mode():
            features = network(torch.from_numpy(noise()).to(device)).cpu().numpy()
            of_blocks = network(torch.from_numpy(blocks()).to(device)).cpu().numpy()
        expected = golden.recorded('fastreid')
        for found, name in ((features, 'feature'), (of_blocks, 'blocks.feature')):
            values = found.reshape(expected[name].shape)
            np.testing.assert_allclose(values, expected[name], atol=TOLERANCE)

    def test_unit_vectors(self, seen):
        unit = seen['heads'] / np.linalg.norm(seen['heads'], axis=1, keepdims=True)
        expected = golden.recorded('fastreid')['feature_l2']
        np.testing.assert_allclose(unit, expected, atol=TOLERANCE / 30)  # they are 40 long


@pytest.fixture(scope='module')
def network(device):
    torch.manual_seed(0)
    return sbs.SbsS50().eval().to(device)


def test_size(network):
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == 25_438_337


def test_fused_is_the_same_function(device):
    """Whatever the normalisations have seen; the BN neck alone is left."""
    torch.manual_seed(4)
    network = sbs.SbsS50().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    crops = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)) * 255
    network, crops = network.to(device), crops.to(device)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = network(crops)
        sbs.fuse(network)
        fused = network(crops)
    assert expected.std() > 0
    torch.testing.assert_close(fused, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
    norms = torch.nn.BatchNorm1d, torch.nn.BatchNorm2d
    left = [name for name, it in network.named_modules() if isinstance(it, norms)]
    assert left == ['heads.bottleneck.0']


@pytest.mark.parametrize('count', [1, 3])
def test_shapes(count, network, device):
    crops = torch.zeros(count, 3, 64, 32, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        assert network.backbone(crops.float()).shape == (count, sbs.DIMENSION, 4, 2)
        features = network(crops)
    assert features.shape == (count, sbs.DIMENSION)
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_gradients_reach_every_weight(network, device):
    crops = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)) * 255
    network(crops.to(device)).square().sum().backward()
    still = [name for name, it in network.named_parameters() if it.grad is None]
    assert not still
    assert network.heads.pool_layer.p.grad.abs() > 0
    network.zero_grad()


@pytest.mark.parametrize('exponent', [1.0, 3.0, 6.5])
def test_generalised_mean_is_a_loop_over_pixels(exponent, device):
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    pool = sbs.GeneralisedMean().to(device)
    with torch.no_grad():
        pool.p.fill_(exponent)
        pooled = pool(features.to(device)).cpu()
    for image in range(2):
        for channel in range(3):
            total = sum(
                max(float(value), sbs.SMALLEST) ** exponent
                for value in features[image, channel].ravel()
            )
            expected = (total / 20) ** (1 / exponent)
            assert pooled[image, channel].item() == pytest.approx(expected, rel=1e-4)


def test_generalised_mean_nears_mean_and_maximum(device):
    features = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(2)).to(device)
    pool = sbs.GeneralisedMean().to(device)
    with torch.no_grad():
        pool.p.fill_(1)
        torch.testing.assert_close(pool(features), features.mean((-2, -1)))
        pool.p.fill_(200)
        torch.testing.assert_close(pool(features), features.amax((-2, -1)), rtol=0.03, atol=0)


def test_large_features_in_half_precision():
    """100³ is beyond the range of float16, as the cube of such a feature would be."""
    features = torch.full((1, 1, 2, 2), 100.0, dtype=torch.float16)
    assert sbs.GeneralisedMean()(features).item() == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize('dilation', [1, 2])
def test_split_attention_is_a_loop_over_channels(dilation, device):
    torch.manual_seed(3)
    layer = sbs.SplitAttention(4, dilation).eval().to(device)
    for norm in (layer.bn0, layer.bn1):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 4, 5, 6)
    with torch.no_grad():
        mixed = layer(x.to(device)).cpu().numpy()[0]
    state = {key: value.cpu().double().numpy() for key, value in layer.state_dict().items()}
    expected = attended(x[0].double().numpy(), state, dilation)
    np.testing.assert_allclose(mixed, expected, atol=1e-4)


def attended(x: np.ndarray, state: dict, dilation: int) -> np.ndarray:
    """Split attention of a 4×h×w map, one number at a time."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation)))
    splits = np.zeros((2, 4, height, width))
    for split in range(2):
        for channel in range(4):
            number = 4 * split + channel
            for row in range(height):
                for column in range(width):
                    window = padded[
                        2 * split : 2 * split + 2,  # each split looks at half of the channels
                        row : row + 2 * dilation + 1 : dilation,
                        column : column + 2 * dilation + 1 : dilation,
                    ]
                    value = (window * state['conv.weight'][number]).sum()
                    value = normalised(value, state, 'bn0', number)
                    splits[split, channel, row, column] = max(value, 0)
    seen = splits.sum(0).mean((1, 2))
    hidden = [
        max(normalised(weight[:, 0, 0] @ seen + bias, state, 'bn1', number), 0)
        for number, (weight, bias) in enumerate(
            zip(state['fc1.weight'], state['fc1.bias'], strict=True)
        )
    ]
    wanted = state['fc2.weight'][:, :, 0, 0] @ hidden + state['fc2.bias']
    mixed = np.zeros_like(x)
    for channel in range(4):
        first, second = np.exp(wanted[channel]), np.exp(wanted[channel + 4])
        mixed[channel] = first * splits[0, channel] + second * splits[1, channel]
        mixed[channel] /= first + second
    return mixed


def normalised(value: float, state: dict, name: str, channel: int) -> float:
    mean, variance = (state[f'{name}.running_{kind}'][channel] for kind in ('mean', 'var'))
    scale, shift = (state[f'{name}.{kind}'][channel] for kind in ('weight', 'bias'))
    return (value - mean) / np.sqrt(variance + 1e-5) * scale + shift
