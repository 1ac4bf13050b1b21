"""YOLOX: what the published network computes, cell by cell, and its parts as naive loops."""

from __future__ import annotations

import math

import golden
import numpy as np
import pytest
import tiny_yolox

torch = pytest.importorskip('torch')
yolox = pytest.importorskip('mot_perception.perception.yolox')

TOLERANCE = {'nano': 1e-3, 's': 5e-4}
"""Of the undecoded numbers (golden vectors' README)."""
MILLIONS = {'nano': 0.91, 'tiny': 5.06, 's': 8.97, 'm': 25.3, 'l': 54.2, 'x': 99.1}
"""Parameters of the published files, 80 classes."""
MAPS = 'stem', 'dark3', 'dark4', 'dark5', 'pan0', 'pan1', 'pan2'


def hollow(size: str, classes: int):
    """Return the network without memory for its weights."""
    with torch.device('meta'):
        return yolox.Yolox(size, classes)


def exact():
    """Take all 23 bits of each factor on a GPU, not 10."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 416, 416)).astype(np.float32)


def blocks() -> np.ndarray:
    small = np.random.default_rng(1).integers(0, 256, (1, 3, 13, 13)) / 64 - 2
    return small.astype(np.float32).repeat(32, 2).repeat(32, 3)


class TestGolden:
    @pytest.fixture(scope='class', params=TOLERANCE)
    def size(self, request):
        return request.param

    @pytest.fixture(scope='class')
    def seen(self, size, device):
        """Return what the parts give for the image of noise, and the cells of the blocks."""
        network = yolox.Yolox(size, 1).eval()
        network.load_state_dict(golden.weights('yolox', f'keys_{size}.txt'))
        network.to(device)
        taps = {}

        def keep(name):
            def hook(_module, _given, output):
                taps.setdefault(name, output)  # what a hook returns would replace the output

            return hook

        for name in MAPS[:4]:
            part = getattr(network.backbone.backbone, name)
            part.register_forward_hook(keep(name))
        network.backbone.register_forward_hook(keep('pyramid'))
        with torch.inference_mode(), exact():
            cells = network(torch.from_numpy(noise()).to(device))
            taps['blocks'] = network(torch.from_numpy(blocks()).to(device))
        taps.update(zip(MAPS[4:], taps.pop('pyramid'), strict=True))
        taps['cells'], taps['decoded'] = cells, yolox.decode(cells, 416, 416)
        for name in ('cells', 'blocks'):
            taps[name] = torch.cat([taps[name][..., :4], taps[name][..., 4:].sigmoid()], -1)
        return {name: tap.cpu().numpy() for name, tap in taps.items()}

    @pytest.mark.parametrize('name', MAPS)
    def test_maps(self, name, size, seen):
        step = 8 if name == 'stem' else 4
        cut = f'{size}.{name}[0,:{step},::{step},::{step}]'
        expected = golden.recorded('yolox')
        np.testing.assert_allclose(
            seen[name][0, :step, ::step, ::step], expected[cut], atol=TOLERANCE[size]
        )
        whole = seen[name]
        statistics = [whole.mean(), whole.std(ddof=1), np.abs(whole).max()]
        np.testing.assert_allclose(statistics, expected[f'{cut}.stats'], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        ('name', 'tap'), [('undecoded', 'cells'), ('blocks.undecoded', 'blocks')]
    )
    def test_cells(self, name, tap, size, seen):
        expected = golden.recorded('yolox')
        np.testing.assert_allclose(
            seen[tap][0, expected[f'{size}.rows']],
            expected[f'{size}.{name}[0,rows]'],
            atol=TOLERANCE[size],
            rtol=1e-4,
        )

    def test_decoded(self, size, seen):
        expected = golden.recorded('yolox')
        np.testing.assert_allclose(
            seen['decoded'][0, expected[f'{size}.rows']],
            expected[f'{size}.decoded[0,rows]'],
            rtol=1e-3,
            atol=0.01,  # pixels: a centre may lie near 0
        )

    @pytest.mark.parametrize('listed', ['nano', 's', 'x'])
    def test_keys(self, listed):
        file = golden.FOLDER / 'yolox' / f'keys_{listed}.txt'
        if not file.is_file():
            pytest.skip(f'golden vectors are not there: {file}')
        lines = [line.split() for line in file.read_text().splitlines() if line[0] != '#']
        own = {
            key: ('x'.join(map(str, tensor.shape)) or 'scalar', str(tensor.dtype))
            for key, tensor in hollow(listed, 1).state_dict().items()
        }
        assert own == {key: (shape, f'torch.{dtype}') for key, shape, dtype in lines}


@pytest.mark.parametrize(('size', 'millions'), MILLIONS.items())
def test_parameters(size, millions):
    count = sum(parameter.numel() for parameter in hollow(size, 80).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=5e-3)


@pytest.mark.parametrize('size', yolox.SIZES)
@pytest.mark.parametrize(('height', 'width'), [(32, 32), (64, 96)])
def test_shapes(size, height, width):
    with torch.device('meta'):
        images = torch.zeros(2, 3, height, width)
    cells = sum((height // stride) * (width // stride) for stride in yolox.STRIDES)
    assert hollow(size, 3)(images).shape == (2, cells, 8)


def test_images_of_a_batch_do_not_mix(device):
    network = tiny_yolox.network().to(device)
    images = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1)).to(device)
    images = images * 1000  # its batch normalisations have seen little; noise alone says nothing
    with torch.inference_mode():
        together, alone = network(images), [network(image[None])[0] for image in images]
    assert together.isfinite().all()
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-3, atol=1e-3)
    assert not together[0].isclose(together[1]).all()


def test_gradients_reach_every_weight():
    network = tiny_yolox.network().train()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    still = [
        name for name, it in network.named_parameters() if it.grad is None or not it.grad.any()
    ]
    assert not still


def test_decoding_is_a_loop_over_cells(device):
    height, width, classes = 64, 96, 3
    generator = torch.Generator().manual_seed(2)
    cells = torch.randn(2, 96 + 24 + 6, 5 + classes, generator=generator)
    decoded = yolox.decode(cells.to(device), height, width).cpu().tolist()
    for image, rows in enumerate(cells.tolist()):
        left = iter(rows)
        for stride in (8, 16, 32):
            for row in range(height // stride):
                for column in range(width // stride):
                    dx, dy, log_w, log_h, *logits = next(left)
                    expected = [
                        (dx + column) * stride,
                        (dy + row) * stride,
                        math.exp(log_w) * stride,
                        math.exp(log_h) * stride,
                        *(1 / (1 + math.exp(-logit)) for logit in logits),
                    ]
                    assert decoded[image].pop(0) == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert next(left, None) is None
        assert not decoded[image]


def test_focus_is_a_loop_over_pixels():
    """Channels: top left, bottom left, top right, bottom right of 2×2 pixels, colours within."""
    image = torch.arange(3 * 4 * 6, dtype=torch.float32).reshape(1, 3, 4, 6)
    cells = yolox.focus(image)
    assert cells.shape == (1, 12, 2, 3)
    for corner, (down, right) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        for colour in range(3):
            for row in range(2):
                for column in range(3):
                    expected = image[0, colour, 2 * row + down, 2 * column + right]
                    assert cells[0, 3 * corner + colour, row, column] == expected


class TestFused:
    @pytest.mark.parametrize('size', ['nano', 'tiny', 's'])
    def test_is_the_same_function(self, size, device):
        network = tiny_yolox.network(size).to(device)
        images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3)).to(device)
        with torch.inference_mode(), exact():
            expected = network(images)
            yolox.fuse(network)
            fused = network(images)
        torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))

    def test_nothing_is_left_to_normalise(self):
        network = tiny_yolox.network()
        yolox.fuse(network)
        assert not [it for it in network.modules() if isinstance(it, torch.nn.BatchNorm2d)]
        convolutions = [it for it in network.modules() if isinstance(it, torch.nn.Conv2d)]
        assert all(it.bias is not None for it in convolutions)
