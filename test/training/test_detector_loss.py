"""SimOTA against loops, and losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mot_perception.perception.yolox import Yolox, decode
from mot_perception.training import detector_loss as loss
from mot_perception.training.detector_loss import Truth, assign, detector_losses

HEIGHT, WIDTH = 64, 96
CELLS = 8 * 12 + 4 * 6 + 2 * 3


def truth(*boxes, labels=None, ignored=()):
    return Truth(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
    )


def naive_iou(a, b):
    wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    tall = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    both = wide * tall
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both + 1e-8)


def naive_assignment(boxes, probability, centre, stride, wanted):
    """Return {cell: object}, worked out cell by cell."""
    objects = wanted.xyxy.tolist()

    def place(cell, box):
        x, y = centre[cell].tolist()
        reach = 2.5 * float(stride[cell])
        inside = box[0] < x < box[2] and box[1] < y < box[3]
        far = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2))
        return inside, far < reach

    candidates = [c for c in range(len(boxes)) if any(any(place(c, box)) for box in objects)]
    takers: dict[int, list[tuple[float, int]]] = {}
    for g, box in enumerate(objects):
        costs, ious = {}, {}
        for c in candidates:
            ious[c] = naive_iou(boxes[c].tolist(), box)
            chances = probability[c].tolist()
            of_class = -sum(
                math.log(p) if k == wanted.label[g] else math.log(1 - p)
                for k, p in enumerate(chances)
            )
            outside = 0 if all(place(c, box)) else 1e5
            costs[c] = of_class - 3 * math.log(ious[c] + 1e-8) + outside
        count = max(int(sum(sorted(ious.values())[-10:])), 1)
        for c in sorted(candidates, key=costs.__getitem__)[:count]:
            takers.setdefault(c, []).append((costs[c], g))
    return {c: min(them)[1] for c, them in takers.items()}


@pytest.mark.parametrize('seed', range(5))
def test_assignment_is_that_of_the_loops(seed):
    random = torch.Generator().manual_seed(seed)
    corner, stride = loss.cell_grid(torch.zeros(CELLS, 7), HEIGHT, WIDTH)
    centre = corner + stride / 2
    size = 10 + 30 * torch.rand(4, 2, generator=random)
    start = torch.rand(4, 2, generator=random) * torch.tensor([60.0, 30.0])
    wanted = Truth(torch.cat([start, start + size], 1), torch.tensor([0, 1, 1, 0]), torch.empty(0))
    # Half of the cells say something like an object, so that several cells take each.
    boxes = wanted.xyxy[torch.randint(4, (CELLS,), generator=random)]
    boxes = boxes + 6 * torch.randn(CELLS, 4, generator=random)
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 2)
    probability = 0.05 + 0.9 * torch.rand(CELLS, 2, generator=random)
    found = assign(boxes, probability, centre, stride[:, 0], wanted)
    expected = naive_assignment(boxes, probability, centre, stride[:, 0], wanted)
    assert dict(zip(found.cell.tolist(), found.truth.tolist(), strict=True)) == expected
    assert len(expected) > 8
    for cell, row, iou in zip(*(column.tolist() for column in found), strict=True):
        assert iou == pytest.approx(naive_iou(boxes[cell].tolist(), wanted.xyxy[row].tolist()))


def test_a_perfect_cell_costs_nothing_but_doubt():
    wanted = truth([16, 16, 48, 48])
    cells = torch.full((1, CELLS, 6), -20.0)  # also boxes of no size, which overlap nothing
    at = 2 * 12 + 3  # row 2, column 3 of the finest grid, in the box and near its centre
    cells[0, at] = torch.tensor([1.0, 2.0, math.log(4), math.log(4), 20, 20])
    given = detector_losses(cells, [wanted], HEIGHT, WIDTH)
    assert decode(cells, HEIGHT, WIDTH)[0, at, :4].tolist() == pytest.approx([32, 32, 32, 32])
    assert given.cells == 1
    assert given.iou.item() == pytest.approx(0, abs=1e-5)
    assert given.l1.item() == pytest.approx(0, abs=1e-5)
    assert given.label.item() == pytest.approx(0, abs=1e-5)
    assert given.objectness.item() == pytest.approx(0, abs=1e-5)


def test_sums_by_hand():
    wanted = truth([16, 16, 48, 48])
    cells = torch.zeros(1, CELLS, 6)
    at = 2 * 12 + 3
    cells[0, at, :4] = torch.tensor([1.0, 2.0, math.log(2), math.log(4)])  # half as wide: IoU 0.5
    given = detector_losses(cells, [wanted], HEIGHT, WIDTH)
    stem = loss.to_xyxy(decode(cells, HEIGHT, WIDTH))[0]
    others = sorted(naive_iou(box, [16, 16, 48, 48]) for box in stem.tolist())[-10:]
    taken = int(sum(others))
    assert given.cells == max(taken, 1)
    assert given.objectness.item() == pytest.approx(CELLS * math.log(2), rel=1e-5)
    assert given.label.item() == pytest.approx(given.cells.item() * math.log(2), rel=1e-5)
    if taken == 1:
        assert given.iou.item() == pytest.approx(0.75)
        assert given.l1.item() == pytest.approx(math.log(2))
    plain, with_l1 = given.total(l1=False), given.total(l1=True)
    assert plain.item() == pytest.approx((5 * given.iou + given.objectness + given.label).item())
    assert (with_l1 - plain).item() == pytest.approx(given.l1.item(), rel=1e-4)


def test_boxes_over_ignored_objects_are_neither_right_nor_wrong():
    cells = torch.zeros(1, CELLS, 6)
    cells[..., 4] = 3  # every cell claims something
    alone = detector_losses(cells, [truth()], HEIGHT, WIDTH).objectness
    corner, stride = loss.cell_grid(cells[0], HEIGHT, WIDTH)
    box = torch.cat([corner - stride / 2, corner + stride / 2], 1)[5].tolist()
    spared = detector_losses(cells, [truth(ignored=[box])], HEIGHT, WIDTH).objectness
    assert (alone - spared).item() == pytest.approx(math.log1p(math.exp(3)), rel=1e-4)


def test_no_object_gives_no_positive_cell_and_a_finite_loss():
    given = detector_losses(torch.zeros(2, CELLS, 6), [truth(), truth()], HEIGHT, WIDTH)
    assert given.cells == 0
    assert given.total(l1=True).item() == pytest.approx(2 * CELLS * math.log(2), rel=1e-5)


def test_an_empty_part_of_a_batch_adds_nothing():
    cells = torch.zeros(0, CELLS, 6, requires_grad=True)
    given = detector_losses(cells, [], HEIGHT, WIDTH)
    given.total(l1=True).backward()
    assert [part.item() for part in given] == [0] * 5


def test_an_object_beside_the_image_is_no_fault():
    given = detector_losses(torch.zeros(1, CELLS, 6), [truth([400, 400, 420, 440])], HEIGHT, WIDTH)
    assert given.cells == 0


def test_gradients_lead_to_the_object():
    torch.manual_seed(0)
    network = Yolox('nano', 1)
    images = 255 * torch.rand(1, 3, HEIGHT, WIDTH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    wanted = truth([20, 8, 44, 60])
    totals = []
    for _ in range(30):
        given = detector_losses(network(images), [wanted], HEIGHT, WIDTH)
        total = given.total(l1=False) / given.cells.clamp(min=1)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert totals[-1] < 0.6 * totals[0]
