"""Preprocessing without torchvision: as transformers' own processors on Pillow do it."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.errors import UserError

pytest.importorskip('torch')
pytest.importorskip('transformers')

from transformers.image_transforms import get_size_with_aspect_ratio
from transformers.image_utils import get_image_size_for_max_height_width
from transformers.models.dpt import image_processing_pil_dpt as dpt

from mot_perception.perception.pixels import read_preprocessing

CASES = {
    'RTDetr': {'size': {'height': 48, 'width': 80}},
    'Detr': {'size': {'shortest_edge': 40, 'longest_edge': 100}},
    'DeformableDetr': {'size': {'max_height': 50, 'max_width': 70}},
    'DPT': {
        'size': {'height': 56, 'width': 56},
        'keep_aspect_ratio': True,
        'ensure_multiple_of': 14,
    },
}
MODULES = {'RTDetr': 'rt_detr', 'DeformableDetr': 'deformable_detr'}


def both(kind, **settings):
    """Return our preprocessing, and that of transformers with the same settings."""
    module = MODULES.get(kind, kind.lower())
    module = importlib.import_module(f'transformers.models.{module}.image_processing_pil_{module}')
    theirs = getattr(module, f'{kind}ImageProcessorPil')(**CASES[kind], **settings)
    return read_preprocessing(theirs.to_dict(), 'file'), theirs


@pytest.mark.parametrize('kind', CASES)
@pytest.mark.parametrize('size', [(90, 160), (160, 90), (48, 80), (20, 25)])
def test_same_as_transformers(kind, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    ours, theirs = both(kind)
    expected = theirs(images=image[..., ::-1], return_tensors='pt')['pixel_values']
    pixels = ours.normalised(ours(image)[None])
    assert pixels.shape == expected.shape
    assert pixels.dtype == expected.dtype
    level = 1 / 255 / (min(theirs.image_std) if ours.do_normalize else 1)
    assert (pixels - expected).abs().max() < 1.01 * level


def their_size(kind, height, width):
    """Return the size by the function that the processor of transformers calls."""
    size = CASES[kind]['size']
    if kind == 'Detr':
        return get_size_with_aspect_ratio((height, width), *size.values())
    if kind == 'DeformableDetr':
        return get_image_size_for_max_height_width((height, width), *size.values())
    if kind == 'DPT':
        blank = np.broadcast_to(np.uint8(0), (3, height, width))
        found = dpt.get_resize_output_image_size(blank, tuple(size.values()), True, 14)
        return found.height, found.width
    return tuple(size.values())


@pytest.mark.parametrize('kind', CASES)
@given(height=st.integers(1, 4000), width=st.integers(1, 4000))
def test_same_size_as_transformers(kind, height, width):
    ours = read_preprocessing({'image_processor_type': kind, **CASES[kind]}, 'file')
    least = {'DPT': 14}.get(kind, 1)  # theirs may come to nothing
    expected = tuple(max(side, least) for side in their_size(kind, height, width))
    assert ours.target(height, width) == expected


def test_colours_are_swapped():
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 200
    pixels = read_preprocessing({'do_resize': False}, 'file')(blue)
    assert pixels.amax((1, 2)).tolist() == [0, 0, 200]


@pytest.mark.filterwarnings('error')
def test_views_and_what_is_read_only():
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    steps = read_preprocessing({'do_resize': False}, 'file')
    expected = steps(image.copy())
    image.setflags(write=False)
    assert (steps(image) == expected).all()
    assert (steps(np.repeat(image, 2, axis=1)[:, ::2]) == expected).all()
    assert (steps(image[::-1]) == expected.flip(1)).all()


def test_normalisation_by_a_naive_loop():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    steps = read_preprocessing({'do_resize': False, 'image_mean': mean, 'image_std': std}, 'file')
    pixels = steps.normalised(steps(image)[None])[0]
    for channel in range(3):
        for y in range(3):
            for x in range(4):
                value = (image[y, x, 2 - channel] / 255 - mean[channel]) / std[channel]
                assert pixels[channel, y, x] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(
    ('values', 'size'),
    [
        ({'size': 40, 'max_size': 100}, (40, 71)),
        ({'size': 40}, (40, 40)),
        ({'size': {'height': 30, 'width': 20}}, (30, 20)),
        ({'do_resize': False}, (90, 160)),
    ],
)
def test_older_ways_to_write_a_size(values, size):
    assert read_preprocessing(values, 'file').target(90, 160) == size


def test_families_differ_in_what_is_not_said():
    size = {'size': 40}
    assert read_preprocessing(size, 'file').do_normalize
    kind = {'image_processor_type': 'RTDetrImageProcessor', **size}
    assert not read_preprocessing(kind, 'file').do_normalize


@pytest.mark.parametrize(
    ('values', 'part'),
    [
        ([], 'no settings'),
        ({}, 'height and width'),
        ({'size': {'height': 64}}, 'height and width'),
        ({'size': {'height': 64, 'width': 10**9}}, 'size.width'),
        ({'size': {'height': -1, 'width': 64}}, 'size.height'),
        ({'size': 'large'}, 'size'),
        ({'size': 64, 'image_mean': [0.5]}, 'image_mean'),
        ({'size': 64, 'image_std': [0.5, 0, 0.5]}, 'image_std'),
        ({'size': 64, 'resample': 17}, 'resample'),
        ({'size': 64, 'rescale_factor': 'NaN'}, 'rescale_factor'),
        ({'size': 64, 'ensure_multiple_of': 0}, 'ensure_multiple_of'),
    ],
)
def test_wrong_settings_are_named(values, part):
    with pytest.raises(UserError) as caught:
        read_preprocessing(values, 'folder/preprocessor_config.json')
    message = str(caught.value)
    assert message.startswith('folder/preprocessor_config.json')
    assert part in message
    assert '\n' not in message
