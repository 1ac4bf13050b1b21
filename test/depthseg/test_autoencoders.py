"""Both autoencoders: sizes, unit vectors, what they can tell apart."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')
representation = pytest.importorskip('mot_perception.depthseg.representation')
crop = pytest.importorskip('mot_perception.depthseg.crop_autoencoder')
full = pytest.importorskip('mot_perception.depthseg.full_frame_autoencoder')
CropAutoencoder, FullFrameAutoencoder = crop.CropAutoencoder, full.FullFrameAutoencoder

FRAME = 72, 128
N = 5


def made(kind):
    torch.manual_seed(0)
    return kind()


@pytest.fixture(scope='module', params=[FullFrameAutoencoder, CropAutoencoder])
def network(request, device):
    return made(request.param).eval().to(device)


@pytest.fixture(scope='module')
def shown(network, device):
    generator = torch.Generator().manual_seed(1)
    depth = torch.rand(FRAME, generator=generator) * 9 + 1
    masks = torch.zeros(N, *FRAME, dtype=torch.bool)
    for i in range(N):
        masks[i, 5 * i : 5 * i + 30, 15 * i : 15 * i + 9 + i] = True
    return network.represent(depth.to(device), masks.to(device))


@torch.no_grad()
def test_shapes(network, shown):
    vectors = network.encode(shown.maps, shown.place)
    assert vectors.shape == (N, network.dimension)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(N, device=vectors.device))
    assert network.decode(vectors).shape == shown.maps.shape
    assert network.decode_place(vectors).shape == shown.place.shape


@torch.no_grad()
def test_no_objects(network, shown):
    vectors = network.encode(shown.maps[:0], shown.place[:0])
    assert vectors.shape == (0, network.dimension)
    assert network.decode(vectors).shape == shown.maps[:0].shape


@torch.no_grad()
def test_others_do_not_matter(network, shown):
    together = network.encode(shown.maps, shown.place)
    for i in range(N):
        alone = network.encode(shown.maps[i : i + 1], shown.place[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-6)


def test_vectors_have_gradients(network, shown):
    network.zero_grad()
    vectors = network.encode(shown.maps, shown.place)
    (
        network.decode(vectors).square().sum() + network.decode_place(vectors).square().sum()
    ).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or not name.endswith('weight'), name


def parameters(module):
    return sum(it.numel() for it in module.parameters())


class TestFullFrame:
    def test_published_size(self):
        with torch.device('meta'):
            network = FullFrameAutoencoder()
        assert parameters(network.encoder) == 67_275_936
        assert parameters(network.decoder) == 67_306_273

    def test_layers_are_numbered(self):
        with torch.device('meta'):
            keys = FullFrameAutoencoder().state_dict().keys()
        weights = {key for key in keys if key.endswith('weight')}
        encoder = {f'encoder.{i}.weight' for i in (0, 1, 3, 4, 6, 7, 10)}
        assert weights == encoder | {f'decoder.{i}.weight' for i in (0, 2, 3, 5, 6, 8)}


class TestCrop:
    def test_small(self):
        assert parameters(CropAutoencoder()) < 1_000_000

    def test_training_needs_no_others_either(self):
        network = made(CropAutoencoder).train()
        maps, place = torch.rand(4, 2, 32, 32), torch.rand(4, 7)
        together, alone = network.encode(maps, place), network.encode(maps[:1], place[:1])
        torch.testing.assert_close(alone[0], together[0], rtol=0, atol=1e-6)

    @pytest.mark.parametrize('scalar', range(len(representation.PLACE)))
    def test_vector_turns_with_each_scalar(self, scalar):
        network = made(CropAutoencoder).eval()
        place = torch.full((1, 7), 0.3, requires_grad=True)
        vector = network.encode(torch.rand(1, 2, 32, 32), place)
        vector[0, 0].backward()
        assert place.grad[0, scalar] != 0

    def test_same_outline_ten_per_cent_deeper(self):
        """The cosine falls well below what rounding explains, already without training."""
        masks = torch.zeros(1, *FRAME, dtype=torch.bool)
        masks[0, 10:30, 40:50] = True
        background = torch.full(FRAME, 10.0)
        network = made(CropAutoencoder).eval()
        near, far = (
            network.encode(shown.maps, shown.place)
            for metres in (5.0, 5.5)
            for shown in [representation.cropped(torch.where(masks[0], metres, background), masks)]
        )
        assert (near * far).sum().item() < 1 - 1e-3

    def test_it_can_learn_depth_alone(self):
        """Ten objects that differ in nothing but ten per cent of depth become ten vectors."""
        network = made(CropAutoencoder)
        maps = torch.rand(1, 2, 32, 32).expand(10, -1, -1, -1)
        place = torch.full((10, 7), 0.3)
        place[:, 0] = 0.095 * torch.arange(10)
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(60):
            vectors = network.encode(maps, place)
            cosine = vectors @ vectors.T
            loss = torch.nn.functional.cross_entropy(cosine / 0.1, torch.arange(10))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        others = cosine[~torch.eye(10, dtype=torch.bool)]
        assert others.max() < 0.5

    def test_features_are_bounded(self):
        wild = torch.tensor([[5.0, 1, 2, -1, 0, 0, 0], [-5, 0, 0, 0, 1, 1, 1]])
        assert crop.place_features(wild).abs().max() < 3
