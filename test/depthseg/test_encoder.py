"""The encoder as the pipeline uses it: arrays in, unit vectors out, nothing of empty masks."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.errors import UserError

torch = pytest.importorskip('torch')
checkpoint = pytest.importorskip('mot_perception.depthseg.checkpoint')
encoder = pytest.importorskip('mot_perception.depthseg.encoder')
full = pytest.importorskip('mot_perception.depthseg.full_frame_autoencoder')

FRAME = 72, 128


def scene(n=5):
    rng = np.random.default_rng(0)
    depth = rng.uniform(2, 9, FRAME).astype(np.float32)
    masks = np.zeros((n, *FRAME), bool)
    for mask in masks:
        top, left = rng.integers(0, 50), rng.integers(0, 110)
        mask[top : top + 20, left : left + 9] = True
    return depth, masks


@pytest.fixture(scope='module', autouse=True)
def narrow():
    """The paper's layers, but few channels: its files are as large as 500 MB else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full, 'CHANNELS', (2, 3, 4))
        patch.setattr(full, 'DIMENSION', 16)
        patch.setattr(full.FullFrameAutoencoder, 'dimension', 16)
        yield


@pytest.fixture(scope='module', params=['full_frame', 'cropped'])
def file(request, narrow, tmp_path_factory):
    torch.manual_seed(0)
    kinds = checkpoint.FullFrameAutoencoder, checkpoint.CropAutoencoder
    (kind,) = (it for it in kinds if it.form == request.param)
    file = tmp_path_factory.mktemp(kind.form) / f'{kind.form}.safetensors'
    checkpoint.save_autoencoder(kind(), file, {})
    return file


@pytest.fixture(scope='module')
def cue(file, device):
    return encoder.DepthSegEncoder(str(file), device=device)


def test_what_it_is(cue, file):
    assert cue.form == file.stem
    assert cue.name.startswith(f'{file.name} ({cue.form}, sha256 ')
    assert (cue.gpu_bytes() == 0) == (cue._device.type == 'cpu')


@pytest.mark.parametrize('n', [0, 1, 5, 70])
def test_unit_vectors(n, cue):
    vectors, valid = cue.embed(*scene(n))
    assert vectors.shape == (n, cue.dimension)
    assert vectors.dtype == np.float32
    assert valid.all()
    assert valid.shape == (n,)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_batches_do_not_matter(cue, monkeypatch):
    depth, masks = scene()
    together, _ = cue.embed(depth, masks)
    monkeypatch.setattr(encoder, 'BATCH', 2)
    np.testing.assert_allclose(cue.embed(depth, masks)[0], together, atol=1e-3)


def test_nothing_to_see(cue):
    depth, masks = scene()
    masks[1] = False
    depth[masks[3]] = np.nan
    vectors, valid = cue.embed(depth, masks)
    assert not valid[[1, 3]].any()
    assert not vectors[~valid].any()
    assert np.isfinite(vectors).all()


def test_bad_depth_is_no_crash(cue):
    """What overflows says nothing."""
    depth, masks = scene()
    depth[::2], depth[1::4] = np.inf, 1e38
    vectors, valid = cue.embed(depth, masks)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors[valid], axis=1), 1, atol=1e-3)


def test_arrays_that_cannot_be_written(cue):
    depth, masks = scene()
    depth.flags.writeable = masks.flags.writeable = False
    cue.embed(depth, masks)


def test_scale_of_depth(cue):
    """Ours knows ratios alone; the paper's form does not."""
    depth, masks = scene()
    one, other = cue.embed(depth, masks)[0], cue.embed(depth * 3, masks)[0]
    assert np.allclose(one, other, atol=1e-5) == (cue.form == 'cropped')


def test_device_is_not_there(file):
    with pytest.raises(UserError, match='GPUs here'):
        encoder.DepthSegEncoder(str(file), device='cuda:99')


def test_close(file):
    cue = encoder.DepthSegEncoder(str(file), device='cpu')
    cue.close()
    assert cue.gpu_bytes() == 0
