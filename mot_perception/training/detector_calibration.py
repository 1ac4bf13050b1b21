"""Scores that mean something: of the boxes that score 0.8, about 80 % shall be right.

After Platt (1999): a straight line through the logits, one for there being an object and one for
its class, that makes what is right and wrong on images not learned from most likely. Both lines
go into the last layers, so that a calibrated network is a network like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from mot_perception.perception.letterbox import letterbox
from mot_perception.perception.selection import suppress
from mot_perception.perception.yolox import decode
from mot_perception.perception.yolox_input import normalised
from mot_perception.training.detector_loss import to_xyxy
from mot_perception.training.detector_scores import IGNORED, MOST_BOXES, RIGHT, matched
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from mot_perception.perception.yolox import Yolox
    from mot_perception.training.detector_images import Labelled

LEAST_SCORE, OVERLAP = 0.01, 0.7
"""What boxes are taken from a network that is not calibrated, as the detector does by default."""
LEAST_BOXES = 50
"""Right ones and wrong ones each, without which nothing can be said."""
STEPS = 200


class Evidence(NamedTuple):
    """What a network said of N boxes, and whether it was right.

    Attributes:
        objectness: N, logits.
        label: N, logits.
        right: bool N, whether the box fits a person that no better box fits.
    """

    objectness: Tensor
    label: Tensor
    right: Tensor


class Lines(NamedTuple):
    """Slope and height of the line through the logits of objectness, and of the class."""

    objectness: tuple[float, float] = (1.0, 0.0)
    label: tuple[float, float] = (1.0, 0.0)


def calibrate(network: Yolox, images: Sequence[Labelled], height: int, width: int) -> Lines:
    """Change a network of one class so that scores are shares of boxes that are right.

    Args:
        network: Changed in place; left as it is if the images say too little.
        images: Not learned from, and better not those whose scores are reported.
        height: Of the network's input, pixels.
        width: The same.

    Returns:
        What was done to it.
    """
    evidence = gather(network, images, height, width)
    right = int(evidence.right.sum())
    if min(right, len(evidence.right) - right) < LEAST_BOXES:
        return Lines()
    lines = fit(evidence)
    for layers, line in (
        (network.head.obj_preds, lines.objectness),
        (network.head.cls_preds, lines.label),
    ):
        for layer in layers:
            _through(layer, *line)
    return lines


@torch.no_grad()
def gather(network: Yolox, images: Sequence[Labelled], height: int, width: int) -> Evidence:
    """Return what a network says of images; it is left in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    rows = []
    for seen in images:
        canvas, ratio = letterbox(seen.image, height, width)
        cells = network(normalised(torch.from_numpy(canvas)[None].to(device), 'bgr'))[0]
        rows.append(_judged(cells.float().cpu(), seen, ratio, height, width))
    return Evidence(*(torch.cat(column) for column in zip(*rows, strict=True)))


def fit(evidence: Evidence) -> Lines:
    """Return the lines that make the evidence most likely; they rise."""
    with torch.inference_mode(False), torch.enable_grad():
        numbers = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([numbers], max_iter=STEPS, line_search_fn='strong_wolfe')

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = _unlikeliness(numbers, evidence)
            torch.autograd.backward(value)
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]
    slopes, heights = numbers.detach()[:2].exp().tolist(), numbers.detach()[2:].tolist()
    return Lines((slopes[0], heights[0]), (slopes[1], heights[1]))


def _unlikeliness(numbers: Tensor, evidence: Evidence) -> Tensor:
    """Return the mean negative logarithm of the likelihood.

    Args:
        numbers: Logarithms of both slopes, then both heights.
        evidence: The boxes.
    """
    slopes = numbers[:2].exp()
    log_score = logsigmoid(slopes[0] * evidence.objectness + numbers[2]) + logsigmoid(
        slopes[1] * evidence.label + numbers[3]
    )
    log_rest = torch.log(-torch.expm1(log_score.clamp(max=-1e-9)))
    return -torch.where(evidence.right, log_score, log_rest).mean()


def _judged(
    cells: Tensor, seen: Labelled, ratio: float, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the evidence of one image."""
    score = cells[:, 4].sigmoid() * cells[:, 5].sigmoid()
    rows = score.argsort(descending=True, stable=True)
    rows = rows[score[rows] >= LEAST_SCORE]
    xyxy = (to_xyxy(decode(cells[None], height, width))[0, rows] / ratio).double().numpy()
    kept = suppress(xyxy, np.zeros(len(xyxy), np.int32), OVERLAP)[:MOST_BOXES]
    rows = rows[torch.from_numpy(kept)]
    found = Detections.of(xyxy[kept], score[rows].numpy(), np.zeros(len(kept)))
    _, kinds = matched(found, seen)
    counted = torch.from_numpy(kinds[:, 0] != IGNORED)
    rows, right = rows[counted], torch.from_numpy(kinds[:, 0] == RIGHT)[counted]
    return cells[rows, 4].double(), cells[rows, 5].double(), right


@torch.no_grad()
def _through(layer: nn.Module, slope: float, height: float) -> None:
    """Put a straight line behind a layer."""
    weight, bias = layer.get_parameter('weight'), layer.get_parameter('bias')
    weight.mul_(slope)
    bias.mul_(slope).add_(height)
