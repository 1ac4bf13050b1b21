"""Losses against loops over frame pairs, and the same on one process as on two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

torch = pytest.importorskip('torch')
terms = pytest.importorskip('mot_perception.depthseg.losses.terms')
paper = pytest.importorskip('mot_perception.depthseg.losses.paper_loss')
release = pytest.importorskip('mot_perception.depthseg.losses.release_loss')
contrastive = pytest.importorskip('mot_perception.depthseg.losses.contrastive_loss')

LOSSES = [paper.paper_loss, release.release_loss, contrastive.contrastive_loss]
D, SHAPE, P = 16, (2, 8, 8), 3
ELEMENTS = math.prod(SHAPE)
MATCHED = [3, 1, 0, 5, 2]
"""Objects of each frame pair; more are in the frames."""


@dataclass
class View:
    """All objects of one frame: `vectors` of the matched ones, maps of all."""

    vectors: torch.Tensor
    maps: torch.Tensor
    place: torch.Tensor
    decoded_maps: torch.Tensor
    decoded_place: torch.Tensor

    def errors(self):
        return terms.reconstruction_errors(
            self.maps, self.place, self.decoded_maps, self.decoded_place
        )


def views(matched, seed, device):
    """Two frames for each frame pair; in the second one more object, which has no match."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator).to(device)

    return [
        tuple(
            View(
                torch.nn.functional.normalize(random(count, D), dim=1).requires_grad_(),
                random(count + extra, *SHAPE),
                random(count + extra, P),
                random(count + extra, *SHAPE).requires_grad_(),
                random(count + extra, P),
            )
            for extra in (0, 1)
        )
        for count in matched
    ]


def batch(pairs, epoch=0, largest=None):
    errors = [view.errors() for pair in pairs for view in pair]
    device = errors[0].device
    counts = torch.tensor([len(first.vectors) for first, _ in pairs], device=device)
    return terms.Batch(
        torch.cat([first.vectors for first, _ in pairs]),
        torch.cat([second.vectors for _, second in pairs]),
        torch.repeat_interleave(torch.arange(len(pairs), device=device), counts),
        torch.cat(errors),
        ELEMENTS,
        largest or max(len(it) for it in errors),
        epoch,
    )


def squared_error(view, i):
    """Of one object, its maps and its place counted alike."""
    maps = ((view.maps[i] - view.decoded_maps[i]) ** 2).mean()
    return maps + ((view.place[i] - view.decoded_place[i]) ** 2).mean()


def naive_paper(pairs, epoch):
    total, count = 0.0, 0
    for first, second in pairs:
        for u1, u2 in zip(first.vectors, second.vectors, strict=True):
            total += ((u1 - u2) ** 2).sum()
            count += 1
        for view in (first, second) if epoch < 10 else ():
            total += sum(squared_error(view, i) * ELEMENTS for i in range(len(view.maps)))
    return total / count


def naive_release(pairs, epoch):
    largest = max(len(view.maps) for pair in pairs for view in pair)
    total, count = 0.0, 0
    for first, second in pairs:
        if len(first.vectors):
            total += torch.nn.functional.mse_loss(first.vectors, second.vectors)
            count += 1
        for view in (first, second) if epoch < 10 else ():
            for made, of in [(view.decoded_maps, view.maps), (view.decoded_place, view.place)]:
                padded = torch.zeros(2, largest, *of.shape[1:], device=of.device)
                padded[0, : len(of)], padded[1, : len(of)] = made, of
                total += torch.nn.functional.mse_loss(*padded)
    return total / count


def naive_contrastive(pairs, epoch):
    total, count = 0.0, 0
    for first, second in pairs:
        for own, others in ((first, second), (second, first)):
            for i, u in enumerate(own.vectors):
                scores = [torch.exp((u * v).sum() / 0.1) for v in others.vectors]
                total -= torch.log(scores[i] / sum(scores)) / 2
            total += sum(squared_error(own, i) for i in range(len(own.maps))) / 2
        count += len(first.vectors)
    return total / count


@pytest.mark.parametrize('epoch', [0, 9, 10, 11])
@pytest.mark.parametrize(
    ('loss', 'naive'),
    zip(LOSSES, [naive_paper, naive_release, naive_contrastive], strict=True),
    ids=lambda it: it.__name__,
)
def test_loop(loss, naive, epoch, device):
    pairs = views(MATCHED, 1, device)
    expected = naive(pairs, epoch)
    torch.testing.assert_close(loss(batch(pairs, epoch)).mean(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('loss', LOSSES)
class TestAll:
    def test_parts(self, loss, device):
        said = loss(batch(views(MATCHED, 2, device)))
        torch.testing.assert_close(sum(said.parts.values()), said.total.detach())
        assert not any(part.requires_grad for part in said.parts.values())

    def test_two_processes(self, loss, device):
        """Each divides by the count of both; their losses and gradients add up to those of one."""
        pairs = views(MATCHED, 3, device)
        whole = batch(pairs)
        leaves = [
            it for pair in pairs for view in pair for it in (view.vectors, view.decoded_maps)
        ]
        together = loss(whole)
        parts = [loss(batch(half, largest=whole.largest)) for half in (pairs[:2], pairs[2:])]
        count = sum(part.count for part in parts)
        torch.testing.assert_close(count, together.count)
        divided = sum(part.mean(count) for part in parts)
        torch.testing.assert_close(divided, together.mean())
        expected = torch.autograd.grad(together.mean(), leaves)
        for one, other in zip(torch.autograd.grad(divided, leaves), expected, strict=True):
            torch.testing.assert_close(one, other)

    @pytest.mark.parametrize('objects', [True, False], ids=['objects', 'none at all'])
    def test_nothing_matches(self, loss, objects, device):
        ((first, second),) = views([0], 4, device)
        nothing = batch([(first, second)])
        if not objects:
            nothing = nothing._replace(errors=nothing.errors[:0], largest=0)
        said = loss(nothing).mean()
        said.backward()
        assert said.item() == 0
        assert second.decoded_maps.grad is None or not second.decoded_maps.grad.any()

    def test_alone_in_its_frame(self, loss, device):
        assert loss(batch(views([1], 5, device))).mean().isfinite()

    def test_alike_is_better(self, loss, device):
        pairs = views(MATCHED, 6, device)
        apart = batch(pairs)
        assert loss(apart._replace(u2=apart.u1)).mean() < loss(apart).mean()


def test_bottleneck_is_two_minus_two_cosines(device):
    """Of 2048 dimensions: three orders below a cosine's distance (the paper's length)."""
    u1, u2 = (
        torch.nn.functional.normalize(torch.randn(7, 2048, device=device), dim=1) for _ in range(2)
    )
    one_pair = torch.zeros(7, dtype=torch.int64, device=device)
    said = release.release_loss(terms.Batch(u1, u2, one_pair, u1[:0, 0], 128**2, 7, 10))
    torch.testing.assert_close(said.mean(), ((2 - 2 * (u1 * u2).sum(1)) / 2048).mean())


def test_only_the_contrast_punishes_collapse(device):
    """One vector for all costs the paper's and the released loss nothing."""
    same = torch.nn.functional.normalize(torch.ones(4, D, device=device), dim=1)
    one_pair = torch.zeros(4, dtype=torch.int64, device=device)
    collapsed = terms.Batch(same, same, one_pair, same[:0, 0], ELEMENTS, 4, 10)
    assert paper.paper_loss(collapsed).mean().item() == 0
    assert release.release_loss(collapsed).mean().item() == 0
    said = contrastive.contrastive_loss(collapsed).mean().item()
    assert said == pytest.approx(math.log(4), rel=1e-4)
