"""Depth networks of transformers: metres or ratios, by the checkpoint's own word; far is large."""

from __future__ import annotations

import json
import math
import shutil
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import tiny_networks

from mot_perception.config import DepthConfig, ModelsConfig
from mot_perception.errors import UserError
from mot_perception.models import _load_depth

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')
module = pytest.importorskip('mot_perception.perception.transformers_depth')
network = pytest.importorskip('mot_perception.perception.network')
inference = pytest.importorskip('mot_perception.perception.device').inference

SIDE = 56
"""Images of this size are not scaled by the smallest Depth Anything."""


def build(folder, device='cpu', **settings):
    return module.TransformersDepth(str(folder), device=device, half=False, **settings)


@pytest.fixture(scope='module')
def metric(tmp_path_factory):
    return tiny_networks.depth_estimator(
        tmp_path_factory.mktemp('depth') / 'indoor', depth_estimation_type='metric', max_depth=20
    )


@pytest.fixture(scope='module')
def relative(tmp_path_factory):
    return tiny_networks.depth_estimator(tmp_path_factory.mktemp('depth') / 'metric-large')


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def raw(folder, image):
    """Return what the network says of an image that needs no scaling."""
    from transformers import AutoModelForDepthEstimation

    network = AutoModelForDepthEstimation.from_pretrained(folder).eval()
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        return network((pixels - mean) / std).predicted_depth[0].numpy()


def test_metres(metric, image, device):
    depth = build(metric, device).estimate(image)
    assert depth.metric
    assert depth.map.dtype == np.float32
    np.testing.assert_allclose(depth.map, raw(metric, image), atol=1e-3)


@pytest.mark.parametrize('kind', ['metric', 'relative'])
def test_raw_is_what_the_network_says(kind, image, device, request):
    folder = request.getfixturevalue(kind)
    estimator = build(folder, device)
    large = cv2.resize(image, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_NEAREST)
    said = estimator.raw(image)
    assert said.dtype == np.float32
    np.testing.assert_allclose(said, raw(folder, image), atol=1e-3)
    assert estimator.raw(large).shape == (SIDE, SIDE)  # its own size, not the image's


def test_relative_is_turned_round(relative, image, device):
    """Networks say how near; here larger is farther, and only ratios mean something."""
    depth = build(relative, device).estimate(image)
    assert not depth.metric
    near = raw(relative, image)
    near = np.maximum(near, near.max() / module.FARTHEST)  # the sky's is nearly 0
    np.testing.assert_allclose(depth.map * near, 1, rtol=0.01)  # half as near: twice as far
    assert depth.map.max() / depth.map.min() <= module.FARTHEST * 1.001


def test_published_files_have_no_largest_depth(relative, image, tmp_path):
    """Those of Depth Anything V2 say null."""
    folder = shutil.copytree(relative, tmp_path / 'null')
    settings = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**settings, 'max_depth': None}))
    expected = build(relative).estimate(image)
    np.testing.assert_array_equal(build(folder).estimate(image).map, expected.map)


def test_only_its_own_config_says_what_it_is(relative, metric):
    """Neither the folder's name nor the preprocessor."""
    for folder, expected in ((relative, False), (metric, True)):
        file = folder / 'preprocessor_config.json'
        before = file.read_text()
        file.write_text(json.dumps({**json.loads(before), 'depth_estimation_type': 'metric'}))
        assert build(folder).metric is expected
        file.write_text(before)


@pytest.mark.parametrize('size', [(90, 160), (160, 90), (31, 33), (300, 20), (1, 1)])
def test_as_large_as_the_image(metric, size):
    depth = build(metric).estimate(np.full((*size, 3), 90, np.uint8))
    assert depth.map.shape == size
    assert np.isfinite(depth.map).all()


def test_unknown_is_zero(metric, image):
    estimator = build(metric)
    with torch.no_grad():
        for parameter in estimator._network._module.parameters():
            parameter.fill_(math.nan)
    assert (estimator.estimate(image).map == 0).all()
    assert np.isnan(estimator.raw(image)).all()


def test_name_and_memory(metric, device):
    estimator = build(metric, device)
    assert estimator.name.startswith('indoor (sha256 ')
    assert (estimator.gpu_bytes() > 0) == device.startswith('cuda')
    estimator.close()


@pytest.mark.parametrize(
    ('name', 'terms'),
    [
        ('depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf', ', not for commercial use'),
        ('/models/depth_anything_v2_metric_vkitti_base', ', not for commercial use'),
        ('depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf', ''),
        ('LiheYoung/depth-anything-large-hf', ''),
    ],
)
def test_what_weights_must_not_be_used_for(name, terms, metric):
    assert module._terms(name, build(metric)._network.config) == terms


@pytest.mark.parametrize(
    ('name', 'licence'),
    [
        ('depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf', 'CC-BY-NC-4.0: not for'),
        ('depth-anything/Depth-Anything-V2-Small-hf', 'Apache-2.0'),
        ('LiheYoung/depth-anything-large-hf', 'not known'),
    ],
)
def test_licence_of_a_name(name, licence, metric):
    assert module._licence(name, build(metric)._network.config).startswith(licence)


@pytest.mark.parametrize('number', ['float16', 'bfloat16'])
def test_the_configured_half_precision_is_asked_for(metric, image, monkeypatch, number):
    asked = []

    def recorded(name, device, half, **more):
        asked.append((half, more))
        return torch.inference_mode()

    monkeypatch.setattr(network, 'inference', recorded)
    settings = DepthConfig(backend='transformers', model=str(metric), half=number)
    _load_depth(settings, ModelsConfig(device='cpu')).estimate(image)
    assert asked == [(True, {'number': number})]


@pytest.mark.parametrize('number', ['float16', 'bfloat16'])
def test_half_precision_is_for_gpus(monkeypatch, number):
    asked = []
    monkeypatch.setattr(torch, 'autocast', lambda *those: asked.append(those) or nullcontext())
    with inference('depth', torch.device('cpu'), half=True, number=number):
        assert asked == []
    with inference('depth', torch.device('cuda'), half=True, number=number):
        assert asked == [('cuda', getattr(torch, number))]


def test_half_precision(metric, image, device):
    if not device.startswith('cuda'):
        pytest.skip('half precision is for GPUs: --device cuda')
    half = module.TransformersDepth(str(metric), device=device, half=True)
    exact = build(metric, device).estimate(image).map
    np.testing.assert_allclose(half.estimate(image).map, exact, atol=0.2)


class TestDisparity:
    def test_by_hand(self):
        disparity = np.array([[4, 2, 1, 0.01, 0, -1, np.nan, np.inf]], np.float32)
        depth = module._from_disparity(torch.from_numpy(disparity)).numpy()
        np.testing.assert_allclose(depth[0, :6], [0.25, 0.5, 1, 25, 25, 25])
        assert np.isnan(depth[0, 6])
        assert depth[0, 7] == 0

    @pytest.mark.parametrize('value', [0, -1, np.nan])
    def test_nothing_is_known(self, value):
        assert (module._from_disparity(torch.full((2, 3), float(value))) == 0).all()


class TestDepthPro:
    @pytest.fixture(scope='class', params=[True, False], ids=['with fov', 'without'])
    def folder(self, request, tmp_path_factory):
        return tiny_networks.depth_estimator(
            tmp_path_factory.mktemp('depth') / 'pro', 'depth_pro', use_fov_model=request.param
        )

    def test_metres_need_the_field_of_view(self, folder, image):
        estimator = build(folder)
        assert estimator.metric == estimator._network.config.use_fov_model
        assert estimator.estimate(image).map.shape == (SIDE, SIDE)

    def test_by_hand(self):
        """The same inverse depth means twice the distance where the focal length is twice."""
        inverse = torch.tensor([[0.5, 0.0, 1e9, -1, math.nan]])
        width, degrees = 640, 60
        focal = 0.5 * width / math.tan(math.radians(degrees) / 2)
        expected = [[focal / width / 0.5, 1e4, 1e-4, 1e4, np.nan]]
        for across in (module._across(degrees), width / focal):
            metres = module._from_depth_pro(inverse, across)
            np.testing.assert_allclose(metres, expected, rtol=1e-5)

    @pytest.mark.parametrize('degrees', [0, -5, 180, 1e9])
    def test_no_lens_sees_so_much(self, degrees):
        metres = module._from_depth_pro(torch.ones(1, 2), module._across(degrees))
        assert metres.isfinite().all()

    @pytest.mark.parametrize('degrees', [math.nan, math.inf, -math.inf])
    def test_without_a_field_of_view_nothing_is_known(self, degrees):
        assert math.isnan(module._across(degrees))

    def test_known_focal_length(self, folder, image):
        """Metres are proportional to it, whatever the network thinks of the lens."""
        estimator = build(folder)
        near, far = (estimator.estimate(image, focal).map for focal in (20.0, 40.0))
        raw_near, raw_far = (estimator.raw(image, focal) for focal in (20.0, 40.0))
        if estimator.metric:
            inside = (near > 1e-3) & (far < 1e3)
            assert inside.mean() > 0.1
            np.testing.assert_allclose(far[inside], 2 * near[inside], rtol=1e-5)
            inside = (raw_near > 1e-3) & (raw_far < 1e3)
            np.testing.assert_allclose(raw_far[inside], 2 * raw_near[inside], rtol=1e-5)
        else:
            np.testing.assert_array_equal(far, near)
            np.testing.assert_array_equal(raw_far, raw_near)

    def test_its_own_guess_is_the_focal_length(self, folder, image):
        estimator = build(folder)
        if not estimator.metric:
            pytest.skip('it guesses none')
        degrees = float(estimator._network([image]).field_of_view)
        given = estimator.estimate(image, SIDE / module._across(degrees)).map
        np.testing.assert_allclose(given, estimator.estimate(image).map, rtol=1e-5)


class TestMeaning:
    def test_dpt_says_how_near(self, tmp_path, image):
        depth = build(tiny_networks.depth_estimator(tmp_path / 'dpt', 'dpt')).estimate(image)
        assert not depth.metric

    @pytest.mark.parametrize('kind', ['zoedepth', 'glpn', 'dpt'])
    def test_nobody_knows(self, kind):
        from transformers import AutoConfig, Dinov2Config

        backbone = {'backbone_config': Dinov2Config()} if kind == 'dpt' else {}
        config = AutoConfig.for_model(kind, **backbone)
        with pytest.raises(UserError, match=f'folder: what the numbers of .{kind}. mean'):
            module._meaning(config, 'folder')
