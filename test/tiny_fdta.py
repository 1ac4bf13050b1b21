"""FDTA in a size for tests: random weights, and stand-ins that know what they should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from mot_perception.fdta.id_decoder import Current, History

torch = pytest.importorskip('torch')

from mot_perception.fdta.checkpoint import save_network  # noqa: E402
from mot_perception.fdta.deformable_detr import Detections  # noqa: E402
from mot_perception.fdta.images import normalised  # noqa: E402
from mot_perception.fdta.network import Fdta  # noqa: E402
from mot_perception.fdta.settings import FdtaSettings  # noqa: E402

WIDTH = 32
"""Channels of an embedding."""
SIDE = 96
"""Pixels of the shorter side of what the network sees."""


def settings(
    time_code: str = 'relative', window: int = 6, identities: int = 9, classes: int = 1
) -> FdtaSettings:
    return FdtaSettings.model_validate(
        {
            'shorter': SIDE,
            'longer': 2 * SIDE,
            'window': window,
            'detector': {
                'classes': classes,
                'queries': 12,
                'width': WIDTH,
                'heads': 4,
                'points': 2,
                'encoder_layers': 1,
                'decoder_layers': 1,
                'hidden': 48,
                'blocks': (1, 1, 1, 1),
                'stem': 4,
            },
            'spatial': {'bins': 12, 'token_stride': 32},
            'temporal': {'layers': 2, 'heads': 4, 'hidden': 48, 'time_code': time_code},
            'identity': {'identities': identities, 'layers': 3, 'heads': 4},
        }
    )


def network(*given, **more) -> Fdta:
    """Return one with random weights, ready for use."""
    torch.manual_seed(0)
    return Fdta(settings(*given, **more)).eval()


def bold(*given, **more) -> Fdta:
    """Return one with random weights that is sure of everything it sees."""
    made = network(*given, **more)
    with torch.no_grad():
        for head in made.detr.class_embed:
            head.weight.normal_(0, 0.5)
            head.bias.fill_(2.0)
    return made


def save(made: Fdta, file: Path) -> Path:
    save_network(made, file, {})
    return file


class Knows(torch.nn.Module):
    """Stands in for the ID decoder: who looks alike is the same one."""

    def __init__(self, identities: int = 9) -> None:
        super().__init__()
        self.newborn, self.width = identities, WIDTH
        self.word_to_embed = torch.nn.Linear(identities + 1, WIDTH, bias=False)

    def forward(self, history: History, current: Current) -> torch.Tensor:
        logits = torch.full((*current.features.shape[:-1], self.newborn + 1), -20.0)
        logits[..., -1] = 0
        known, labels = history.features[0, 0], history.labels[0, 0]
        for row, column in (~history.missing[0, 0]).nonzero().tolist():
            alike = torch.cosine_similarity(current.features[0, 0, 0], known[row, column], -1)
            best = logits[0, 0, 0, :, labels[row, column]]
            logits[0, 0, 0, :, labels[row, column]] = torch.maximum(best, 20 * (alike - 0.5))
        return logits


def knowing(window: int = 6, identities: int = 9) -> Fdta:
    """Return one that tells identities by `Knows` alone."""
    made = network('row', window, identities)
    made.id_decoder = Knows(identities)
    made.trajectory_embedding.forward = lambda features, *_: features
    made.trajectory_modeling = torch.nn.Identity()
    return made


COLOURS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10]], np.uint8)
"""RGB of what `Sees` sees, on black."""


class Sees(torch.nn.Module):
    """Stands in for the detector: one box around all pixels of each of `COLOURS`.

    Its embedding says which; the class, where there are more, is the colour's number.
    """

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.classes = classes
        self.query_embed = torch.nn.Embedding(len(COLOURS), 2 * WIDTH)

    def forward(self, images: torch.Tensor, padded: torch.Tensor | None = None) -> Detections:
        wanted = normalised(torch.from_numpy(COLOURS)[:, :, None, None])  # (4, 3, 1, 1)
        assert images.shape[:2] == (1, 3)
        alike = (images - wanted).abs().amax(1) < 1  # (4, h, w)
        logits = torch.full((1, 1, len(COLOURS), self.classes), -9.0)
        boxes = torch.zeros(1, 1, len(COLOURS), 4)
        height, width = images.shape[2:]
        for number, mask in enumerate(alike):
            rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
            if not len(rows):
                continue
            low = torch.tensor([columns[0] / width, rows[0] / height])
            high = torch.tensor([(columns[-1] + 1) / width, (rows[-1] + 1) / height])
            boxes[0, 0, number] = torch.cat([(low + high) / 2, high - low])
            logits[0, 0, number, number % self.classes] = 3.0
        return Detections(logits, boxes, torch.eye(WIDTH)[None, : len(COLOURS)], None)


def seeing(window: int = 6, classes: int = 1) -> Fdta:
    """Return one that sees coloured squares, and knows them again."""
    made = knowing(window)
    made.settings = settings('row', window, classes=classes)
    made.detr = Sees(classes)
    return made


def picture(places: dict[int, tuple[int, int, int, int]], size: tuple[int, int] = (192, 320)):
    """Return a BGR image with rectangles: number of the colour to left, top, right, bottom."""
    image = np.zeros((*size, 3), np.uint8)
    for number, (left, top, right, bottom) in places.items():
        image[top:bottom, left:right] = COLOURS[number][::-1]
    return image
