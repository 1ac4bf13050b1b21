"""FDTA's losses beside loops that are read at a glance, and what must hold of them."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

torch = pytest.importorskip('torch')

from mot_perception.fdta.boxes import corners, overlaps  # noqa: E402
from mot_perception.fdta.deformable_detr import Detections  # noqa: E402
from mot_perception.fdta.identity_adapter import IdentityAdapter  # noqa: E402
from mot_perception.fdta.losses.contrastive_loss import contrastive_loss  # noqa: E402
from mot_perception.fdta.losses.depth_loss import depth_loss  # noqa: E402
from mot_perception.fdta.losses.detection_loss import (  # noqa: E402
    Objects,
    detection_loss,
    match,
    sigmoid_focal,
)
from mot_perception.fdta.losses.identity_loss import (  # noqa: E402
    identity_loss,
    spatial_identity_loss,
)
from mot_perception.fdta.settings import SpatialSettings  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def boxes(*shape: int) -> torch.Tensor:
    return torch.cat([torch.rand(*shape, 2), 0.05 + 0.3 * torch.rand(*shape, 2)], -1)


def test_overlaps_by_hand():
    one = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
    two = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1], [0, 0, 0, 0]])
    iou, generous = overlaps(one, two)
    torch.testing.assert_close(iou, torch.tensor([1 / 3, 0, 0]))
    torch.testing.assert_close(generous, torch.tensor([1 / 3, -1 / 3, 0]))


def test_the_match_is_the_cheapest_of_all():
    logits, guessed = torch.randn(5, 2), boxes(5)
    truth = Objects(boxes(3), torch.tensor([0, 1, 1]), torch.arange(3))
    got = match(logits, guessed, truth)

    def cost(queries):
        total = 0.0
        for query, box, label in zip(queries, truth.boxes, truth.labels, strict=True):
            p = float(logits[query, label].sigmoid())
            present = 0.25 * (1 - p) ** 2 * -math.log(p)
            absent = 0.75 * p**2 * -math.log(1 - p)
            _, generous = overlaps(corners(guessed[query]), corners(box))
            total += 2 * (present - absent) - 2 * float(generous)
            total += 5 * float((guessed[query] - box).abs().sum())
        return total

    best = min(permutations(range(5), 3), key=cost)
    assert dict(zip(got.objects.tolist(), got.queries.tolist(), strict=True)) == dict(
        enumerate(best)
    )


def test_detection_loss_beside_a_loop():
    layers, images, queries = 2, 3, 4
    found = Detections(
        torch.randn(layers, images, queries, 1), boxes(layers, images, queries), None, None
    )
    truth = [
        Objects(boxes(count), torch.zeros(count, dtype=torch.int64), torch.arange(count))
        for count in (2, 0, 1)
    ]
    summed, parts, matches = detection_loss(found, truth)
    total = 0.0
    for layer in range(layers):
        for image in range(images):
            objects = dict(zip(*(it.tolist() for it in matches[layer][image]), strict=True))
            for query in range(queries):
                p = float(found.logits[layer, image, query, 0].sigmoid())
                if query not in objects:
                    total += 2 * 0.75 * p**2 * -math.log(1 - p)
                    continue
                box = truth[image].boxes[objects[query]]
                _, generous = overlaps(corners(found.boxes[layer, image, query]), corners(box))
                total += 2 * 0.25 * (1 - p) ** 2 * -math.log(p) + 2 * (1 - float(generous))
                total += 5 * float((found.boxes[layer, image, query] - box).abs().sum())
    assert float(summed.total) == pytest.approx(total, rel=1e-5)
    assert float(summed.count) == 3
    assert set(parts) == {'class', 'place', 'overlap'}


def test_no_objects_anywhere():
    found = Detections(torch.randn(1, 1, 4, 1, requires_grad=True), boxes(1, 1, 4), None, None)
    nobody = Objects(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
    summed, _, _ = detection_loss(found, [nobody])
    assert summed.mean().item() == 0
    assert summed.total.item() > 0
    assert len(match(torch.randn(3, 1), boxes(3), nobody).queries) == 0


def test_nan_does_not_end_the_matching():
    truth = Objects(boxes(2), torch.zeros(2).long(), torch.arange(2))
    got = match(torch.full((4, 1), torch.nan), torch.full((4, 4), torch.nan), truth)
    assert len(got.queries) == 2


def test_focal_of_a_sure_one_is_small():
    sure = sigmoid_focal(torch.tensor([9.0, -9.0, -9.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert sure[0] < 1e-6
    assert sure[1] < 1e-6
    assert float(sure[2]) == pytest.approx(0.25 * 9, rel=1e-3)


SETTINGS = SpatialSettings(bins=150)


def cells(boxes_of, foreground, depth=100.0, *, skip=False, logits=None):
    logits = torch.zeros(1, 151, 6, 8) if logits is None else logits
    plane = torch.full((1, 48, 64), depth)
    return depth_loss(
        logits, plane, [boxes_of], SETTINGS, foreground=foreground, skip_invalid=skip
    )


def test_a_uniform_guess_costs_what_it_must():
    """α(1 − 1/(K+1))^γ ln(K+1) = 1.2378 for K = 150."""
    nothing = torch.zeros(0, 4)
    assert float(cells(nothing, 7.0).mean()) == pytest.approx(1.2378, abs=1e-4)
    assert float(cells(nothing, 7.0).count) == 48


def test_only_cells_in_boxes_weigh_more():
    box = torch.tensor([[0.5, 0.5, 0.25, 0.3]])  # columns 3 and 4, rows 2 and 3
    plain, double, triple = (float(cells(box, it).total) for it in (1, 2, 3))
    assert double - plain == pytest.approx(4 * 1.2378, abs=1e-3)
    assert triple - double == pytest.approx(4 * 1.2378, abs=1e-3)
    outside = torch.tensor([[1.2, 0.5, 0.1, 0.1]])
    assert float(cells(outside, 3).total) == pytest.approx(plain)
    partly = torch.tensor([[0.0, 0.0, 0.25, 0.3]])  # one column and one row of it are seen
    assert float(cells(partly, 2).total) == pytest.approx(plain + 1.2378, abs=1e-3)


def test_invalid_depth_is_a_class_or_nothing():
    nothing = torch.zeros(0, 4)
    assert float(cells(nothing, 1, depth=0.0).count) == 48
    assert float(cells(nothing, 1, depth=0.0, skip=True).count) == 0
    assert float(cells(nothing, 1, depth=0.0, skip=True).mean()) == 0
    assert float(cells(nothing, 1, depth=torch.nan, skip=True).mean()) == 0
    right = torch.zeros(1, 151, 6, 8)
    right[:, 150] = 30
    assert float(cells(nothing, 1, depth=0.0, logits=right).mean()) < 1e-6


def pool(count=8):
    ids = torch.tensor([4, 7, 4, 4, 7, 9, 7, 4])[:count]
    vectors = torch.nn.functional.normalize(torch.randn(count, 6), dim=-1)
    return vectors, ids, 0.5 + 0.5 * torch.rand(count)


def test_all_pairs_by_a_double_loop():
    vectors, ids, quality = pool()
    total, count = 0.0, 0
    for i in range(len(ids)):
        for j in range(len(ids)):
            if i == j or ids[i] != ids[j]:
                continue
            weight = 2 * quality[i] * quality[j] / (quality[i] + quality[j])
            top = math.exp(vectors[i] @ vectors[j] / 0.1)
            below = sum(math.exp(vectors[i] @ vectors[k] / 0.1) for k in range(8) if k != i)
            total += float(weight) * -math.log(top / below)
            count += 1
    got = contrastive_loss(vectors, ids, quality)
    assert float(got.total) == pytest.approx(total / 2, rel=1e-5)
    assert float(got.count) == count / 2 == 4 * 3 / 2 + 3 * 2 / 2


def test_the_released_form_by_a_double_loop():
    vectors, ids, quality = pool()
    anchors = []
    for i in range(len(ids)):
        strangers = sum(
            math.exp(vectors[i] @ vectors[k] / 0.1) for k in range(8) if ids[k] != ids[i]
        )
        terms = []
        for j in range(len(ids)):
            if i == j or ids[i] != ids[j]:
                continue
            weight = 2 * quality[i] * quality[j] / (quality[i] + quality[j])
            top = math.exp(vectors[i] @ vectors[j] / 0.1)
            terms.append(float(weight) * -math.log(top / (top + strangers)))
        if terms:
            anchors.append(sum(terms) / len(terms))
    got = contrastive_loss(vectors, ids, quality, 'release')
    assert float(got.mean()) == pytest.approx(0.1 * sum(anchors) / len(anchors), rel=1e-5)


def test_bad_matches_and_single_ones_say_nothing():
    vectors, ids, quality = pool()
    quality[[0, 2, 3]] = 0.499
    assert float(contrastive_loss(vectors, ids, quality).count) == 3  # of id 7 alone
    lone = vectors[:2].clone().requires_grad_()
    nothing = contrastive_loss(lone, ids[:2], quality[:2].clamp(min=0.9))
    nothing.mean().backward()
    assert nothing.mean().item() == 0
    assert lone.grad is not None
    empty = contrastive_loss(torch.zeros(0, 6), torch.zeros(0).long(), torch.zeros(0))
    assert float(empty.mean()) == 0


def test_the_projection_learns_to_tell_them_apart():
    embeddings = torch.randn(1, 16) + 0.05 * torch.randn(12, 16)  # all alike
    embeddings[6:] += 0.1 * torch.randn(1, 16)
    ids = torch.arange(12) // 6
    adapter = IdentityAdapter(16)
    optimiser = torch.optim.Adam(adapter.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = contrastive_loss(adapter(embeddings), ids, torch.ones(12)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]
    scaled = adapter(embeddings).norm(dim=-1)
    torch.testing.assert_close(scaled, torch.ones(12))


def test_identity_loss_counts_what_it_is_told():
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[0, 4, 1], [2, 2, 4]])
    counted = torch.tensor([[True, False, True], [False, False, True]])
    expected = sum(
        -math.log(float(logits[i, j].softmax(-1)[labels[i, j]]))
        for i, j in counted.nonzero().tolist()
    )
    got = identity_loss(logits, labels, counted)
    assert float(got.total) == pytest.approx(expected, rel=1e-5)
    assert float(got.count) == 3
    assert float(identity_loss(logits, labels, counted & False).mean()) == 0


def test_far_identities_cost_more():
    """By a loop; whoever is taken for one that is far away pays, newborn pays nothing."""
    logits, present = torch.randn(2, 3, 5), torch.tensor([[1, 0, 1, 1], [0, 0, 0, 1]]).bool()
    own, places = boxes(2, 3), boxes(2, 4)
    counted = torch.tensor([[True, True, False], [True, False, False]])
    total = 0.0
    for frame, detection in counted.nonzero().tolist():
        labels = [*present[frame].nonzero()[:, 0].tolist(), 4]
        probability = logits[frame, detection, labels].softmax(-1)
        for p, label in zip(probability[:-1], labels[:-1], strict=True):
            _, generous = overlaps(corners(own[frame, detection]), corners(places[frame, label]))
            far = 5 * (own[frame, detection] - places[frame, label]).abs().sum()
            total += float(p * (far + 2 * (1 - generous)))
    got = spatial_identity_loss(logits, own, present, places, counted)
    assert float(got.total) == pytest.approx(total, rel=1e-5)
    absent = places.clone()
    absent[~present] = torch.nan
    again = spatial_identity_loss(logits.requires_grad_(), own, present, absent, counted)
    assert float(again.total) == pytest.approx(total, rel=1e-5)
    again.total.backward()
    assert logits.grad.isfinite().all()
